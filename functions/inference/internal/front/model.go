package front

import (
	"context"
	"net/http"
	"time"
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

// Looked notes what a look for the model has found: nil, or model's errors.
func (s *Server) Looked(err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = err
}
