package front

import (
	"net/http"

	"github.com/unip-knative/unip/functions/inference/internal/files"
	"github.com/unip-knative/unip/functions/inference/internal/pool"
)

// beginFiles fetches the FILE inputs of a call, and says in it what the worker must know of files. nil is a component without boxes, whose worker refuses files, or a call of the Open Inference Protocol, which
// has none.
func (s *Server) beginFiles(r *http.Request, f form, call *pool.Call) (*files.Call, error) {
	if s.Files == nil || f.v2 {
		return nil, nil
	}
	id := note(r).id
	its, err := s.Files.Begin(r.Context(), note(r).user, id, r.Header.Get("X-Request-Id") == id, call.Body)
	if err != nil {
		return nil, err
	}
	call.More, call.Returns, call.Done = its.More, its.Returns, its.End
	return its, nil
}

// storeFiles stores the files of an answer before it is sent.
func (s *Server) storeFiles(r *http.Request, its *files.Call, answer pool.Answer) error {
	if its == nil {
		return nil
	}
	return its.Store(r.Context(), answer.Meta, answer.Files)
}
