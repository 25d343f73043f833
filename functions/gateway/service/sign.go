package service

import (
	"errors"
	"io"
	"log/slog"
	"net/http"
	"os"

	"github.com/unip-knative/unip/functions/internal/caller"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// maxKey bounds the read of the key file.
const maxKey = 4 << 10

// sign makes a signature of now, also for a caller without a name. The error is a problem.
func (g *Gateway) sign(c caller.Claims) (string, error) {
	key, err := readKey(g.keyFile)
	var s string
	if err == nil {
		c.IssuedAt = g.now()
		s, err = caller.Sign(key, c)
	}
	switch {
	case err == nil:
		return s, nil
	case errors.Is(err, caller.ErrInvalid): // only a path can be too much for it
		return "", problem.New(problem.BadRequest, http.StatusRequestURITooLong, "", "the path is too long")
	}
	slog.Error("calls cannot be signed", "error", err)
	return "", problem.New("no-module-key", http.StatusServiceUnavailable, "The module has no key",
		"the component answers only calls that are signed with it; the controller of unip makes the key")
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
