//go:build integration

package main

import (
	"errors"
	"flag"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	life "github.com/unip-knative/unip/eventing/run"
)

var waitingRuns = flag.Int("waiting", 60, "how many runs wait in the tests of max-parallel-runs")

// limitedPipeline makes a module with a pipeline of one stage and a limit of runs.
func (c *cluster) limitedPipeline(t *testing.T, ns string, limit int32) {
	t.Helper()
	data := c.box(t, ns, "data")
	c.waitFor(t, data, platformv1.ReasonReady)
	c.s3.Put(t, data.Status.Bucket, "data/f", "x")
	c.pipelineOfBoxes(t, ns, "train", "data", "data")
	c.limit(t, ns, limit)
}

func (c *cluster) limit(t *testing.T, ns string, limit int32) {
	t.Helper()
	p := &runtimev1.Pipeline{}
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "train"}, p))
	before := p.DeepCopy()
	p.Spec.MaxParallelRuns = limit
	must(t, c.Patch(t.Context(), p, client.MergeFrom(before)))
}

// queueUp makes runs, of which one begins and the others wait, and gives the one.
func (c *cluster) queueUp(t *testing.T, ns string, n int) *runtimev1.PipelineRun {
	t.Helper()
	first := c.run(t, ns, "run-0000", "train")
	c.requested(t, first)
	c.waitForRunThat(t, first, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Running })
	for i := range n {
		c.run(t, ns, fmt.Sprintf("run-%04d", i+1), "train")
	}
	began := time.Now()
	for waits := 0; waits < n; {
		waits = 0
		for _, r := range c.runs(t, ns) {
			if life.Waits(&r) {
				waits++
			}
		}
		if time.Since(began) > 10*time.Minute {
			t.Fatalf("%d of %d runs wait", waits, n)
		}
		time.Sleep(50 * time.Millisecond)
	}
	t.Logf("%d runs wait after %s", n, time.Since(began).Round(100*time.Millisecond))
	return first
}

func (c *cluster) runs(t *testing.T, ns string) []runtimev1.PipelineRun {
	t.Helper()
	var all runtimev1.PipelineRunList
	must(t, c.List(t.Context(), &all, client.InNamespace(ns)))
	return all.Items
}

// runsUnderWay are the names of the runs that are.
func (c *cluster) runsUnderWay(t *testing.T, ns string) (names []string) {
	t.Helper()
	for _, r := range c.runs(t, ns) {
		if life.UnderWay(&r.Status) {
			names = append(names, r.Name)
		}
	}
	return names
}

// succeeds ends the run's one stage as a pod does whose containers end well.
func (c *cluster) succeeds(t *testing.T, r *runtimev1.PipelineRun) {
	t.Helper()
	job := &batchv1.Job{}
	eventually(t, "the stage's Job", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(r), r); err != nil {
			return err
		}
		if len(r.Status.Stages) == 0 || r.Status.Stages[0].Job == "" {
			return errors.New("it has not begun")
		}
		return c.Get(t.Context(), client.ObjectKey{Namespace: r.Namespace, Name: r.Status.Stages[0].Job}, job)
	})
	spec := job.Spec.Template.Spec
	p := &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: job.Namespace, Name: job.Name + "-pod",
		Labels: map[string]string{batchv1.JobNameLabel: job.Name, runtimev1.RunLabel: r.Name},
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job,
			batchv1.SchemeGroupVersion.WithKind("Job"))},
	}, Spec: spec}
	must(t, c.Create(t.Context(), p))
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		FinishedAt: metav1.Now(), Message: `{"files":1,"bytes":7}`,
	}}
	for _, x := range spec.InitContainers {
		p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses,
			corev1.ContainerStatus{Name: x.Name, State: ended})
	}
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: spec.Containers[0].Name, State: ended}}
	must(t, c.Status().Update(t.Context(), p))
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Succeeded })
}

// quickRun is how long a run takes whose stage takes no time.
func (c *cluster) quickRun(t *testing.T, ns, name string) time.Duration {
	t.Helper()
	began := time.Now()
	r := c.run(t, ns, name, "train")
	c.requested(t, r)
	c.succeeds(t, r)
	return time.Since(began)
}

