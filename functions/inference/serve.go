package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/unip-knative/unip/functions/inference/service"
)

const (
	// headerTime and maxHeader bound what a caller may do before a handler sees it.
	headerTime, maxHeader = 10 * time.Second, 64 << 10
	// idleTime is longer than queue-proxy's, which should be the one to close.
	idleTime = 2 * time.Minute
	// quiet is how long there must have been no request after SIGTERM until connections that have
	// not sent one yet, or not the whole of its headers, are closed too: net/http would wait 5 s
	// for those.
	quiet = 200 * time.Millisecond
	// drainMore is how long calls may go on after SIGTERM beyond the time of a function; kubelet
	// kills sooner.
	drainMore = 10 * time.Second
	// maxMaxBody is the limit of --max-body: a frame to the worker has 256 MiB, of which other
	// things need a little.
	maxMaxBody = 250 << 20
)

// serve answers until the context ends, and then what has begun: it returns as soon as no request
// is being answered.
func serve(ctx context.Context, port int, s *service.Service, timeout time.Duration, log *slog.Logger) error {
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", net.JoinHostPort("", strconv.Itoa(port)))
	if err != nil {
		return fmt.Errorf("listening: %w", err)
	}
	server := newServer(s.Handler(), log)
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	log.Info("serving", "port", port)
	select {
	case err := <-failed:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	log.Info("draining", "active", s.Active())
	drain, cancel := context.WithTimeout(context.Background(), timeout+drainMore)
	defer cancel()
	drained := make(chan error, 1)
	go func() { drained <- server.Shutdown(drain) }()
	tick := time.NewTicker(quiet / 10)
	defer tick.Stop()
	busy := time.Now()
	for {
		select {
		case err := <-drained:
			if errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("draining: calls go on after %s", timeout+drainMore)
			}
			return err
		case now := <-tick.C:
			if s.Active() > 0 {
				busy = now
			} else if now.Sub(busy) > quiet {
				return server.Close()
			}
		}
	}
}

func newServer(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: h, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelWarn),
	}
}

// serveMetrics answers Prometheus until the context ends. Without its port the server still does
// its work, so that is only told.
func serveMetrics(ctx context.Context, address string, h http.Handler, log *slog.Logger) {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h)
	server := newServer(mux, log)
	server.Addr, server.WriteTimeout = address, headerTime
	stop := context.AfterFunc(ctx, func() { server.Close() })
	defer stop()
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Error("serving metrics", "address", address, "error", err)
	}
}

// pace of the collector where the memory has a limit: a collection when the heap has grown to so
// many percent more than is in use. Calls leave little behind: it need not be looked for after
// every few hundred of them.
const pace = 400

// limitMemory tells Go's collector of the container's memory limit: bodies come in tens of
// megabytes, and without it their garbage would be as large as they. Far from the limit it can take
// its time.
func limitMemory() {
	if os.Getenv("GOMEMLIMIT") == "" {
		b, err := os.ReadFile("/sys/fs/cgroup/memory.max")
		if err != nil {
			return
		}
		limit, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err != nil { // "max": there is none
			return
		}
		debug.SetMemoryLimit(limit / 10 * 9)
	}
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(pace)
	}
}
