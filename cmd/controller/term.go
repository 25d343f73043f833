package main

import (
	"context"
	"fmt"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/selection"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/cache"
	"sigs.k8s.io/controller-runtime/pkg/client"
	ctrlconfig "sigs.k8s.io/controller-runtime/pkg/config"
	"sigs.k8s.io/controller-runtime/pkg/manager"
	"sigs.k8s.io/controller-runtime/pkg/metrics/server"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/modulekey"
	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/modules"
	"github.com/unip-knative/unip/cmd/controller/internal/release"
	"github.com/unip-knative/unip/cmd/controller/internal/runs"
	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	"github.com/unip-knative/unip/cmd/controller/internal/statickeys"
	"github.com/unip-knative/unip/cmd/controller/internal/usage"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/functions/inference/worker"
	"github.com/unip-knative/unip/translate/installation"
)

// term is the work of a leader, from an election to its end. All of it is made anew for each term,
// caches too: what a former one knew may be long out of date.
type term struct {
	runs      *runs.Reconciler
	schedules *modules.Schedules
	counter   *usage.Counter
}

// lead does a term's work until ctx ends.
func (r *replica) lead(ctx context.Context) error {
	mgr, err := r.newManager()
	if err != nil {
		return err
	}
	t, err := r.newTerm(mgr)
	if err != nil {
		return err
	}
	// It begins when the caches are filled.
	tell := func(ctx context.Context) error {
		r.term.Store(t)
		<-ctx.Done()
		r.term.Store(nil)
		return nil
	}
	if err := mgr.Add(manager.RunnableFunc(tell)); err != nil {
		return err
	}
	defer runs.TermIsOver()
	return mgr.Start(ctx)
}

func (r *replica) newManager() (manager.Manager, error) {
	ofRuns, err := labels.NewRequirement(runtimev1.RunLabel, selection.Exists, nil)
	if err != nil {
		return nil, fmt.Errorf("label selector: %w", err)
	}
	parts := cache.ByObject{Label: labels.NewSelector().Add(*ofRuns)}
	mgr, err := ctrl.NewManager(r.config, ctrl.Options{
		Scheme:                 r.scheme,
		HealthProbeBindAddress: "0", // the replica's
		Metrics:                server.Options{BindAddress: "0"},
		// A term is over when all of it has ended; package leading bounds that.
		GracefulShutdownTimeout: new(time.Duration(-1)),
		Controller: ctrlconfig.Controller{
			// The priority queue of controller-runtime v0.23.1 can block for ever when it is shut down
			// with items in it: its handing out of an item waits, under the queue's lock, for a worker
			// that has left. The term would then not end.
			UsePriorityQueue: new(false),
			// The next term's controllers have the same names, and count on with the same metrics.
			SkipNameValidation: new(true),
		},
		// Never a cache of Secrets: there is no right to list them but in modules that have the
		// controller's Role.
		Client: client.Options{Cache: &client.CacheOptions{DisableFor: []client.Object{&corev1.Secret{}}}},
		Cache: cache.Options{
			DefaultTransform: cache.TransformStripManagedFields(),
			ByObject: map[client.Object]cache.ByObject{
				&runtimev1.PipelineRun{}: {Transform: runs.Slim},
				&corev1.Pod{}:            parts, &batchv1.Job{}: parts, modulerole.Binding(): modulerole.InCache(),
			},
		},
	})
	if err != nil {
		return nil, fmt.Errorf("manager: %w", err)
	}
	return mgr, nil
}

// newTerm adds all that a leader does to a manager.
func (r *replica) newTerm(mgr manager.Manager) (*term, error) {
	pods, err := kubernetes.NewForConfig(mgr.GetConfig())
	if err != nil {
		return nil, err
	}
	c, live, src, events := mgr.GetClient(), mgr.GetAPIReader(), r.settings, mgr.GetEventRecorder(names.Controller)
	t := &term{
		runs: &runs.Reconciler{
			Client: c, Live: live, Pods: pods, Events: events, Settings: src, Transport: r.transport,
			Broker: r.publisher, Delivered: r.brokers.Delivered, Image: r.options.stageImage,
			StorageAway: r.transport.Since, Traces: r.traces,
		},
		schedules: &modules.Schedules{Client: c, Live: live, Settings: src, Starts: r.maker, Events: events},
		counter: &usage.Counter{
			Client: c, Live: live, Events: events, Settings: src, Transport: r.transport,
			SystemBucket: func(ctx context.Context) (string, error) {
				i, err := r.inbox.open(ctx)
				return i.Bucket, err
			},
		},
	}
	b := &boxes.Reconciler{Client: c, Live: live, Events: events, Settings: src, Transport: r.transport,
		UploadLinks: r.links}
	pipelines := &modules.Pipelines{Client: c, Live: live, Settings: src, Transport: r.transport, Starts: r.maker}
	keys := &statickeys.Watch{Cache: c, Live: live, Settings: src, Box: b.Look,
		Runs: func(ctx context.Context, namespace string) {
			pipelines.Look(ctx, namespace)
			t.runs.KeysChanged(ctx, namespace)
		}}
	sweeper := starts.NewSweeper(r.maker, b.Look)
	b.ToldAgain = sweeper.Soon
	for what, part := range map[string]interface{ SetUp(manager.Manager) error }{
		"boxes": b,
		"developers' files": boxes.Developers{Client: c, Live: live, Events: events, Settings: src,
			Transport: r.transport, UploadLinks: r.links},
		"module keys":    &modulekey.Reconciler{Client: c, Live: live},
		"runs":           t.runs,
		"logs of stages": runs.Janitor{Client: c, Pods: pods, Settings: src, Transport: r.transport},
		"pipelines":      pipelines,
		"schedules":      t.schedules,
		"usage":          t.counter,
		"release": release.Publisher{Client: c, Release: installation.Release{
			Version: r.options.version, Inference: r.options.inferenceImage, Gateway: r.options.gatewayImage,
			Worker: worker.Files(),
		}},
	} {
		if err := part.SetUp(mgr); err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
	}
	for _, work := range []manager.RunnableFunc{r.notifications.Drain, sweeper.Run, keys.Run} {
		if err := mgr.Add(work); err != nil {
			return nil, err
		}
	}
	return t, nil
}
