package bearer

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"slices"
	"sync/atomic"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/sync/singleflight"
	"golang.org/x/time/rate"
)

const (
	// timeout of one request to an issuer, its body included.
	timeout = 5 * time.Second
	// maxDocument bounds a discovery document or a set of keys in bytes; they have some KiB.
	maxDocument = 1 << 20
	// maxRedirects on one host.
	maxRedirects = 3
	// An issuer is asked every requestEvery at most, after the first requestBurst: discovery, keys,
	// and some false tokens with keys that do not exist.
	requestEvery = 2 * time.Second
	requestBurst = 6
	// maxReason bounds what the log says of an issuer's own words.
	maxReason = 300
)

// algorithms are the asymmetric ones. With another, HS256 say, whoever reads the issuer's public
// keys could sign.
var algorithms = []string{oidc.RS256, oidc.RS384, oidc.RS512, oidc.ES256, oidc.ES384, oidc.ES512, oidc.PS256,
	oidc.PS384, oidc.PS512, oidc.EdDSA}

// Transport is an HTTP client for issuers.
func Transport() *http.Transport {
	return &http.Transport{
		DialContext:            (&net.Dialer{Timeout: timeout}).DialContext,
		TLSHandshakeTimeout:    timeout,
		IdleConnTimeout:        30 * time.Second,
		MaxResponseHeaderBytes: 64 << 10,
		ForceAttemptHTTP2:      true,
	}
}

// issuer is one provider, and what is known of it.
type issuer struct {
	url    string
	client *http.Client
	flight singleflight.Group
	found  atomic.Pointer[provider]
}

// provider is what discovery brought.
type provider struct {
	algorithms []string
	keys       *oidc.RemoteKeySet
}

func newIssuer(issuerURL string, base http.RoundTripper) (*issuer, error) {
	u, err := url.Parse(issuerURL)
	if err != nil {
		return nil, fmt.Errorf("%w: %q is no URL", ErrUnavailable, issuerURL)
	}
	return &issuer{url: issuerURL, client: &http.Client{
		Timeout:   timeout,
		Transport: &guarded{base: base, issuer: u, limit: rate.NewLimiter(rate.Every(requestEvery), requestBurst)},
		CheckRedirect: func(r *http.Request, via []*http.Request) error {
			if first := via[0].URL; r.URL.Scheme != first.Scheme || r.URL.Host != first.Host ||
				len(via) > maxRedirects {
				return errors.New("it leads to another host, or on and on")
			}
			return nil
		},
	}}, nil
}

// guarded bounds what an issuer is asked and what it may answer.
type guarded struct {
	base   http.RoundTripper
	issuer *url.URL
	limit  *rate.Limiter
}

func (g *guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	// the discovery document says where the keys are
	if r.URL.Scheme != "https" && (r.URL.Scheme != g.issuer.Scheme || r.URL.Host != g.issuer.Host) {
		return nil, errors.New("refusing to go there without TLS")
	}
	if !g.limit.Allow() {
		return nil, errors.New("it was asked too often just now")
	}
	resp, err := g.base.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	resp.Body = http.MaxBytesReader(nil, resp.Body, maxDocument)
	return resp, nil
}

// verify checks form, algorithm and signature of a token, and nothing else.
func (i *issuer) verify(ctx context.Context, token string) (*oidc.IDToken, error) {
	p, err := i.discover(ctx)
	if err != nil {
		return nil, err
	}
	keys := &watched{KeySet: p.keys}
	t, err := oidc.NewVerifier(i.url, keys, &oidc.Config{
		SupportedSigningAlgs: p.algorithms,
		// identify does these, with azp and a leeway
		SkipClientIDCheck: true, SkipExpiryCheck: true, SkipIssuerCheck: true,
	}).Verify(ctx, token)
	switch {
	case keys.failed != nil:
		return nil, unavailable(keys.failed)
	case err != nil: // its text may quote the token
		return nil, refuse("the token is malformed or not signed with a key of the issuer")
	}
	return t, nil
}

// watched tells keys that could not be fetched from a signature that is not good; the verifier
// itself makes one text of both. It serves one call.
type watched struct {
	oidc.KeySet
	failed error
}

func (w *watched) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	payload, err := w.KeySet.VerifySignature(ctx, token)
	// RemoteKeySet wraps the errors of fetching, and has nothing to wrap for a bad signature
	if errors.Unwrap(err) != nil {
		w.failed = err
	}
	return payload, err
}

// discover is what the issuer says of itself, asked once; calls that come meanwhile wait for the
// same answer.
func (i *issuer) discover(ctx context.Context) (*provider, error) {
	if p := i.found.Load(); p != nil {
		return p, nil
	}
	answer := i.flight.DoChan("", func() (any, error) {
		if p := i.found.Load(); p != nil {
			return p, nil
		}
		// not with ctx: the others wait on when this caller goes, and the keys are fetched with the
		// same context later
		p, err := i.readDiscovery()
		if err == nil {
			i.found.Store(p)
		}
		return p, err
	})
	select {
	case <-ctx.Done():
		return nil, ctx.Err()
	case a := <-answer:
		p, _ := a.Val.(*provider)
		return p, a.Err
	}
}

func (i *issuer) readDiscovery() (*provider, error) {
	ctx := oidc.ClientContext(context.Background(), i.client) // whose timeout bounds each request
	p, err := oidc.NewProvider(ctx, i.url)
	if err != nil {
		return nil, unavailable(err)
	}
	var document struct {
		Keys       string   `json:"jwks_uri"`
		Algorithms []string `json:"id_token_signing_alg_values_supported"`
	}
	if err := p.Claims(&document); err != nil {
		return nil, unavailable(err)
	}
	document.Algorithms = slices.DeleteFunc(document.Algorithms,
		func(a string) bool { return !slices.Contains(algorithms, a) })
	if document.Keys == "" || len(document.Algorithms) == 0 {
		return nil, unavailable(errors.New("its discovery document has no jwks_uri, " +
			"or no asymmetric algorithm in id_token_signing_alg_values_supported"))
	}
	return &provider{document.Algorithms, oidc.NewRemoteKeySet(ctx, document.Keys)}, nil
}

// unavailable keeps the caller's own end apart from what the issuer did, whose text is cut: it may
// be a whole page.
func unavailable(err error) error {
	if errors.Is(err, context.Canceled) {
		return err
	}
	reason := err.Error()
	return fmt.Errorf("%w: %s", ErrUnavailable, reason[:min(len(reason), maxReason)])
}
