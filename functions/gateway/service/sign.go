package service

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"github.com/unip-knative/unip/functions/internal/caller"
	"github.com/unip-knative/unip/functions/internal/problem"
)

const (
	// keyWait is how long a call waits for the module's key: kubelet brings a Secret that was empty
	// at the gateway's start a moment later.
	keyWait = 15 * time.Second
	keyPoll = 250 * time.Millisecond
	// maxKey bounds the read of the key file.
	maxKey = 4 << 10
)

// sign makes a signature of now, also for a caller without a name. While the module's key is not
// there it waits for it, a little. The error is a problem, or the context's.
func (g *Gateway) sign(ctx context.Context, c caller.Claims) (string, error) {
	deadline := time.Now().Add(keyWait)
	for {
		key, err := readKey(g.keyFile)
		var s string
		if err == nil {
			c.IssuedAt = g.now()
			s, err = caller.Sign(key, c)
		}
		missing := errors.Is(err, os.ErrNotExist) || errors.Is(err, caller.ErrKey)
		switch {
		case err == nil:
			return s, nil
		case errors.Is(err, caller.ErrInvalid): // only a path can be too much for it
			return "", problem.New(problem.BadRequest, http.StatusRequestURITooLong, "", "the path is too long")
		case !missing || time.Now().After(deadline):
			slog.Error("calls cannot be signed", "error", err)
			return "", problem.New("no-module-key", http.StatusServiceUnavailable, "The module has no key yet",
				"the component answers only calls that are signed with it; the controller of unip makes the key")
		}
		select {
		case <-ctx.Done():
			return "", ctx.Err()
		case <-time.After(keyPoll):
		}
	}
}

// readKey reads the key anew for every call: the file is 32 bytes, and so a changed one counts at
// once.
func readKey(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(io.LimitReader(f, maxKey))
}
