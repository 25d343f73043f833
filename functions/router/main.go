// Command router is one host for all modules: it passes /<namespace>/… to that module's gateway, and
// wakes the component that the path belongs to beside it. It runs always, holds no secret, and may do
// nothing but read Knative Services.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"k8s.io/client-go/rest"

	"github.com/unip-knative/unip/functions/router/internal/cluster"
	"github.com/unip-knative/unip/functions/router/service"
)

const (
	// notice is how long ingresses may take to hear that the router is on its way out. Until then
	// it takes calls as before.
	notice = 5 * time.Second
	// drain is how long calls under way may go on after that: all that Knative lets live.
	drain = 610 * time.Second
	// poll is how often upgraded connections, which no server counts, are looked at meanwhile.
	poll = 250 * time.Millisecond
)

type options struct {
	address, health, index, clusterDomain string
	proxies, maxCalls                     int
}

func main() {
	var o options
	flag.StringVar(&o.address, "address", ":8080", "where to take calls")
	flag.StringVar(&o.health, "health", ":8081", "where to answer probes and show metrics")
	flag.StringVar(&o.index, "index", "127.0.0.1:8082",
		"where to list the modules, for operators: who may forward a port of the pod")
	flag.StringVar(&o.clusterDomain, "cluster-domain", "",
		"DNS suffix of the cluster's Services (default: as the pod's DNS has it)")
	flag.IntVar(&o.proxies, "proxies", 1,
		"how many proxies stand before the router that append to X-Forwarded-For whom they were called by")
	flag.IntVar(&o.maxCalls, "max-calls", 4000, "how many calls may be under way")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if err := run(ctx, o); err != nil {
		slog.Error("the router ends", "error", err)
		os.Exit(3)
	}
}

func run(ctx context.Context, o options) error {
	if o.proxies < 0 || o.maxCalls < 1 {
		return fmt.Errorf("--proxies %d, --max-calls %d: neither can be less than none", o.proxies, o.maxCalls)
	}
	if o.clusterDomain == "" {
		b, err := os.ReadFile("/etc/resolv.conf")
		if err != nil {
			return fmt.Errorf("the cluster's DNS suffix: %w", err)
		}
		o.clusterDomain = clusterDomain(string(b))
	}
	cfg, err := rest.InClusterConfig()
	if err != nil {
		return err
	}
	modules := new(service.Modules)
	synced, err := cluster.Watch(ctx, cfg, modules)
	if err != nil {
		return err
	}
	h := service.New(service.Options{
		Modules: modules, Proxies: o.proxies, MaxCalls: o.maxCalls,
		Transport: service.Transport(service.Dial),
		Host:      func(namespace, name string) string { return name + "." + namespace + ".svc." + o.clusterDomain },
	})
	var ending atomic.Bool
	ready := func() bool { return synced() && !ending.Load() }
	main := service.NewServer(h)
	main.Addr = o.address
	servers := []*http.Server{main, small(o.health, probes(ready, h)), small(o.index, index(modules))}
	ended := make(chan error, len(servers))
	for _, s := range servers {
		go func() { ended <- s.ListenAndServe() }()
	}
	slog.Info("router listens", "address", o.address, "cluster_domain", o.clusterDomain, "proxies", o.proxies)
	select {
	case err := <-ended:
		return fmt.Errorf("listening: %w", err)
	case <-ctx.Done():
	}
	ending.Store(true)
	slog.Info("router drains", "calls", h.UnderWay())
	return finish(main, h)
}

// clusterDomain is the suffix of Services by which a pod's DNS finds those of its namespace.
func clusterDomain(resolv string) string {
	for line := range strings.Lines(resolv) {
		words := strings.Fields(line)
		if len(words) == 0 || words[0] != "search" {
			continue
		}
		for _, w := range words[1:] {
			if domain, ok := strings.CutPrefix(w, "svc."); ok {
				return domain
			}
		}
	}
	return "cluster.local"
}

// finish lets ingresses hear of the end, and calls under way come to theirs.
func finish(main *http.Server, h *service.Router) error {
	time.Sleep(notice)
	ctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := main.Shutdown(ctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("draining: %w", err)
	}
	for h.UnderWay() > 0 && ctx.Err() == nil {
		time.Sleep(poll)
	}
	return nil
}

// small is a server of little answers.
func small(address string, h http.Handler) *http.Server {
	const soon = 10 * time.Second
	return &http.Server{Addr: address, Handler: h, ReadTimeout: soon, WriteTimeout: soon, IdleTimeout: time.Minute}
}

// probes answer short; of who has gone before that there is nothing to tell.
func probes(ready func() bool, h *service.Router) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok\n") })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if !ready() {
			http.Error(w, "the modules are not known yet, or the router ends", http.StatusServiceUnavailable)
			return
		}
		_, _ = io.WriteString(w, "ok\n")
	})
	mux.Handle("GET /metrics", promhttp.HandlerFor(h.Metrics(), promhttp.HandlerOpts{}))
	return mux
}

// index lists the modules.
func index(modules *service.Modules) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		_ = e.Encode(map[string]any{"modules": modules.All()}) // the operator who asked may have gone
	})
	return mux
}
