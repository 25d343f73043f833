//go:build integration

package main

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	life "github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
)

// underWay starts a run of the stage fit, without retries, and gives the Job of its first attempt.
func (c *cluster) underWay(t *testing.T, ns string) (*runtimev1.PipelineRun, *batchv1.Job) {
	t.Helper()
	data := c.box(t, ns, "data")
	c.waitFor(t, data, platformv1.ReasonReady)
	c.pipelineOfBoxes(t, ns, "train", "data", "data")
	r := c.run(t, ns, "train-1", "train")
	c.requested(t, r)
	return r, c.attempt(t, r, 1)
}

// attempt waits for the Job of an attempt of the run's stage, and until the controller has seen it.
func (c *cluster) attempt(t *testing.T, r *runtimev1.PipelineRun, number int) *batchv1.Job {
	t.Helper()
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
		return s.Stages[0].Attempt == number && s.Stages[0].State == runtimev1.Running && s.Stages[0].StartTime != nil
	})
	job := &batchv1.Job{}
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: r.Namespace, Name: r.Status.Stages[0].Job}, job))
	return job
}

func isComplete(job *batchv1.Job) bool {
	pod := job.Spec.Template.Spec
	return len(pod.InitContainers) == 0 && len(pod.Containers) == 1 && pod.Containers[0].Name == stage.PublishContainer
}

// pod makes the pod of an attempt, on a node, in which the user's container runs.
func (c *cluster) pod(t *testing.T, job *batchv1.Job) *corev1.Pod {
	t.Helper()
	p := podOf(job)
	p.Spec.NodeName = "some-node"
	must(t, c.Create(t.Context(), p))
	p.Status.Phase = corev1.PodRunning
	now := metav1.Now()
	ended := &corev1.ContainerStateTerminated{StartedAt: now, FinishedAt: now}
	for _, x := range p.Spec.InitContainers {
		p.Status.InitContainerStatuses = append(p.Status.InitContainerStatuses, corev1.ContainerStatus{Name: x.Name,
			State: corev1.ContainerState{Terminated: ended}})
	}
	if last := len(p.Status.InitContainerStatuses) - 1; last >= 0 {
		p.Status.InitContainerStatuses[last].State = corev1.ContainerState{
			Running: &corev1.ContainerStateRunning{StartedAt: now},
		}
	}
	must(t, c.Status().Update(t.Context(), p))
	return p
}

// exits ends the pod with its user's container, which has printed something.
func (c *cluster) exits(t *testing.T, p *corev1.Pod, code int32, said ...string) {
	t.Helper()
	p.Status.Phase = corev1.PodFailed
	p.Status.InitContainerStatuses[1].State = corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: code, Message: strings.Join(said, "\n"),
			StartedAt: p.CreationTimestamp, FinishedAt: metav1.Now()},
	}
	must(t, c.Status().Update(t.Context(), p))
}

// published ends the pod with publish.
func (c *cluster) published(t *testing.T, p *corev1.Pod, code int32, message string) {
	t.Helper()
	ended := &corev1.ContainerStateTerminated{StartedAt: p.CreationTimestamp, FinishedAt: metav1.Now()}
	for i := range p.Status.InitContainerStatuses {
		p.Status.InitContainerStatuses[i].State = corev1.ContainerState{Terminated: ended}
	}
	last := ended.DeepCopy()
	last.ExitCode, last.Message = code, message
	p.Status.ContainerStatuses = []corev1.ContainerStatus{{
		Name: stage.PublishContainer, State: corev1.ContainerState{Terminated: last},
	}}
	if p.Status.Phase = corev1.PodSucceeded; code != 0 {
		p.Status.Phase = corev1.PodFailed
	}
	must(t, c.Status().Update(t.Context(), p))
}

func (c *cluster) commit(t *testing.T, r *runtimev1.PipelineRun) {
	t.Helper()
	c.s3.Put(t, databox.UsualBuckets.Runs(r.Namespace), stage.CommitKey(r.Name, "fit"), `{"attempt":1}`)
}

