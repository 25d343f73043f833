// Command controller is unip's one always-on Deployment: it makes the buckets and credentials of
// DataBoxes and the key of each module, carries out the runs of pipelines, and receives what the
// modules' Triggers and the S3 server have to say.
//
// Of several replicas one works (a Lease in the controller's namespace). All of them receive, also
// while the API server is away. It starts without an S3 server, S3 keys or config: the boxes then
// say what is missing.
//
// As "controller s3-check" it is no controller: it tries on the installation's S3 server what unip
// needs of it, and ends.
package main

import (
	"context"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"time"

	"github.com/go-logr/logr"
	"github.com/minio/minio-go/v7"
	"k8s.io/client-go/rest"
	"k8s.io/klog/v2"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/unip-knative/unip/cmd/controller/internal/outage"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
)

type options struct {
	config, s3Keys, health, metrics, leaseNamespace string
	stageImage, inferenceImage, gatewayImage        string
	version                                         string
	events, s3Events, advertise                     string
	// drain is how long requests are still taken once the end is wanted.
	drain    time.Duration
	logLevel slog.Level
}

func main() {
	if len(os.Args) > 1 && os.Args[1] == "s3-check" {
		os.Exit(s3Check(ctrl.SetupSignalHandler(), os.Args[2:], os.Stdout, os.Stderr))
	}
	var o options
	flag.StringVar(&o.config, "config", "/etc/unip/config/unip.yaml", "the installation's config; may be missing")
	flag.StringVar(&o.s3Keys, "s3-credentials", "/etc/unip/s3",
		"folder with the files accessKeyId and secretAccessKey; may be missing")
	flag.StringVar(&o.health, "health-address", ":8081", "where /healthz and /readyz are served")
	flag.StringVar(&o.metrics, "metrics-address", ":8443",
		`where /metrics is served, by TLS and to those whom the API server lets get it; "0" is nowhere`)
	flag.StringVar(&o.leaseNamespace, "lease-namespace", "", "namespace of the leader's Lease; default: the pod's own")
	flag.StringVar(&o.stageImage, "stage-image", os.Getenv("UNIP_STAGE_IMAGE"),
		"image of the containers fetch and publish of a stage's Job; default: UNIP_STAGE_IMAGE")
	flag.StringVar(&o.inferenceImage, "inference-image", os.Getenv("UNIP_INFERENCE_IMAGE"),
		"image of the server of MLComponents, published for authors; default: UNIP_INFERENCE_IMAGE")
	flag.StringVar(&o.gatewayImage, "gateway-image", os.Getenv("UNIP_GATEWAY_IMAGE"),
		"image of the modules' gateways, published for authors; default: UNIP_GATEWAY_IMAGE")
	flag.StringVar(&o.version, "release", os.Getenv("UNIP_VERSION"),
		"version of the release, published for authors and operators; default: UNIP_VERSION")
	flag.StringVar(&o.events, "events-address", ":8082", "where the modules' Triggers deliver events")
	flag.StringVar(&o.s3Events, "s3-events-address", ":8083", "where the S3 server posts its notifications")
	flag.StringVar(&o.advertise, "advertise", os.Getenv("UNIP_POD_IP"),
		"address at which the other replicas reach this one; default: UNIP_POD_IP")
	flag.DurationVar(&o.drain, "drain", 3*time.Second,
		"how long events are taken after the signal to end: by then nobody sends here any more")
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
	transport, err := minio.DefaultTransport(true)
	if err != nil {
		return fmt.Errorf("S3 transport: %w", err)
	}
	if k := src.Current().KeysErr; k != nil {
		slog.Warn("no DataBox can become ready", "error", k)
	}
	r, err := newReplica(cfg, src, outage.New(transport), o)
	if err != nil {
		return err
	}
	return r.run(ctx)
}
