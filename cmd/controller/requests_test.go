//go:build integration

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/events"
)

// kubelet does what it and the Job controller do for a stage whose three containers end well.
func (c *cluster) kubelet(t *testing.T, job *batchv1.Job) {
	t.Helper()
	spec := job.Spec.Template.Spec
	p := podOf(job)
	must(t, c.Create(t.Context(), p))
	init := []string{spec.InitContainers[0].Name, spec.InitContainers[1].Name}
	running := corev1.ContainerState{Running: &corev1.ContainerStateRunning{StartedAt: metav1.Now()}}
	waiting := corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "PodInitializing"}}
	ended := corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{
		FinishedAt: metav1.Now(), Message: `{"files":1,"bytes":7}`,
	}}
	for _, states := range [][3]corev1.ContainerState{
		{running, waiting, waiting}, {ended, running, waiting}, {ended, ended, running}, {ended, ended, ended},
	} {
		p.Status.InitContainerStatuses = []corev1.ContainerStatus{
			{Name: init[0], State: states[0]}, {Name: init[1], State: states[1]},
		}
		p.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: spec.Containers[0].Name, State: states[2]}}
		must(t, c.Status().Update(t.Context(), p))
		time.Sleep(200 * time.Millisecond) // as long as a container lives at the least
	}
}

// runAsksLittle: a run of two stages, each of which is looked at many times, costs the API server
// few requests.
func (c *cluster) runAsksLittle(t *testing.T) {
	const ns, most = "modest", 36
	data := c.box(t, ns, "data")
	c.waitFor(t, data, platformv1.ReasonReady)
	p := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "train"}, Spec: runtimev1.PipelineSpec{
		Variables: []runtimev1.Variable{{Name: "x", MountFrom: &runtimev1.BoxPath{Box: "data", Path: "in/"}},
			{Name: "y"}, {Name: "z"}},
		Stages: []runtimev1.Stage{
			{Name: "first", Image: "image", Inputs: []string{"x"}, Outputs: []string{"y"}, TimeoutSeconds: 60},
			{Name: "second", Image: "image", Inputs: []string{"y"}, Outputs: []string{"z"}, TimeoutSeconds: 60},
		},
		DefaultBox: "data",
	}}
	must(t, c.Create(t.Context(), p))
	c.waitForPipeline(t, p, "Ready")
	before := c.asked.len()
	r := c.run(t, ns, "train-1", "train")
	c.requested(t, r)
	for i := range r.Status.Stages {
		c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
			return s.Stages[i].State == runtimev1.Running && s.Stages[i].StartTime != nil
		})
		job := &batchv1.Job{}
		eventually(t, "the stage's Job", func() error {
			return c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: r.Status.Stages[i].Job}, job)
		})
		c.kubelet(t, job)
		c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
			return s.Stages[i].State == runtimev1.Succeeded
		})
		c.tell(t, fmt.Sprintf("/namespaces/%s/pipelines/%s/events", ns, "train"), events.StageSucceeded,
			map[string]string{"Run": r.Name})
	}
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
		return s.State == runtimev1.Succeeded &&
			s.Recorded
	})
	time.Sleep(time.Second) // what follows by itself
	asked := map[string]int{}
	all := c.asked.since(before, func(path string) bool {
		return strings.Contains(path, "/namespaces/"+ns) && !strings.Contains(path, "/events") &&
			!strings.Contains(path, "/databoxes")
	})
	for _, a := range all {
		method, path, _ := strings.Cut(a, " ")
		parts := strings.Split(path, "/")
		kind := parts[len(parts)-1]
		if i := slices.Index(parts, "namespaces"); len(parts) > i+2 {
			kind = parts[i+2]
		}
		if parts[len(parts)-1] == "status" {
			kind += "/status"
		}
		asked[method+" "+kind]++
	}
	t.Logf("%d requests: %v", len(all), asked)
	if len(all) > most {
		t.Errorf("%d requests, at most %d are expected: %v", len(all), most, asked)
	}
}