// completesCommits: whatever ends an attempt of a stage that has a commit, the next one runs nothing
// of the user's, and the run succeeds without retries.
func (c *cluster) completesCommits(t *testing.T) {
	for name, fail := range map[string]func(*corev1.Pod){
		"killed": func(p *corev1.Pod) { c.published(t, p, 137, "") },
		"exit":   func(p *corev1.Pod) { c.exits(t, p, 1) },
	} {
		t.Run(name, func(t *testing.T) {
			r, job := c.underWay(t, "complete-"+name)
			if isComplete(job) {
				t.Fatalf("the first attempt only completes: %+v", job.Spec.Template.Spec)
			}
			p := c.pod(t, job)
			c.commit(t, r)
			fail(p)
			job = c.attempt(t, r, 2)
			if !isComplete(job) {
				t.Fatalf("the user's code runs again: %+v", job.Spec.Template.Spec)
			}
			c.published(t, c.pod(t, job), 0, `{"files":2,"bytes":7,"kept":1}`)
			c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Succeeded })
			if st := r.Status.Stages[0]; st.Files != 2 || st.Failures != 0 || st.RanAttempt != 1 ||
				!strings.HasPrefix(st.Message, "1 copy was not made") {
				t.Errorf("%+v", st)
			}
		})
	}
}

// leavesLostNodes: a pod that is to go because its node does not answer is lost at once, whatever
// was last said of it. It may come back: its commit counts.
func (c *cluster) leavesLostNodes(t *testing.T) {
	r, job := c.underWay(t, "lost")
	p := c.pod(t, job)
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Running })
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "DeletionByTaintManager",
		Message: "Taint manager: deleting due to NoExecute taint", LastTransitionTime: metav1.Now(),
	}}
	must(t, c.Status().Update(t.Context(), p))
	must(t, c.Delete(t.Context(), p)) // it stays for its grace period, and for ever without a kubelet
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(p), p))
	again := c.attempt(t, r, 2)
	if isComplete(again) {
		t.Errorf("there is no commit: %+v", again.Spec.Template.Spec)
	}
	if err := c.Get(t.Context(), client.ObjectKeyFromObject(job), job); !apierrors.IsNotFound(err) {
		t.Errorf("the Job of the lost attempt is there: %v", err)
	}
	if st := r.Status.Stages[0]; st.Failures != 0 || st.WaitingSince == nil ||
		!strings.Contains(r.Status.Message, "PodLost") {
		t.Errorf("%+v: %s", st, r.Status.Message)
	}
	c.commit(t, r) // the old one, from its node
	c.exits(t, c.pod(t, again), 1)
	if third := c.attempt(t, r, 3); !isComplete(third) {
		t.Errorf("the user's code runs again: %+v", third.Spec.Template.Spec)
	}
}

// waitsForStorage: while storage does not answer, a failure decides nothing, and the run says what
// it waits for. What follows comes soon after its return.
func (c *cluster) waitsForStorage(t *testing.T) {
	r, job := c.underWay(t, "silent")
	p := c.pod(t, job)
	back := c.s3.Away(t)
	returned := false
	defer func() {
		if !returned {
			back()
		}
	}()
	c.exits(t, p, 1)
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
		return s.Stages[0].State == runtimev1.Pending && strings.Contains(s.Message, "storage does not say")
	})
	if st := r.Status.Stages[0]; st.Reason != life.ReasonError || st.Failures != 1 || st.WaitingSince == nil {
		t.Errorf("%+v", st)
	}
	next := c.run(t, r.Namespace, "train-2", "train")
	c.waitForRun(t, next, runtimev1.Pending, "it waits: storage has not answered since")
	back()
	returned = true
	began := time.Now()
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Failed })
	c.waitForRunThat(t, next, func(s runtimev1.PipelineRunStatus) bool { return len(s.Stages) == 1 })
	t.Logf("they go on %s after the return of storage", time.Since(began).Round(time.Second))
	if r.Status.Stages[0].Reason != life.ReasonError || strings.Contains(r.Status.Message, "storage") {
		t.Errorf("%s", r.Status.Message)
	}
}

func (c *cluster) cancel(t *testing.T, r *runtimev1.PipelineRun) {
	t.Helper()
	before := r.DeepCopy()
	r.Spec.Cancel = true
	must(t, c.Patch(t.Context(), r, client.MergeFrom(before)))
}

func (c *cluster) committed(t *testing.T, r *runtimev1.PipelineRun) string {
	t.Helper()
	o, err := c.s3.GetObject(t.Context(), databox.UsualBuckets.Runs(r.Namespace), stage.CommitKey(r.Name, "fit"),
		minio.GetObjectOptions{})
	must(t, err)
	defer o.Close()
	b, err := io.ReadAll(o)
	must(t, err)
	return string(b)
}

func (c *cluster) stopped(t *testing.T, job *batchv1.Job) {
	t.Helper()
	eventually(t, "the end of Job "+job.Name, func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(job), job); !apierrors.IsNotFound(err) {
			return fmt.Errorf("it is there (%v)", err)
		}
		return nil
	})
}

