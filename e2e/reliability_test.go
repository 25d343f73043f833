//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
	contracts "github.com/unip-knative/unip/eventing/stage"
)

// oneStage applies a module whose pipeline "work" has one stage, without retries, and starts a run.
func oneStage(t *testing.T, ns, script string, more ...string) (*live.Module, string) {
	t.Helper()
	m := applyRuns(t, ns, pipelineOf(ns, "work", "table result", "", stage("only", "table", "result", script, more...)))
	// The gateway's pod may be older than its sessions, which kubelet brings within a minute.
	err := live.Await(t.Context(), 2*time.Minute, "the input", func(ctx context.Context) error {
		return m.Upload(ctx, user, password, "userdata/in/t.csv", []byte("rows"))
	})
	if err != nil {
		t.Fatal(err)
	}
	return m, start(t, m, "work", table, "")
}

// podOf waits for the pod of an attempt in which a container runs.
func podOf(t *testing.T, m *live.Module, id, attempt, container string) *corev1.Pod {
	t.Helper()
	var found *corev1.Pod
	err := live.Await(t.Context(), time.Minute, container+" of attempt "+attempt, func(ctx context.Context) error {
		var pods corev1.PodList
		err := m.List(ctx, &pods, client.InNamespace(m.Namespace),
			client.MatchingLabels{runtimev1.RunLabel: id, contracts.AttemptLabel: attempt})
		for i := range pods.Items {
			p := &pods.Items[i]
			for _, c := range append(p.Status.InitContainerStatuses, p.Status.ContainerStatuses...) {
				if c.Name == container && c.State.Running != nil {
					found = p
					return nil
				}
			}
		}
		return errors.Join(err, errors.New("it does not run"))
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

// signal signals processes of the cluster's machine. Until the time is over a stopped one does not go
// on, and a killed one does not come back.
func signal(ctx context.Context, t *testing.T, sig, who string, hold time.Duration) {
	t.Helper()
	if _, err := cluster.Run(ctx, nil, os.Getenv("CLUSTER"), "signal", sig, who, "--for", hold.String()); err != nil {
		t.Error(err)
	}
}

// Storage that is away for more than a minute costs a run nothing but time: not what its container has
// computed, and not its retries. This test is not parallel to others, for they need storage.
func TestARunOutlivesAnOutageOfStorage(t *testing.T) {
	const outage = 80 * time.Second // make bench-scale takes ten minutes
	m, id := oneStage(t, "pu-e2e-pa-outage",
		`sleep 10; date +%s%N > "$UNIP_PIPELINE_RESULT/when"; cat "$UNIP_PIPELINE_TABLE" > "$UNIP_PIPELINE_RESULT/f"`)
	podOf(t, m, id, "1", contracts.FunctionContainer)
	began := time.Now()
	signal(t.Context(), t, "KILL", "s3", outage)
	back := time.Now()
	if away := back.Sub(began); away < outage {
		t.Fatalf("storage was away for %s", away)
	}
	run := awaitRun(t, m, id, runtimev1.Succeeded)
	t.Logf("the run goes on and ends %s after the return of storage", time.Since(back).Round(time.Second))
	if st := stageStatus(t, run, "only"); st.Attempt != 1 || st.Failures != 0 {
		t.Errorf("%+v", st)
	}
	if took := run.Status.CompletionTime.Sub(back); took > time.Minute {
		t.Errorf("it ended %s after the return of storage", took)
	}
	if b, err := m.Download(t.Context(), user, password, run.Status.Outputs["result"]+"f"); err != nil ||
		string(b) != "rows" {
		t.Errorf("the result is %q %v", b, err)
	}
}

// A module that is applied while the controller is away serves soon after it is back. Its pods need the
// module's key: they wait for it, and say so, for into one that starts without it kubelet brings it
// only a minute later. All modules use the controller, so no other test runs beside this one.
func TestAppliedWithoutTheController(t *testing.T) {
	m := cleared(t, "pu-e2e-pa-alone") // first, for it is deleted last, with the controller
	controller := func(ctx context.Context, replicas string) {
		t.Helper()
		if _, err := cluster.Kubectl(ctx, "-n", names.SystemNamespace, "scale", "deployment", names.Controller,
			"--replicas="+replicas); err != nil {
			t.Fatal(err)
		}
	}
	controller(t.Context(), "0")
	t.Cleanup(func() { controller(context.WithoutCancel(t.Context()), "1") })
	err := live.Await(t.Context(), time.Minute, "the controller to end", func(ctx context.Context) error {
		pods, err := cluster.Kubectl(ctx, "-n", names.SystemNamespace, "get", "pods", "-o", "name", "-l",
			"app.kubernetes.io/name="+names.Controller)
		if err == nil && pods != "" {
			err = errors.New(pods)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	c := component{Image: echoImage, Inference: "echo:model_text", Model: "model.txt"}
	if err := m.Apply(t.Context(), write(t, m.Namespace, c)); err != nil {
		t.Fatal(err)
	}
	err = live.Await(t.Context(), time.Minute, "pods that say what they wait for", func(ctx context.Context) error {
		var events corev1.EventList
		err := m.List(ctx, &events, client.InNamespace(m.Namespace))
		waiting := map[string]bool{}
		for _, e := range events.Items {
			if e.Reason == "FailedMount" && strings.Contains(e.Message, "references non-existent secret key") {
				waiting[e.InvolvedObject.Name] = true
			}
		}
		if len(waiting) < 2 {
			return errors.Join(err, fmt.Errorf("%d of gateway and component", len(waiting)))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	back := time.Now()
	controller(t.Context(), "1")
	awaitReady(t, m)
	if err := m.Put(t.Context(), "weights", "model.txt", []byte("the weights")); err != nil {
		t.Fatal(err)
	}
	wantText(t, m, "the weights", 10*time.Second)
	t.Logf("the function answers %s after the controller was started", time.Since(back).Round(100*time.Millisecond))
}

// evict puts a pod out as kubectl drain does.
func evict(t *testing.T, pod *corev1.Pod) {
	t.Helper()
	body := fmt.Sprintf(`{"apiVersion":"policy/v1","kind":"Eviction","metadata":{"name":%q,"namespace":%q},`+
		`"deleteOptions":{"gracePeriodSeconds":2}}`, pod.Name, pod.Namespace)
	path := fmt.Sprintf("/api/v1/namespaces/%s/pods/%s/eviction", pod.Namespace, pod.Name)
	if _, err := cluster.Run(t.Context(), []byte(body), "kubectl", "create", "--raw", path, "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// An evicted pod is followed by another one, whatever its container ends with, and the stage needs
// no retries for that.
func TestAnEvictedStageBeginsAnew(t *testing.T) {
	t.Parallel()
	for name, trap := range map[string]string{"killed": "true", "own": "trap 'exit 1' TERM"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			m, id := oneStage(t, "pu-e2e-pa-evict-"+name,
				trap+`; sleep 15 & wait; cat "$UNIP_PIPELINE_TABLE" > "$UNIP_PIPELINE_RESULT/f"`)
			pod := podOf(t, m, id, "1", contracts.FunctionContainer)
			evict(t, pod)
			run := awaitRun(t, m, id, runtimev1.Succeeded)
			if st := stageStatus(t, run, "only"); st.Attempt != 2 || st.Failures != 0 {
				t.Errorf("%+v", st)
			}
		})
	}
}

// What uses more than its own limit fails by name, without a further attempt.
func TestAnExceededLimitIsNamed(t *testing.T) {
	t.Parallel()
	m, id := oneStage(t, "pu-e2e-pa-limit", `head -c 60000000 /dev/zero > "$UNIP_PIPELINE_RESULT/f"; sleep 100`,
		`resourceLimits: {ephemeral-storage: 20Mi}`)
	run := awaitRun(t, m, id, runtimev1.Failed)
	st := stageStatus(t, run, "only")
	if st.Reason != "Evicted" || !strings.Contains(st.Message, "limit") || !strings.Contains(st.Message, "20Mi") ||
		st.Attempt != 1 || st.Failures != 1 {
		t.Errorf("%+v", st)
	}
	t.Logf("%s: %s", st.Reason, st.Message)
}

// When publish is killed after its commit, the copies are completed and the user's container runs
// no second time.
func TestACommittedStageRunsOnce(t *testing.T) {
	t.Parallel()
	const files = 3000
	m, id := oneStage(t, "pu-e2e-pa-commit",
		fmt.Sprintf(`for i in $(seq %d); do echo $i > "$UNIP_PIPELINE_RESULT/$i"; done`, files))
	_, session, err := m.Bucket(t.Context(), "userdata")
	if err != nil {
		t.Fatal(err)
	}
	admin := adminS3(t, session)
	pod := podOf(t, m, id, "1", contracts.PublishContainer)
	for bucket, key := databox.UsualBuckets.Runs(m.Namespace), contracts.CommitKey(id, "only"); ; {
		_, err := admin.StatObject(t.Context(), bucket, key, minio.StatObjectOptions{})
		if err == nil {
			break
		}
		if minio.ToErrorResponse(err).StatusCode != http.StatusNotFound {
			t.Fatal(err)
		}
	}
	signal(t.Context(), t, "KILL", "pod/"+string(pod.UID), 0)
	run := awaitRun(t, m, id, runtimev1.Succeeded)
	st := stageStatus(t, run, "only")
	if st.Attempt != 2 || st.RanAttempt != 1 || st.Failures != 0 || st.Files != files {
		t.Errorf("%+v", st)
	}
	job := &batchv1.Job{}
	if err := m.Get(t.Context(), client.ObjectKey{Namespace: m.Namespace, Name: st.Job}, job); err != nil {
		t.Fatal(err)
	}
	if n := len(job.Spec.Template.Spec.InitContainers); n != 0 {
		t.Errorf("the second attempt has %d containers before publish", n)
	}
	found := 0
	prefix := "users/" + user + "/file_groups/" + strings.TrimPrefix(run.Status.Outputs["result"], "userdata/")
	for o := range admin.ListObjects(t.Context(), session.Bucket, minio.ListObjectsOptions{Prefix: prefix,
		Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		found++
	}
	if found < files {
		t.Errorf("%d files of %d are in the user's folder %s", found, files, prefix)
	}
}
