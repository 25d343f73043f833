package front

import (
	"crypto/rand"
	"errors"
	"net/http"
	"os"
	"strings"
	"sync"
	"time"

	"github.com/unip-knative/unip/functions/internal/caller"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// Key is the module's key in a file that may come later and may be replaced: it is read again when
// it has changed.
type Key struct {
	Path string

	mu   sync.Mutex
	seen time.Time
	key  []byte
}

// maxKey bounds the read of a key file; the controller makes 32 bytes.
const maxKey = 4 << 10

func (k *Key) load() []byte {
	k.mu.Lock()
	defer k.mu.Unlock()
	info, err := os.Stat(k.Path)
	if err != nil || info.Size() > maxKey {
		return nil
	}
	if !info.ModTime().Equal(k.seen) {
		b, err := os.ReadFile(k.Path)
		if err != nil {
			return nil
		}
		k.key, k.seen = b, info.ModTime()
	}
	return k.key
}

// unsigned is what a call without a signature is told.
const unsigned = "this component answers only calls through its module's gateway, which signs them; with the " +
	"annotation knative.unified-platform.cs.hse.ru/anonymous-calls: Allow on the MLComponent it " +
	"answers all pods of the cluster"

// verify finds out who calls, or returns why the call is refused. A signature that is good is used
// up by it.
func (s *Server) verify(w http.ResponseWriter, r *http.Request, n *notes) *problem.Problem {
	header := r.Header.Get(caller.Header)
	if header == "" && s.Unsigned {
		n.user, n.shown = s.User, s.Shown
		return nil
	}
	if header == "" {
		p := problem.New(problem.Unauthorized, http.StatusUnauthorized, "", unsigned)
		return &p
	}
	now := time.Now()
	claims, err := caller.Verify(s.Key.load(), header, r.Method, r.URL.EscapedPath(), s.Component, now)
	if err == nil {
		err = s.once.Take(claims, now)
	}
	if err == nil {
		n.user, n.signed, n.shown = claims.User, true, claims.Shown
		return nil
	}
	s.Log.Warn("caller refused", "error", err)
	p := problem.New(problem.Unauthorized, http.StatusUnauthorized, "", err.Error())
	switch {
	case errors.Is(err, caller.ErrKey):
		w.Header().Set("Retry-After", "1")
		p = problem.New(problem.Unavailable, http.StatusServiceUnavailable, "", "the module's key is not here yet")
	case errors.Is(err, caller.ErrFull):
		w.Header().Set("Retry-After", "10")
		p = problem.New("overloaded", http.StatusServiceUnavailable, "Overloaded", err.Error())
	case errors.Is(err, caller.ErrExpired):
		p = problem.New(problem.CallerExpired, http.StatusUnauthorized, "", err.Error())
	}
	return &p
}

// probe reports a question about health, which is anybody's: Knative's, kubelet's, the gateway's.
func probe(r *http.Request) bool {
	return (r.URL.Path == "/healthz" || r.URL.Path == "/readyz") &&
		(r.Method == http.MethodGet || r.Method == http.MethodHead)
}

// maxRequestID bounds the id that a caller gives a request, in bytes.
const maxRequestID = 128

// requestID is the caller's X-Request-Id where it is of letters, digits and -_.:/+=, which mean
// nothing to a log, else one of ours.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	plain := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' ||
			strings.ContainsRune("-_.:/+=", c)
	}
	if id != "" && len(id) <= maxRequestID && strings.IndexFunc(id, func(c rune) bool { return !plain(c) }) < 0 {
		return id
	}
	return rand.Text()
}