// closesStages: a run that was cancelled ends when nothing of its stage can become visible any more.
func (c *cluster) closesStages(t *testing.T) {
	r, job := c.underWay(t, "closed")
	c.pod(t, job)
	c.cancel(t, r)
	c.waitForRun(t, r, runtimev1.Cancelled, "cancelled by its user")
	if got := c.committed(t, r); got != stage.ClosedCommit {
		t.Errorf("the commit is %q", got)
	}
	if st := r.Status.Stages[0]; st.State != runtimev1.Cancelled || st.Attempt != 1 {
		t.Errorf("%+v", st)
	}
	c.stopped(t, job)
}

// completesAtCancellation: a stage that had committed when its run was cancelled has ended. Its Job
// goes on, or another one completes its copies, and what comes after it does not start.
func (c *cluster) completesAtCancellation(t *testing.T) {
	for name, killed := range map[string]bool{"at work": false, "killed": true} {
		t.Run(name, func(t *testing.T) {
			r, job := c.underWay(t, "committed-"+strings.ReplaceAll(name, " ", "-"))
			p := c.pod(t, job)
			c.commit(t, r)
			c.cancel(t, r)
			c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
				return strings.Contains(s.Message, "it is being cancelled; the outputs of stage fit are committed")
			})
			must(t, c.Get(t.Context(), client.ObjectKeyFromObject(job), job))
			if job.DeletionTimestamp != nil {
				t.Error("the Job of a stage that has committed is stopped")
			}
			if killed {
				c.published(t, p, 137, "")
				if job = c.attempt(t, r, 2); !isComplete(job) {
					t.Fatalf("the user's code runs again: %+v", job.Spec.Template.Spec)
				}
				p = c.pod(t, job)
			}
			c.published(t, p, 0, `{"files":2,"bytes":7}`)
			c.waitForRun(t, r, runtimev1.Succeeded, "")
			if got := c.committed(t, r); got != `{"attempt":1}` {
				t.Errorf("the commit is %q", got)
			}
		})
	}
}

// closesWhenStorageIsBack: while storage does not answer, the user's code is stopped, and the run
// says what its end waits for.
func (c *cluster) closesWhenStorageIsBack(t *testing.T) {
	r, job := c.underWay(t, "away")
	c.pod(t, job)
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Running })
	back := sync.OnceFunc(c.s3.Away(t))
	defer back()
	c.cancel(t, r)
	c.stopped(t, job)
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
		return s.State == runtimev1.Running && strings.Contains(s.Message,
			"it is being cancelled; stage fit waits since")
	})
	back()
	c.waitForRun(t, r, runtimev1.Cancelled, "cancelled by its user")
	if got := c.committed(t, r); got != stage.ClosedCommit {
		t.Errorf("the commit is %q", got)
	}
}

// namesLimits: a pod that was put out for using more than its own limit fails its stage by name; one
// that was put out for the sake of others does not.
func (c *cluster) namesLimits(t *testing.T) {
	r, job := c.underWay(t, "limits")
	p := c.pod(t, job)
	// A drain: the condition comes first, then the container's end.
	p.Status.Conditions = []corev1.PodCondition{{
		Type: corev1.DisruptionTarget, Status: corev1.ConditionTrue, Reason: "EvictionByEvictionAPI",
		Message: "Eviction API: evicting", LastTransitionTime: metav1.Now(),
	}}
	c.exits(t, p, 143)
	p = c.pod(t, c.attempt(t, r, 2))
	// The container's end comes first, then why.
	p.Status.InitContainerStatuses[1].State = corev1.ContainerState{
		Terminated: &corev1.ContainerStateTerminated{ExitCode: 137, FinishedAt: metav1.Now()},
	}
	must(t, c.Status().Update(t.Context(), p))
	p.Status.Phase, p.Status.Reason = corev1.PodFailed, "Evicted"
	p.Status.Message = `Container function exceeded its local ephemeral storage limit "20Mi". `
	must(t, c.Status().Update(t.Context(), p))
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Failed })
	st := r.Status.Stages[0]
	if st.Reason != life.ReasonEvicted || !strings.Contains(st.Message, `ephemeral storage limit "20Mi"`) ||
		st.Attempt != 2 || st.Failures != 1 {
		t.Errorf("%+v", st)
	}
}

// podOf is the pod that the Job controller makes.
func podOf(job *batchv1.Job) *corev1.Pod {
	labels := map[string]string{batchv1.JobNameLabel: job.Name}
	for k, v := range job.Spec.Template.Labels {
		labels[k] = v
	}
	return &corev1.Pod{ObjectMeta: metav1.ObjectMeta{
		Namespace: job.Namespace, Name: job.Name + "-pod", Labels: labels,
		OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(job,
			batchv1.SchemeGroupVersion.WithKind("Job"))},
	}, Spec: *job.Spec.Template.Spec.DeepCopy()}
}
