package forward

import (
	"bytes"
	"encoding/json"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"time"

	"github.com/unip-knative/unip/functions/internal/caller"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// maxProblem bounds the read of a component's problem.
const maxProblem = 8 << 10

// sender sends calls to components that are awake, signed.
type sender struct{ *Forwarder }

// RoundTrip sends a call. The request is the proxy's own, so its header may be set.
func (f sender) RoundTrip(r *http.Request) (*http.Response, error) {
	s, _ := r.Context().Value(callKey{}).(*state)
	for {
		if err := f.sleepers.awake(r.Context(), s.Target, f.Patience); err != nil {
			return nil, err
		}
		signature, err := s.Sign()
		if err != nil {
			return nil, err
		}
		signed := f.sleepers.now()
		r.Header.Set(caller.Header, signature)
		if s.body != nil {
			attempt, ok := s.body.attempt()
			if !ok {
				return nil, problem.New(problem.Unavailable, http.StatusServiceUnavailable,
					"The component is not available",
					"the call waited too long for its turn, and its body is too large to be sent again; it was not run")
			}
			r.Body = attempt
		}
		resp, err := f.transport.RoundTrip(r)
		if err != nil {
			return nil, err
		}
		if !between(resp) {
			f.sleepers.answered(s.Target.Host)
		}
		took := f.sleepers.now().Sub(signed)
		if !expired(resp, took) {
			return resp, nil
		}
		resp.Body.Close()
		if took < caller.Life {
			slog.Error("a signature expired before its time: the clocks of the nodes differ", "target", s.Target.Host,
				"after",
				took)
			return nil, problem.New(problem.Unavailable, http.StatusServiceUnavailable,
				"The component is not available",
				"the clocks of the gateway and the component differ")
		}
		r = r.Clone(r.Context()) // the transport may still read the one before
	}
}

// expired reports an answer that says that the call came with a signature whose life was over, so
// that it was not run. A HEAD request is told without words.
func expired(resp *http.Response, took time.Duration) bool {
	if resp.StatusCode != http.StatusUnauthorized || resp.Header.Get("Content-Type") != problem.ContentType {
		return false
	}
	if resp.Request != nil && resp.Request.Method == http.MethodHead {
		return took >= caller.Life
	}
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxProblem))
	resp.Body = struct {
		io.Reader
		io.Closer
	}{io.MultiReader(bytes.NewReader(b), resp.Body), resp.Body}
	var p problem.Problem
	return err == nil && json.Unmarshal(b, &p) == nil && p.Slug() == problem.CallerExpired
}

// between reports an answer of what stands between the gateway and the component (ingress,
// activator, queue-proxy): the component itself answers errors as problems.
func between(resp *http.Response) bool {
	switch resp.StatusCode {
	case http.StatusNotFound, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return !strings.Contains(resp.Header.Get("Content-Type"), "json")
	default:
		return false
	}
}
