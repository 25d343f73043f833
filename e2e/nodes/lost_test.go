//go:build e2e

// Package nodes_test loses a node under a running stage. It needs a cluster with two nodes:
// `make e2e-nodes`.
package nodes_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/stage"
)

const (
	namespace     = "pu-e2e-pa-nodes"
	first, second = "node", "node-2"
	// taint keeps pods off the second node; e2e/cluster sets it.
	taint = "unip-e2e/second-node"
	// within is how long it may take from a node's NotReady to the next attempt's process.
	within = 75 * time.Second
)

// The stage writes which pod did its work. It works long enough for a node to be lost under it.
const manifests = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: data, namespace: NAMESPACE}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata: {name: work, namespace: NAMESPACE}
spec:
  vars: [{name: table, mountFrom: {box: data, path: in/table.csv}}, {name: result}]
  stages:
    - name: only
      image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}
      command: [sh, -ec, 'sleep 25; echo "$HOSTNAME" > "$UNIP_PIPELINE_RESULT/pod"']
      inputs: [{name: table}]
      outputs: [{name: result}]
`

// A node is lost while a stage with no retries works there. The stage gets another attempt within
// the time, the run succeeds, and the node's return changes nothing.
func TestLostNode(t *testing.T) {
	cluster, err := live.Connect()
	if err != nil {
		t.Fatal(err)
	}
	m, end, err := cluster.Begin(t.Context(), namespace, manifests)
	must(t, err)
	w := world{m, os.Getenv("CLUSTER")}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.Diagnose(context.WithoutCancel(t.Context())))
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	must(t, m.Put(t.Context(), "data", "in/table.csv", []byte("1")))
	for _, c := range []struct {
		name       string
		lose, back []string
	}{
		{"killed", []string{"second-node", "kill"}, []string{"up", "--nodes", "2"}},
		{"cut off", []string{"second-node", "cut"}, []string{"second-node", "join"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			run := w.startOnSecond(t, strings.ReplaceAll(c.name, " ", "-"))
			w.do(t, c.lose...)
			defer w.do(t, c.back...)
			lost, again := w.awaitNext(t, run)
			t.Logf("from %s NotReady to the next attempt's process: %.0f s", second, again.Sub(lost).Seconds())
			if again.Sub(lost) > within {
				t.Errorf("that is more than %s", within)
			}
			ended, err := m.AwaitRun(t.Context(), run, 3*time.Minute, nil)
			must(t, err)
			st := ended.Status.Stages[0]
			if ended.Status.State != runtimev1.Succeeded || st.Attempt != 2 {
				t.Errorf("the run is %s %s, attempt %d: %s", ended.Status.State, ended.Status.Message, st.Attempt,
					st.Message)
			}
			before := w.visible(t, ended)
			w.do(t, c.back...)
			w.awaitNoPod(t, run)
			if after := w.visible(t, ended); after != before || !strings.Contains(after, "-2-") {
				t.Errorf("before the node came back it was %q, then %q; want the second attempt's", before, after)
			}
		})
	}
}

type world struct {
	*live.Module
	program string // of the local cluster
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// do has the local cluster's program do something to the second node.
func (w world) do(t *testing.T, args ...string) {
	t.Helper()
	if _, err := w.Run(context.WithoutCancel(t.Context()), nil, w.program, args...); err != nil {
		t.Fatal(err)
	}
}

func (w world) kubectl(t *testing.T, args ...string) {
	t.Helper()
	if _, err := w.Kubectl(context.WithoutCancel(t.Context()), args...); err != nil {
		t.Fatal(err)
	}
}

// startOnSecond starts a run, and returns when its stage works on the second node.
func (w world) startOnSecond(t *testing.T, name string) string {
	t.Helper()
	w.kubectl(t, "cordon", first)
	defer w.kubectl(t, "uncordon", first)
	w.kubectl(t, "taint", "node", second, taint+"-")
	defer w.kubectl(t, "taint", "node", second, taint+":NoSchedule")
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	run.Spec = runtimev1.PipelineRunSpec{Pipeline: "work", Inputs: map[string]runtimev1.InputPath{},
		Outputs: map[string]string{"result": "data:/results/" + name + "/"}}
	must(t, w.Create(t.Context(), run))
	must(t, live.Await(t.Context(), time.Minute, "the stage to work on "+second, func(ctx context.Context) error {
		pods, err := w.pods(ctx, name)
		for _, p := range pods {
			if p.Spec.NodeName == second && !worksSince(p).IsZero() {
				return nil
			}
		}
		return errors.Join(err, fmt.Errorf("%d pods", len(pods)))
	}))
	return name
}

func (w world) pods(ctx context.Context, run string) ([]corev1.Pod, error) {
	var all corev1.PodList
	err := w.List(ctx, &all, client.InNamespace(namespace), client.MatchingLabels{runtimev1.RunLabel: run})
	return all.Items, err
}

// worksSince is when the user's process of a pod began, zero while it does not run.
func worksSince(p corev1.Pod) time.Time {
	for _, c := range p.Status.InitContainerStatuses {
		if stage.IsFunction(c.Name) && c.State.Running != nil {
			return c.State.Running.StartedAt.Time
		}
	}
	return time.Time{}
}

// awaitNext waits for the next attempt's process on the first node, and says when Kubernetes called
// the second one lost, and when that process began.
func (w world) awaitNext(t *testing.T, run string) (lost, again time.Time) {
	t.Helper()
	must(t, live.Await(t.Context(), 4*time.Minute, "another attempt on "+first, func(ctx context.Context) error {
		pods, err := w.pods(ctx, run)
		for _, p := range pods {
			if p.Spec.NodeName == first {
				again = worksSince(p)
			}
		}
		if err != nil || again.IsZero() {
			return errors.Join(err, fmt.Errorf("%d pods", len(pods)))
		}
		node := &corev1.Node{}
		if err := w.Get(ctx, client.ObjectKey{Name: second}, node); err != nil {
			return err
		}
		for _, c := range node.Status.Conditions {
			if c.Type == corev1.NodeReady && c.Status != corev1.ConditionTrue {
				lost = c.LastTransitionTime.Time
				return nil
			}
		}
		return errors.New("the node is ready")
	}))
	return lost, again
}

func (w world) awaitNoPod(t *testing.T, run string) {
	t.Helper()
	must(t, live.Await(t.Context(), 2*time.Minute, "the lost node's pod to go", func(ctx context.Context) error {
		pods, err := w.pods(ctx, run)
		for _, p := range pods {
			if p.Spec.NodeName == second {
				return fmt.Errorf("%s is there: %s", p.Name, p.Status.Phase)
			}
		}
		return err
	}))
}

// visible is what the run has left in its box, and what the run says of itself.
func (w world) visible(t *testing.T, run *runtimev1.PipelineRun) string {
	t.Helper()
	s3, session, err := w.Bucket(t.Context(), "data")
	must(t, err)
	body, err := s3.GetObject(t.Context(), session.Bucket, "results/"+run.Name+"/pod", minio.GetObjectOptions{})
	must(t, err)
	defer body.Close()
	b, err := io.ReadAll(body)
	must(t, err)
	info, err := body.Stat()
	must(t, err)
	now := &runtimev1.PipelineRun{}
	must(t, w.Get(t.Context(), client.ObjectKeyFromObject(run), now))
	return fmt.Sprintf("%s written %s, %s at %s", strings.TrimSpace(string(b)), info.LastModified, now.Status.State,
		now.Status.CompletionTime)
}
