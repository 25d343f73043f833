package front

import (
	"net/http"

	"github.com/unip-knative/unip/functions/inference/internal/files"
	"github.com/unip-knative/unip/functions/inference/internal/pool"
)

// beginFiles fetches the FILE inputs of a call, and says in it what the worker must know of files.
// It gives nil for a component without boxes, whose worker refuses files, and for a call of the
// Open Inference Protocol, which has none.
func (s *Server) beginFiles(r *http.Request, n *notes, f form, call *pool.Call) (*files.Call, error) {
	if s.Files == nil || f.v2 {
		return nil, nil
	}
	fileCall, err := s.Files.Begin(r.Context(), n.user, n.id, r.Header.Get("X-Request-Id") == n.id, call.Body)
	if err != nil {
		return nil, err
	}
	call.More, call.Returns, call.Done = fileCall.More, fileCall.Returns, fileCall.End
	return fileCall, nil
}

// storeFiles stores the files of an answer before it is sent.
func storeFiles(r *http.Request, fileCall *files.Call, answer pool.Answer) error {
	if fileCall == nil {
		return nil
	}
	return fileCall.Store(r.Context(), answer.Meta, answer.Files)
}
