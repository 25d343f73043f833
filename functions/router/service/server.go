package service

import (
	"log/slog"
	"net/http"
	"time"

	"github.com/unip-knative/unip/eventing/routes"
)

const (
	headerTimeout = 10 * time.Second
	// maxHeader bounds a call's line and headers in bytes. Gateways take less, and answer what is a
	// little more.
	maxHeader = 128 << 10
	// writeTimeout ends an answer that its caller does not take: no call lives longer in Knative.
	writeTimeout = routes.MaxTimeout + time.Minute
	// idleTimeout is longer than that of usual ingresses, which should be the ones to close.
	idleTimeout = 4 * time.Minute
	// What one connection, and one call on it, may send of bodies that nobody reads yet.
	connectionBuffer, streamBuffer = 256 << 10, 128 << 10
	streams                        = 250
)

// NewServer is the router's HTTP server: HTTP/1 and HTTP/2, without TLS, which ends before it.
func NewServer(h http.Handler) *http.Server {
	p := new(http.Protocols)
	p.SetHTTP1(true)
	p.SetUnencryptedHTTP2(true)
	return &http.Server{
		Handler: h, Protocols: p, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		WriteTimeout: writeTimeout,
		HTTP2: &http.HTTP2Config{MaxConcurrentStreams: streams, MaxReceiveBufferPerConnection: connectionBuffer,
			MaxReceiveBufferPerStream: streamBuffer},
		ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelDebug),
	}
}
