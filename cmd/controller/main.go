// Command controller is unip's one always-on Deployment: it makes the buckets and credentials of
// DataBoxes and the key of each module, carries out the runs of pipelines, and receives what the
// modules' Triggers and the S3 server have to say.
//
// Of several replicas one works (a Lease in the controller's namespace); the others wait. It starts
// without an S3 server, S3 keys or config: the boxes then say what is missing.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"os"

	"github.com/go-logr/logr"
	"github.com/minio/minio-go/v7"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/selection"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/healthz"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/modulekey"
	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/names"
)

type options struct {
	config, s3Keys, health, metrics, leaseNamespace string
	stageImage, events, s3Events                    string
	logLevel                                        slog.Level
}

func main() {
	var o options
	flag.StringVar(&o.config, "config", "/etc/unip/config/unip.yaml", "the installation's config; may be missing")
	flag.StringVar(&o.s3Keys, "s3-credentials", "/etc/unip/s3",
		"folder with the files accessKeyId and secretAccessKey; may be missing")
	flag.StringVar(&o.health, "health-address", ":8081", "where /healthz and /readyz are served")
	flag.StringVar(&o.metrics, "metrics-address", "0",
		`where /metrics is served without authentication, ":8080" for example; "0" is nowhere`)
	flag.StringVar(&o.leaseNamespace, "lease-namespace", "", "namespace of the leader's Lease; default: the pod's own")
	flag.StringVar(&o.stageImage, "stage-image", os.Getenv("UNIP_STAGE_IMAGE"),
		"image of the containers fetch and publish of a stage's Job; default: UNIP_STAGE_IMAGE")
	flag.StringVar(&o.events, "events-address", ":8082", "where the modules' Triggers deliver events")
	flag.StringVar(&o.s3Events, "s3-events-address", ":8083", "where the S3 server posts its notifications")
	flag.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "debug, info, warn or error")
	flag.Parse()

	h := slog.NewJSONHandler(os.Stderr, &slog.HandlerOptions{Level: o.logLevel})
	slog.SetDefault(slog.New(h))
	log := logr.FromSlogHandler(h)
	ctrl.SetLogger(log)
	klog.SetLogger(log)

	ctx := ctrl.SetupSignalHandler()
	cfg, err := ctrl.GetConfig()
	if err == nil {
		err = run(ctx, cfg, o)
	}
	if err != nil {
		slog.Error("the controller ends", "error", err)
		os.Exit(3)
	}
}

func run(ctx context.Context, cfg *rest.Config, o options) error {
	src, err := settings.Open(o.config, o.s3Keys)
	if err != nil {
		return err
	}
	mgr, err := newManager(cfg, o)
	if err != nil {
		return err
	}
	transport, err := minio.DefaultTransport(true)
	if err != nil {
		return fmt.Errorf("S3 transport: %w", err)
	}
	if err := setUp(mgr, src, transport, o); err != nil {
		return err
	}
	if k := src.Current().KeysErr; k != nil {
		slog.Warn("no DataBox can become ready", "error", k)
	}
	return mgr.Start(ctx)
}

func newManager(cfg *rest.Config, o options) (manager.Manager, error) {
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{clientgoscheme.AddToScheme, platformv1.AddToScheme,
		runtimev1.AddToScheme} {
		if err := add(scheme); err != nil {
			return nil, fmt.Errorf("scheme: %w", err)
		}
	}
	ofRuns, err := labels.NewRequirement(runtimev1.RunLabel, selection.Exists, nil)
	if err != nil {
		return nil, fmt.Errorf("label selector: %w", err)
	}
	runs := cache.ByObject{Label: labels.NewSelector().Add(*ofRuns)}
	cfg = rest.CopyConfig(cfg)
	// Some ten boxes looked at in a second, when settings change for all of them; the API server's
	// own fairness is behind this.
	cfg.QPS, cfg.Burst = 50, 100
	mgr, err := ctrl.NewManager(cfg, ctrl.Options{
		Scheme:                        scheme,
		HealthProbeBindAddress:        o.health,
		Metrics:                       server.Options{BindAddress: o.metrics},
		LeaderElection:                true,
		LeaderElectionID:              names.Controller,
		LeaderElectionNamespace:       o.leaseNamespace,
		LeaderElectionReleaseOnCancel: true, // nothing runs after Start has returned
		// The priority queue of controller-runtime v0.23.1 can block for ever when it is shut down
		// with items in it: its handing out of an item waits, under the queue's lock, for a worker
		// that has left. The Lease is then not released, and the next leader waits for it.
		Controller: ctrlconfig.Controller{UsePriorityQueue: new(false)},
		// Never a cache of Secrets: there is no right to list them but in modules that have the
		// controller's Role.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&corev1.Pod{}: runs, &batchv1.Job{}: runs, modulerole.Binding(): modulerole.InCache(),
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	return mgr, nil
}

func setUp(mgr manager.Manager, src *settings.Source, transport http.RoundTripper, o options) error {
	b := &boxes.Reconciler{
		Client: mgr.GetClient(), Live: mgr.GetAPIReader(), Events: mgr.GetEventRecorder(names.Controller),
		Settings: src, Transport: transport,
	}
	if err := b.SetUp(mgr); err != nil {
		return fmt.Errorf("boxes: %w", err)
	}
	k := &modulekey.Reconciler{Client: mgr.GetClient(), Live: mgr.GetAPIReader()}
	if err := k.SetUp(mgr); err != nil {
		return fmt.Errorf("module keys: %w", err)
	}
	if err := setUpRuns(mgr, src, transport, o); err != nil {
		return fmt.Errorf("runs: %w", err)
	}
	// As a plain function it starts with the leader's work, which alone needs it.
	if err := mgr.Add(manager.RunnableFunc(src.Follow)); err != nil {
		return fmt.Errorf("settings: %w", err)
	}
	for name, add := range map[string]func(string, healthz.Checker) error{"healthz": mgr.AddHealthzCheck,
		"readyz": mgr.AddReadyzCheck} {
		if err := add(name, healthz.Ping); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}