// A run that waits for others of its pipeline costs nothing, and another module's run takes as long
// as ever, also while they come. They begin one by one, the oldest first.
func TestWaitingRuns(t *testing.T) {
	c := start(t)
	c.operator(t, "accessKeyId", miniotest.AccessKey)
	c.operator(t, "secretAccessKey", miniotest.SecretKey)
	c.limitedPipeline(t, "flood", 1)
	c.limitedPipeline(t, "calm", 0)
	median := func(prefix string) time.Duration {
		var all []time.Duration
		for i := range 5 {
			all = append(all, c.quickRun(t, "calm", fmt.Sprint(prefix, i)))
		}
		slices.Sort(all)
		return all[2]
	}
	quiet := median("quiet-")
	first := c.queueUp(t, "flood", *waitingRuns)
	before, began := c.asked.len(), time.Now()
	busy := median("busy-")
	took := time.Since(began)
	ofRuns := c.asked.since(before, func(path string) bool { return strings.Contains(path, "/pipelineruns") })
	ofFlood := c.asked.since(before, func(path string) bool { return strings.Contains(path, "/namespaces/flood/") })
	t.Logf("a quick run of another module: %s, and %s while %d runs wait; %d requests for runs in %s, %d of the module "+
		"whose runs wait", quiet.Round(time.Millisecond), busy.Round(time.Millisecond), *waitingRuns, len(ofRuns),
		took.Round(100*time.Millisecond), len(ofFlood))
	for _, x := range ofFlood {
		if strings.Contains(x, "/pipelineruns/") && !strings.Contains(x, first.Name) {
			t.Errorf("for runs that wait: %s", x)
		}
	}
	if busy > quiet*3 {
		t.Errorf("a quick run takes %s, and %s while others of another module wait", quiet, busy)
	}
	for i := range 3 {
		if names := c.runsUnderWay(t, "flood"); !slices.Equal(names, []string{first.Name}) {
			t.Fatalf("under way: %v", names)
		}
		c.succeeds(t, first)
		first = &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "flood",
			Name: fmt.Sprintf("run-%04d", i+1)}}
		c.waitForRunThat(t, first, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Running })
	}

	c.limit(t, "flood", 3) // two more
	eventually(t, "a higher limit", func() error {
		if names := c.runsUnderWay(t, "flood"); !slices.Equal(names, []string{"run-0003", "run-0004", "run-0005"}) {
			return fmt.Errorf("under way: %v", names)
		}
		return nil
	})
	cancelled := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "flood", Name: "run-0006"}}
	must(t, c.Patch(t.Context(), cancelled, client.RawPatch("application/merge-patch+json",
		[]byte(`{"spec":{"cancel":true}}`))))
	c.waitForRunThat(t, cancelled, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Cancelled })
	must(t, c.Delete(t.Context(), &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "flood",
		Name: "run-0003"}}))
	eventually(t, "a run that was deleted makes room", func() error {
		if names := c.runsUnderWay(t, "flood"); !slices.Equal(names, []string{"run-0004", "run-0005", "run-0007"}) {
			return fmt.Errorf("under way: %v", names)
		}
		return nil
	})
}

// slowPipelines is a configuration whose questions for pipelines are on their way for a while.
func slowPipelines(cfg *rest.Config, takes time.Duration) *rest.Config {
	cfg = rest.CopyConfig(cfg)
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper {
		return roundTripper(func(r *http.Request) (*http.Response, error) {
			if strings.HasSuffix(r.URL.Path, "/pipelines") {
				select {
				case <-time.After(takes):
				case <-r.Context().Done():
				}
			}
			return next.RoundTrip(r)
		})
	})
	return cfg
}

// A leader that dies leaves its pipelines' limits to the next one, which admits nobody before it
// knows them, though it hears of the runs long before.
func TestNextLeaderCountsWhatIsStored(t *testing.T) {
	c, cfg := startServers(t)
	c.operator(t, "accessKeyId", miniotest.AccessKey)
	c.operator(t, "secretAccessKey", miniotest.SecretKey)
	one := c.gated(t, cfg)
	c.events = one.events
	c.leads(t, one)
	c.limitedPipeline(t, "flood", 1)
	first := c.queueUp(t, "flood", *waitingRuns)

	one.way.shut() // it dies without a word
	one.stop()
	two := c.gated(t, slowPipelines(cfg, 3*time.Second))
	c.events = two.events
	c.leads(t, two)
	// It has looked at all there is once it has carried out a run that came after.
	c.limitedPipeline(t, "calm", 0)
	c.quickRun(t, "calm", "after")
	if names := c.runsUnderWay(t, "flood"); !slices.Equal(names, []string{first.Name}) {
		t.Fatalf("under way: %v", names)
	}
	c.succeeds(t, first)
	next := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "flood", Name: "run-0001"}}
	c.waitForRunThat(t, next, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Running })
	if names := c.runsUnderWay(t, "flood"); !slices.Equal(names, []string{next.Name}) {
		t.Errorf("under way: %v", names)
	}
	one.way.reopen()
}
