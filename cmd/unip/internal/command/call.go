package command

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
)

// asRefused gives an answer of the module that says no its reason; every other error stays what it
// is.
func asRefused(err error) error {
	var e *gateway.Error
	if errors.As(err, &e) && e.Status < http.StatusInternalServerError {
		return exit.Because(exit.Refused, err)
	}
	return err
}

// pause waits, unless the context ends before.
func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
