package front

import (
	"context"
	"net/http"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/model"
)

// lookTime bounds a look for the model: fetching and loading one of gigabytes takes minutes.
const lookTime = 10 * time.Minute

// look looks for the model on behalf of a call. It does not end with the call's own context: the
// look goes on for the others when one caller leaves.
func (s *Server) look(r *http.Request) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), lookTime)
	defer cancel()
	err := s.Model.Get(ctx)
	s.Looked(err)
	return err
}

// tellModel says in an answer's headers which version of the model it is of, and whether there is a
// newer one.
func (s *Server) tellModel(h http.Header, etag string) {
	if etag != "" {
		h.Set("Unip-Model-Etag", etag)
	}
	if state := s.Model.State(); state != model.Current {
		h.Set("Unip-Model-State", string(state))
	}
}

// Updated notes a newer version of the model, and whether it is in service now.
func (s *Server) Updated(served bool) { s.metrics.Updated(served) }

// Looked notes what a look for the model has found: nil, or model's errors.
func (s *Server) Looked(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = err
}
