// Package scrape lets only those read the controller's metrics whom the API server knows and allows:
// a TokenReview says who shows the token, a SubjectAccessReview whether they may get /metrics. So do
// Kubernetes' own components, and controller-runtime's filter, which would link all of k8s.io/apiserver.
package scrape

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"fmt"
	"log/slog"
	"maps"
	"math/big"
	"net/http"
	"strings"
	"sync"
	"time"

	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
)

const (
	// remembered is how long an answer of the API server holds, refused how long one that may change as
	// soon as an operator has seen it.
	remembered = time.Minute
	refused    = 5 * time.Second
	// most is how many answers are remembered; the next one forgets all refusals, and then all.
	most = 100
	// asking bounds one question.
	asking = 10 * time.Second
	// perSecond bounds the questions that tokens cause which nobody has seen: anybody may send some.
	perSecond, burst = 2, 10
	// longest is the longest token that is asked about.
	longest = 16 << 10
)

// Guard passes on the requests of those who may make them.
type Guard struct {
	next    http.Handler
	decide  func(ctx context.Context, token, verb, path string) (int, error)
	limiter *rate.Limiter
	now     func() time.Time

	mu    sync.Mutex
	known map[[sha256.Size]byte]answer
}

// answer is the status for a token, which holds until a time.
type answer struct {
	status int
	until  time.Time
}

// New makes a guard that asks the API server, with the right to create reviews of both kinds.
func New(cfg *rest.Config, next http.Handler) (*Guard, error) {
	cfg = rest.CopyConfig(cfg)
	cfg.Timeout = asking
	c, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	return &Guard{next: next, now: time.Now, limiter: rate.NewLimiter(perSecond, burst),
		known: map[[sha256.Size]byte]answer{},
		decide: func(ctx context.Context, token, verb, path string) (int, error) {
			return ask(ctx, c, token, verb, path)
		}}, nil
}

// ServeHTTP implements http.Handler.
func (g *Guard) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet || r.URL.Path != "/metrics" {
		http.Error(w, "only GET /metrics is here", http.StatusNotFound)
		return
	}
	kind, token, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(kind, "Bearer") || token == "" || len(token) > longest {
		http.Error(w, "a Bearer token of the cluster is wanted", http.StatusUnauthorized)
		return
	}
	status, err := g.status(r.Context(), token)
	switch {
	case err != nil:
		slog.Warn("who asks for metrics is not known", "error", err)
		http.Error(w, "the API server could not be asked who you are", http.StatusServiceUnavailable)
	case status == http.StatusUnauthorized:
		http.Error(w, "the API server does not know this token", status)
	case status == http.StatusForbidden:
		http.Error(w, "you may not get the nonResourceURL /metrics: ClusterRole unip-metrics-reader lets you", status)
	case status == http.StatusTooManyRequests:
		http.Error(w, "too many unknown tokens; try again", status)
	default:
		g.next.ServeHTTP(w, r)
	}
}

// status of a request with this token.
func (g *Guard) status(ctx context.Context, token string) (int, error) {
	key := sha256.Sum256([]byte(token))
	g.mu.Lock()
	a, ok := g.known[key]
	g.mu.Unlock()
	if ok && g.now().Before(a.until) {
		return a.status, nil
	}
	// Whoever was allowed is asked about again, however many strangers come.
	if a.status != http.StatusOK && !g.limiter.Allow() {
		return http.StatusTooManyRequests, nil
	}
	status, err := g.decide(ctx, token, "get", "/metrics")
	if err != nil {
		return 0, err
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if len(g.known) >= most {
		maps.DeleteFunc(g.known, func(_ [sha256.Size]byte, a answer) bool { return a.status != http.StatusOK })
	}
	if len(g.known) >= most {
		clear(g.known)
	}
	holds := remembered
	if status != http.StatusOK {
		holds = refused
	}
	g.known[key] = answer{status, g.now().Add(holds)}
	return status, nil
}

// ask asks the API server who a token is of, and whether they may do it.
func ask(ctx context.Context, c kubernetes.Interface, token, verb, path string) (int, error) {
	who, err := c.AuthenticationV1().TokenReviews().Create(ctx,
		&authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token}}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("TokenReview: %w", err)
	}
	if !who.Status.Authenticated {
		return http.StatusUnauthorized, nil
	}
	u := who.Status.User
	extra := map[string]authorizationv1.ExtraValue{}
	for k, v := range u.Extra {
		extra[k] = authorizationv1.ExtraValue(v)
	}
	may, err := c.AuthorizationV1().SubjectAccessReviews().Create(ctx, &authorizationv1.SubjectAccessReview{
		Spec: authorizationv1.SubjectAccessReviewSpec{User: u.Username, UID: u.UID, Groups: u.Groups, Extra: extra,
			NonResourceAttributes: &authorizationv1.NonResourceAttributes{Path: path, Verb: verb}},
	}, metav1.CreateOptions{})
	if err != nil {
		return 0, fmt.Errorf("SubjectAccessReview: %w", err)
	}
	if !may.Status.Allowed {
		return http.StatusForbidden, nil
	}
	return http.StatusOK, nil
}

// Certificate is one that the process signs itself, for the time that it lives: a token is not sent
// in the clear. It proves nobody's identity, as that of Kubernetes' own components does not.
func Certificate() (*tls.Config, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, fmt.Errorf("making a key: %w", err)
	}
	now := time.Now()
	about := &x509.Certificate{SerialNumber: big.NewInt(now.UnixNano()),
		Subject:  pkix.Name{CommonName: "unip-controller"},
		DNSNames: []string{"localhost", "unip-controller-metrics.unip-system.svc"}, NotBefore: now.Add(-time.Hour),
		NotAfter: now.AddDate(10, 0, 0), KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}}
	signed, err := x509.CreateCertificate(rand.Reader, about, about, key.Public(), key)
	if err != nil {
		return nil, fmt.Errorf("making a certificate: %w", err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{signed}, PrivateKey: key}},
		MinVersion: tls.VersionTLS12}, nil
}
