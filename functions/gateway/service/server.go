package service

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/unip-knative/unip/eventing/routes"
)

const (
	// headerTimeout is how long a caller may take to send its headers. Bodies have limits of their
	// own: package pace.
	headerTimeout = 10 * time.Second
	// writeTimeout ends an answer that its caller does not take: no call lives longer in Knative.
	writeTimeout = routes.MaxTimeout + time.Minute
	// idleTimeout is longer than queue-proxy's, which should be the one to close.
	idleTimeout = 2 * time.Minute
)

// NewServer is an HTTP server of a gateway, or of what stands before one, with the bounds of its
// callers.
func NewServer(h http.Handler) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: MaxHeader,
		WriteTimeout: writeTimeout,
		ErrorLog:     slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
	}
}
