// Command gateway is the one public Service of a module: it checks who calls, passes predict, the
// OpenAPI document and the Open Inference Protocol on to the module's MLComponents, gives out links
// to files, and starts and shows runs of pipelines. It holds no state and scales to zero.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"net/url"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"k8s.io/client-go/rest"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/router"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/cluster"
	"github.com/unip-knative/unip/functions/gateway/service"
	"github.com/unip-knative/unip/functions/internal/httpmetrics"
)

// drain is how long calls under way may go on after SIGTERM. Knative waits for them before, so
// they are few; kubelet kills later.
const drain = 25 * time.Second

type options struct {
	sampled                                   float64
	maxBody                                   int64
	uploadLinks                               int
	namespace, prefix                         string // of the module, and before the names of its objects
	routes, auth, key, clusterDomain, address string
	boxes, s3Public, runs, metrics            string
}

func main() {
	var o options
	namespace := flag.String("namespace-file", "/unip/pod/namespace", "file with the module's namespace")
	flag.StringVar(&o.routes, "routes", "/unip/routes/routes.json", "the published APIs")
	flag.StringVar(&o.auth, "auth", "/unip/auth", "folder with one folder per Secret of users")
	flag.StringVar(&o.key, "key", "/unip/key/key", "the module's key, with which callers are signed")
	flag.StringVar(&o.clusterDomain, "cluster-domain", "cluster.local", "DNS suffix of the cluster's Services")
	flag.StringVar(&o.boxes, "boxes", "/unip/boxes", "folder with one folder per box, with its session")
	flag.StringVar(&o.s3Public, "s3-public-endpoint", "",
		"the S3 server as callers see it, for links; default: what the session says")
	flag.StringVar(&o.runs, "runs", "", "folder with the session of the runs' logs; without it no run is served")
	flag.StringVar(&o.address, "address", ":8080", "where to listen")
	flag.StringVar(&o.metrics, "metrics-address", ":9464",
		`where /metrics is served without authentication; "0" is nowhere`)
	flag.IntVar(&o.uploadLinks, "upload-links", service.UsualUploadLinks,
		"how many links for files of unknown size a user gets for a box within an hour; 0 is no bound")
	flag.Int64Var(&o.maxBody, "max-body", service.UsualMaxBody, "the largest body of a call of an MLComponent in bytes")
	flag.Float64Var(&o.sampled, "trace-sampling-rate", 0,
		"share of the calls of which their caller has not decided, 0 to 1, that are marked as sampled")
	flag.Parse()
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	err := o.place(*namespace, os.Getenv("K_SERVICE"))
	if err == nil {
		err = run(ctx, o)
	}
	if err != nil {
		slog.Error("the gateway ends", "error", err)
		os.Exit(3)
	}
}

// place finds out where the gateway is. Its own name, which Knative tells it, ends in "gateway";
// when the module's names have been prefixed (by kustomize, say), so has it.
func (o *options) place(namespaceFile, service string) error {
	b, err := os.ReadFile(namespaceFile)
	if err != nil {
		return fmt.Errorf("reading the module's namespace: %w", err)
	}
	prefix, ok := strings.CutSuffix(service, names.Gateway)
	if !ok {
		return fmt.Errorf("K_SERVICE is %q, but the gateway's Knative Service is named %s, with nothing behind it",
			service,
			names.Gateway)
	}
	o.namespace, o.prefix = string(b), prefix
	return nil
}

func run(ctx context.Context, o options) error {
	so, err := serviceOptions(o)
	if err != nil {
		return err
	}
	counted := httpmetrics.New("api")
	so.Metrics = counted
	go counted.Serve(ctx, o.metrics, slog.Default())
	g, err := service.New(so)
	if err != nil {
		return err
	}
	for _, a := range so.Routes.APIs {
		if a.Auth == nil {
			slog.Warn("API is open to everybody", "api", a.Name)
		}
	}
	srv := service.NewServer(g)
	srv.Addr = o.address
	ended := make(chan error, 1)
	go func() { ended <- srv.ListenAndServe() }()
	slog.Info("gateway listens", "address", o.address, "namespace", o.namespace, "apis", len(so.Routes.APIs))
	select {
	case err := <-ended:
		return fmt.Errorf("listening: %w", err)
	case <-ctx.Done():
	}
	slog.Info("gateway drains")
	dctx, cancel := context.WithTimeout(context.Background(), drain)
	defer cancel()
	if err := srv.Shutdown(dctx); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("draining: %w", err)
	}
	return nil
}

// serviceOptions are those of a gateway in a cluster.
func serviceOptions(o options) (service.Options, error) {
	file, err := readRoutes(o.routes)
	if err != nil {
		return service.Options{}, err
	}
	so := service.Options{
		Namespace: o.namespace, Prefix: o.prefix, Routes: file, Passwords: o.auth, Key: o.key,
		Address: func(component string) *url.URL {
			return &url.URL{Scheme: "http", Host: component + "." + o.namespace + ".svc." + o.clusterDomain}
		},
		Boxes: o.boxes, S3Endpoint: o.s3Public, UploadLinks: o.uploadLinks, MaxBody: o.maxBody, Sampled: o.sampled,
		Routers: func(ctx context.Context) ([]netip.Addr, error) {
			return net.DefaultResolver.LookupNetIP(ctx, "ip", router.PodsHost(o.clusterDomain)+".")
		},
	}
	if len(file.Developers) > 0 {
		store, err := storeOfCluster(o.namespace)
		if err != nil {
			return service.Options{}, fmt.Errorf("developers of boxes: %w", err)
		}
		so.Puts = store.Put
	}
	if o.runs == "" || !file.Publishes(routes.KindPipeline, routes.KindPipelines) {
		return so, nil
	}
	so.KeptLogs = func() (*s3.Box, error) { return s3.Open(filepath.Join(o.runs, databox.SessionKey), nil) }
	if so.Runs, err = storeOfCluster(o.namespace); err != nil {
		return service.Options{}, fmt.Errorf("runs: %w", err)
	}
	return so, nil
}

func readRoutes(name string) (routes.File, error) {
	f, err := os.Open(name)
	if err != nil {
		return routes.File{}, fmt.Errorf("routes: %w", err)
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, routes.MaxFile+1))
	if err != nil {
		return routes.File{}, fmt.Errorf("routes: %w", err)
	}
	return routes.Decode(b)
}

// storeOfCluster talks to the cluster with the gateway's own account.
func storeOfCluster(namespace string) (*cluster.Store, error) {
	cfg, err := rest.InClusterConfig()
	if err != nil {
		return nil, err
	}
	return cluster.New(cfg, namespace)
}
