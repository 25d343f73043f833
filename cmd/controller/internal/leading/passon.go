package leading

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/uuid"
)

// Identity names a replica in the Lease: its host, the address at which others reach it, "" for
// none, and what no other process has.
func Identity(host, address string) string {
	return strings.Join([]string{host, address, string(uuid.NewUUID())}, "_")
}

// addressOf is the address in an Identity.
func addressOf(identity string) string {
	parts := strings.Split(identity, "_")
	if len(parts) != 3 {
		return ""
	}
	if _, _, err := net.SplitHostPort(parts[1]); err != nil {
		return ""
	}
	return parts[1]
}

const (
	// passedOn marks a request that one replica has given to another: it goes no further.
	passedOn = "Unip-Passed-On"
	// maxBody is more than any request has that the handlers take.
	maxBody = 64 << 10
)

// PassOn gives the requests that come to a replica which does not lead to the one that does. What
// that one does not take is served here.
type PassOn struct {
	Here http.Handler
	// Leader is the address of another replica that leads, "" while there is none.
	Leader func() string

	client http.Client
}

// NewPassOn makes one.
func NewPassOn(here http.Handler, leader func() string) *PassOn {
	return &PassOn{Here: here, Leader: leader, client: http.Client{
		// A leader that has died a moment ago does not even refuse a connection.
		Transport: &http.Transport{
			DialContext:         (&net.Dialer{Timeout: time.Second}).DialContext,
			MaxIdleConnsPerHost: 16, IdleConnTimeout: time.Minute,
		},
		Timeout: 15 * time.Second, // within what the Broker waits; a start by upload takes up to 8
		CheckRedirect: func(*http.Request, []*http.Request) error {
			return http.ErrUseLastResponse
		},
	}}
}

func (p *PassOn) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	leader := p.Leader()
	if leader == "" || req.Header.Get(passedOn) != "" {
		p.Here.ServeHTTP(w, req)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, maxBody))
	if err != nil {
		http.Error(w, "the body broke off or is too large", http.StatusBadRequest)
		return
	}
	if p.pass(w, req, leader, body) {
		return
	}
	req.Body = io.NopCloser(bytes.NewReader(body))
	p.Here.ServeHTTP(w, req)
}

// pass reports whether the leader has answered.
func (p *PassOn) pass(w http.ResponseWriter, req *http.Request, leader string, body []byte) bool {
	out, err := http.NewRequestWithContext(req.Context(), req.Method, "http://"+leader+req.URL.RequestURI(),
		bytes.NewReader(body))
	if err != nil {
		return false
	}
	out.Header = req.Header.Clone()
	out.Header.Set(passedOn, "1")
	answer, err := p.client.Do(out)
	if err != nil {
		slog.Info("the leader does not take what was passed on to it", "leader", leader, "error", err)
		return false
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, maxBody))
	if err != nil || answer.StatusCode == http.StatusServiceUnavailable {
		return false
	}
	if kind := answer.Header.Get("Content-Type"); kind != "" {
		w.Header().Set("Content-Type", kind)
	}
	w.WriteHeader(answer.StatusCode)
	if _, err := w.Write(text); err != nil {
		slog.Debug("an answer of the leader did not reach who asked", "error", err)
	}
	return true
}
