// Command scale measures, on the cluster of the environment, what many uploads and many waiting
// runs cost: how soon uploads start that were accepted while the controller was away; what runs of
// one module that wait cost a quick run of another, and the controller; how long the sweep of a
// large box takes; what a time without S3 costs runs. `make bench-scale` runs it. It removes what it made.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

var (
	uploads = flag.Int("uploads", 10_000, "files that are put while the controller is away")
	objects = flag.Int("objects", 100_000, "files in the box that is swept")
	rounds  = flag.Int("rounds", 40, "quick runs, alone and beside the waiting ones")
	outage  = flag.Duration("outage", 10*time.Minute, "how long the S3 server is away")
	only    = flag.String("only", "", "measure only this: waiting, sweep, outage")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "scale:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cluster, err := live.Connect()
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		do   func(context.Context, *live.Cluster) error
	}{{"waiting", waiting}, {"sweep", sweep}, {"outage", outages}} {
		if *only == "" || *only == part.name {
			if err := part.do(ctx, cluster); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
		}
	}
	return nil
}

// say shows progress, beside the figures on stdout.
func say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%s  %s\n", time.Now().Format(time.TimeOnly), fmt.Sprintf(format, args...))
}

// module brings a module onto the cluster. The function it returns takes it away, and says what
// went wrong with that.
func module(ctx context.Context, c *live.Cluster, namespace, manifests string) (*live.Module, func() error, error) {
	m, end, err := c.Begin(ctx, namespace, manifests)
	return m, func() error {
		say("removing %s …", namespace)
		return end()
	}, err
}

// begin makes a run of a pipeline that needs no inputs.
func begin(ctx context.Context, m *live.Module, pipeline, name string) error {
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: m.Namespace}}
	run.Spec = runtimev1.PipelineRunSpec{Pipeline: pipeline, Inputs: map[string]runtimev1.InputPath{},
		Outputs: map[string]string{}}
	return m.Create(ctx, run)
}

// succeeded waits for the end of a run, which must be a good one.
func succeeded(ctx context.Context, m *live.Module, name string, within time.Duration) (*runtimev1.PipelineRun, error) {
	run, err := m.AwaitRun(ctx, name, within, nil)
	if err == nil && run.Status.State != runtimev1.Succeeded {
		err = fmt.Errorf("run %s is %s: %s", name, run.Status.State, run.Status.Message)
	}
	return run, err
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func seconds(d []time.Duration) string {
	d = slices.Sorted(slices.Values(d))
	return fmt.Sprintf("median %.1f s, %.1f to %.1f, n %d", median(d).Seconds(), d[0].Seconds(),
		d[len(d)-1].Seconds(), len(d))
}
