package main

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	life "github.com/unip-knative/unip/eventing/run"
)

// One run of this module is under way for an hour, and all others wait behind it.
const manyManifests = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: data, namespace: NAMESPACE}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata:
  name: many
  namespace: NAMESPACE
  annotations:
    knative.unified-platform.cs.hse.ru/on-upload: '[{"box":"data","prefix":"in/","input":"f"}]'
    knative.unified-platform.cs.hse.ru/max-parallel-runs: "1"
spec:
  vars: [{name: f}, {name: o}]
  stages:
    - name: s
      image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}
      command: [sleep, "3600"]
      inputs: [{name: f}]
      outputs: [{name: o}]
`

const quickManifests = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: data, namespace: NAMESPACE}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata: {name: quick, namespace: NAMESPACE}
spec:
  vars: [{name: o}]
  stages:
    - name: s
      image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}
      command: ["true"]
      outputs: [{name: o}]
`

// waiting measures how soon many uploads start, and what the runs that they start, which wait, cost
// a run of another module.
func waiting(ctx context.Context, c *live.Cluster) (err error) {
	quick, removeQuick, err := module(ctx, c, "unip-scale-quick", quickManifests)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeQuick()) }()
	many, removeMany, err := module(ctx, c, "unip-scale-many", manyManifests)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, removeMany()) }()

	alone, err := quickRuns(ctx, quick, "alone")
	if err != nil {
		return err
	}
	fmt.Printf("quick run, nothing waits      %s\n", seconds(alone))
	if err := replicas(ctx, c, 0); err != nil {
		return err
	}
	if err := putAll(ctx, many, "in/", *uploads); err != nil {
		return errors.Join(err, replicas(context.WithoutCancel(ctx), c, 1))
	}
	if err := replicas(ctx, c, 1); err != nil {
		return err
	}
	back := time.Now()
	if err := awaitStarts(ctx, many, back); err != nil {
		return err
	}
	if err := awaitEmptyInbox(ctx, quick, back); err != nil {
		return err
	}
	if err := awaitTurns(ctx, many, back); err != nil {
		return err
	}
	beside, err := quickRuns(ctx, quick, "beside")
	if err != nil {
		return err
	}
	fmt.Printf("quick run, %d wait         %s\nratio of the medians          %.2f\n", *uploads-1, seconds(beside),
		median(beside).Seconds()/median(alone).Seconds())
	return idle(ctx, c)
}

// awaitEmptyInbox waits until nothing is left to do for the uploads: their events go on for a while
// after their runs were made.
func awaitEmptyInbox(ctx context.Context, m *live.Module, back time.Time) error {
	s3, _, err := m.Bucket(ctx, "data")
	if err != nil {
		return err
	}
	say("waiting until the inbox is empty …")
	err = live.Await(ctx, 20*time.Minute, "the inbox", func(ctx context.Context) error {
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		for o := range s3.ListObjects(ctx, databox.UsualBuckets.System(),
			minio.ListObjectsOptions{Prefix: "spool/", Recursive: true}) {
			return errors.Join(o.Err, fmt.Errorf("%s is there", o.Key))
		}
		return nil
	})
	if err != nil {
		return err
	}
	fmt.Printf("their events have come back   %.0f s after the controller's return\n", time.Since(back).Seconds())
	return nil
}

// awaitTurns waits until each run but the first is known to wait for its turn.
func awaitTurns(ctx context.Context, m *live.Module, back time.Time) error {
	say("waiting until all runs wait for their turn …")
	for {
		all, err := m.Runs(ctx)
		if err != nil {
			return err
		}
		n := 0
		for i := range all {
			if life.Waits(&all[i]) {
				n++
			}
		}
		if n >= *uploads-1 {
			break
		}
		if time.Since(back) > 20*time.Minute {
			return fmt.Errorf("only %d of %d runs wait", n, *uploads-1)
		}
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
	}
	fmt.Printf("all but one wait              %.0f s after the controller's return\n", time.Since(back).Seconds())
	return nil
}

// awaitStarts waits until each upload has its run.
func awaitStarts(ctx context.Context, m *live.Module, back time.Time) error {
	count := func() (int, error) {
		all := &metav1.PartialObjectMetadataList{}
		all.SetGroupVersionKind(runtimev1.GroupVersion.WithKind("PipelineRunList"))
		err := m.List(ctx, all, client.InNamespace(m.Namespace))
		return len(all.Items), err
	}
	for {
		n, err := count()
		if err != nil {
			return err
		}
		took := time.Since(back)
		if n >= *uploads {
			fmt.Printf("%d uploads have started    %.0f s after the controller's return (%.0f a second)\n", n,
				took.Seconds(), float64(n)/took.Seconds())
			break
		}
		say("%d of %d runs after %.0f s", n, *uploads, took.Seconds())
		if took > 20*time.Minute {
			return fmt.Errorf("only %d of %d uploads have started", n, *uploads)
		}
		if err := pause(ctx, 5*time.Second); err != nil {
			return err
		}
	}
	// What would come twice comes with what was told twice: let the inbox run empty.
	if err := pause(ctx, time.Minute); err != nil {
		return err
	}
	if n, err := count(); err != nil || n != *uploads {
		return errors.Join(err, fmt.Errorf("%d uploads have started %d runs", *uploads, n))
	}
	return nil
}

// quickRuns are how long quick runs take, one after the other.
func quickRuns(ctx context.Context, m *live.Module, name string) ([]time.Duration, error) {
	var took []time.Duration
	for i := range *rounds {
		// Kubelet looks at its pods each second: the runs begin at all moments of that second alike.
		if err := pause(ctx, time.Duration(i*618%1000)*time.Millisecond); err != nil {
			return nil, err
		}
		run, at := fmt.Sprintf("%s-%d", name, i), time.Now()
		if err := begin(ctx, m, "quick", run); err != nil {
			return nil, err
		}
		ended, err := succeeded(ctx, m, run, 5*time.Minute)
		if err != nil {
			return nil, err
		}
		// By what is written down, to the millisecond: the waiting above looks each second.
		took = append(took, ended.Status.Stages[0].CompletionTime.Sub(at))
		say("quick run %s took %.1f s", run, took[i].Seconds())
	}
	return took, nil
}

// idle says what the controller uses while the runs wait and nothing else is done.
func idle(ctx context.Context, c *live.Cluster) error {
	before, err := c.ControllerUsage(ctx)
	if err != nil {
		return err
	}
	if err := pause(ctx, time.Minute); err != nil {
		return err
	}
	after, err := c.ControllerUsage(ctx)
	if err != nil {
		return err
	}
	share := (after.CPU - before.CPU).Seconds() / after.At.Sub(before.At).Seconds()
	fmt.Printf("controller, %d wait        %.0f MiB (working set), %.1f %% of a core\n", *uploads-1,
		float64(after.Memory)/(1<<20), 100*share)
	return nil
}

// putAll puts many small files of one user into the box data.
func putAll(ctx context.Context, m *live.Module, prefix string, n int) error {
	s3, session, err := m.Bucket(ctx, "data")
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(16)
	var done atomic.Int64
	for i := range n {
		g.Go(func() error {
			key := databox.UserPrefix("ann") + fmt.Sprintf("%s%06d.txt", prefix, i)
			_, err := s3.PutObject(ctx, session.Bucket, key, strings.NewReader("1"), 1,
				minio.PutObjectOptions{DisableMultipart: true})
			if d := done.Add(1); d%5000 == 0 {
				say("%d of %d files are put", d, n)
			}
			return err
		})
	}
	return g.Wait()
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
