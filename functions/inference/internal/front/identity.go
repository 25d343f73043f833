package front

import (
	"context"
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

// Key is the module's key in a file that may come later and may be replaced: it is read again when it has changed.
type Key struct {
	Path string

	mu   sync.Mutex
	seen time.Time
	key  []byte
}

// maxKey bounds the read of a key file; the controller makes 32 bytes.
const maxKey = 4 << 10

func (k *Key) get() []byte {
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

// notes are what a call's log line says beside the request.
type notes struct {
	id     string // of the request
	user   string
	worker int
}

type notesKey struct{}

func note(r *http.Request) *notes {
	if n, ok := r.Context().Value(notesKey{}).(*notes); ok {
		return n
	}
	return &notes{}
}

// lookTime bounds a look for the model: fetching and loading one of gigabytes takes minutes.
const lookTime = 10 * time.Minute

// look looks for the model on behalf of a call. Not with the call's own context: the look goes on for the others when one caller leaves.
func (s *Server) look(r *http.Request) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), lookTime)
	defer cancel()
	err := s.Model.Get(ctx)
	s.Looked(err)
	return err
}

// recorder remembers the status of an answer.
type recorder struct {
	http.ResponseWriter
	status int
	bytes  int
}

func (r *recorder) WriteHeader(status int) {
	r.status = status
	r.ResponseWriter.WriteHeader(status)
}

func (r *recorder) Write(b []byte) (int, error) {
	n, err := r.ResponseWriter.Write(b)
	r.bytes += n
	return n, err
}

func (r *recorder) Unwrap() http.ResponseWriter { return r.ResponseWriter }

// identified finds out who calls and logs each call. Only the gateway's signature says who it is: without one a call is anonymous, with a bad one it is refused, and what other headers claim is
// taken away.
func (s *Server) identified(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/healthz" || r.URL.Path == "/readyz" {
			next.ServeHTTP(w, r)
			return
		}
		start := time.Now()
		n := &notes{id: requestID(r)}
		w.Header().Set("X-Request-Id", n.id)
		r = r.WithContext(context.WithValue(r.Context(), notesKey{}, n))
		rec := &recorder{ResponseWriter: w, status: http.StatusOK}
		r.Header.Del("X-Forwarded-User")
		if p := s.verify(r, n); p != nil {
			problem.Write(rec, r, *p)
		} else {
			next.ServeHTTP(rec, r)
		}
		s.Log.Info("call", "request_id", n.id, "method", r.Method, "path", r.URL.Path, "status", rec.status, "user", n.user, "worker", n.worker,
			"bytes", rec.bytes, "seconds", time.Since(start).Seconds(), "trace_id", traceID(r))
	})
}

func (s *Server) verify(r *http.Request, n *notes) *problem.Problem {
	header := r.Header.Get(caller.Header)
	if header == "" {
		return nil
	}
	claims, err := caller.Verify(s.Key.get(), header, r.Method, r.URL.EscapedPath(), s.Component, time.Now())
	if err == nil {
		n.user = claims.User
		return nil
	}
	s.Log.Warn("caller refused", "error", err)
	if errors.Is(err, caller.ErrKey) {
		p := problem.New(problem.Unavailable, http.StatusServiceUnavailable, "", "the module's key is not here yet")
		return &p
	}
	p := problem.New(problem.Unauthorized, http.StatusUnauthorized, "", err.Error())
	return &p
}

// maxRequestID bounds the id that a caller gives a request, in bytes.
const maxRequestID = 128

// requestID is the caller's X-Request-Id where it is of letters, digits and -_.:/+=, which mean nothing to a log, else one of ours.
func requestID(r *http.Request) string {
	id := r.Header.Get("X-Request-Id")
	plain := func(c rune) bool {
		return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.ContainsRune("-_.:/+=", c)
	}
	if id != "" && len(id) <= maxRequestID && strings.IndexFunc(id, func(c rune) bool { return !plain(c) }) < 0 {
		return id
	}
	return rand.Text()
}

// traceID is the trace of a W3C traceparent, "" for none.
func traceID(r *http.Request) string {
	parts := strings.Split(r.Header.Get("Traceparent"), "-")
	if len(parts) != 4 || len(parts[1]) != 32 {
		return ""
	}
	return parts[1]
}
