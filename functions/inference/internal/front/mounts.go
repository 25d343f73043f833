package front

import (
	"context"
	"errors"
	"net/http"

	"github.com/unip-knative/unip/functions/inference/internal/mounts"
	"github.com/unip-knative/unip/functions/inference/internal/pool"
)

// beginMounts waits until a call may write into mounted folders, nil for a component without some. No
// call is handed ahead to a worker whose files are being looked at.
func (s *Server) beginMounts(r *http.Request, n *notes, call *pool.Call) (*mounts.Call, error) {
	if s.Mounts == nil {
		return nil, nil
	}
	written, err := s.Mounts.Begin(r.Context(), n.signed)
	if err != nil {
		if call.Done != nil {
			call.Done()
		}
		if errors.Is(err, mounts.ErrFullOfCalls) {
			err = pool.ErrFull
		}
		return nil, err
	}
	before := call.Done
	call.Done = func() {
		if before != nil {
			before()
		}
		written.Left()
	}
	return written, nil
}

func endMounts(written *mounts.Call) {
	if written != nil {
		written.End()
	}
}

// storeMounts stores what a call has written, before it is answered; that goes on when the caller goes
// away.
func storeMounts(r *http.Request, written *mounts.Call) error {
	if written == nil {
		return nil
	}
	defer written.End()
	return written.Store(context.WithoutCancel(r.Context()))
}
