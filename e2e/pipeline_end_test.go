//go:build e2e

package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

// Cancel stops the pods, and nothing starts after it.
func TestCancel(t *testing.T) {
	t.Parallel()
	ns := "pu-e2e-pa-cancel"
	m := applyRuns(t, ns, diamondOf(ns, "join", "trap 'exit 0' TERM; sleep 60 & wait"))
	upload(t, m, "userdata/in/t.csv", "1")
	id := start(t, m, "join", table, "once")
	if again := start(t, m, "join", table, "once"); again != id {
		t.Errorf("the same Idempotency-Key made run %s and run %s", id, again)
	}
	err := live.Await(t.Context(), time.Minute, "the first stage", func(ctx ctx) error {
		var pods corev1.PodList
		err := m.List(ctx, &pods, client.InNamespace(ns), client.MatchingLabels{runtimev1.RunLabel: id})
		for _, p := range pods.Items {
			for _, c := range p.Status.InitContainerStatuses {
				if c.Name == "function" && c.State.Running != nil {
					return nil
				}
			}
		}
		return errors.Join(err, errors.New("it does not run yet"))
	})
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.Call(t.Context(), live.Request{Method: http.MethodPost,
		Path: "/" + ns + "/pipelines/runs/" + id + "/cancel", User: "boris", Password: "s4same"})
	if err != nil || a.Status != http.StatusNotFound {
		t.Errorf("another user's cancel: %d %s %v", a.Status, a.Body, err)
	}
	if a, err = m.Call(t.Context(), live.Request{Method: http.MethodPost,
		Path: "/" + ns + "/pipelines/runs/" + id + "/cancel", User: user, Password: password}); err != nil ||
		a.Status != http.StatusAccepted {
		t.Fatalf("cancel: %d %s %v", a.Status, a.Body, err)
	}
	run := awaitRun(t, m, id, runtimev1.Cancelled)
	err = live.Await(t.Context(), time.Minute, "the pods to go", func(ctx ctx) error {
		var pods corev1.PodList
		if err := m.List(ctx, &pods, client.InNamespace(ns),
			client.MatchingLabels{runtimev1.RunLabel: id}); err != nil || len(pods.Items) > 0 {
			return errors.Join(err, fmt.Errorf("%d pods are left", len(pods.Items)))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for _, name := range []string{"left", "right", "join"} {
		if st := stageStatus(t, run, name); st.State != runtimev1.Skipped {
			t.Errorf("stage %s is %s", name, st.State)
		}
	}
	t.Run("deleted", func(t *testing.T) { deleted(t, m) })
}

// deleted deletes a module that has run pipelines: nothing of it is left, its buckets included, for
// that is this installation's policy.
func deleted(t *testing.T, m *live.Module) {
	_, session, err := m.Bucket(t.Context(), "userdata")
	if err != nil {
		t.Fatal(err)
	}
	admin := adminS3(t, session)
	buckets := []string{session.Bucket, databox.UsualBuckets.Runs(m.Namespace)}
	for _, b := range buckets {
		if exists, err := admin.BucketExists(t.Context(), b); err != nil || !exists {
			t.Fatalf("bucket %s is not there before the deletion: %v", b, err)
		}
	}
	if err := m.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, b := range buckets {
		if exists, err := admin.BucketExists(t.Context(), b); err != nil || exists {
			t.Errorf("bucket %s exists: %t, %v", b, exists, err)
		}
	}
	for _, kind := range []string{"pipelines.runtime.unified-platform.cs.hse.ru", "pipelineruns", "jobs", "pods",
		"secrets", "triggers", "brokers", "inmemorychannels", "subscriptions"} {
		out, err := m.Kubectl(t.Context(), "-n", m.Namespace, "get", kind, "-o", "name", "--ignore-not-found")
		if err != nil || strings.TrimSpace(out) != "" {
			t.Errorf("%s left behind: %s %v", kind, out, err)
		}
	}
}

// Whoever dies between two steps, the run ends right: the controller, which forgets everything but
// what is written down, and the dispatcher of the Broker, which stores nothing. It kills what all
// modules use, so no other test runs beside it.
func TestRunsSurviveDeaths(t *testing.T) {
	ns := "pu-e2e-pa-deaths"
	chain := pipelineOf(ns, "steps", "table one two result", "",
		stage("first", "table", "one", `sleep 2; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_ONE/f"`),
		stage("second", "one", "two", `sleep 2; cp "$UNIP_PIPELINE_ONE/f" "$UNIP_PIPELINE_TWO/f"`),
		stage("third", "two", "result", `sleep 2; cp "$UNIP_PIPELINE_TWO/f" "$UNIP_PIPELINE_RESULT/f"`))
	m := applyRuns(t, ns, chain)
	upload(t, m, "userdata/in/t.csv", "kept")
	kill := map[string][]string{
		"controller": {"-n", names.SystemNamespace, "delete", "pod", "-l", "app.kubernetes.io/name=unip-controller",
			"--now", "--wait=false"},
		"dispatcher": {"-n", "knative-eventing", "delete", "pod", "-l", "messaging.knative.dev/role=dispatcher",
			"--now", "--wait=false"},
	}
	for _, who := range []string{"controller", "dispatcher"} {
		id := start(t, m, "steps", table, "")
		for _, running := range []string{"first", "second", "third"} {
			err := live.Await(t.Context(), 90*time.Second, running+" to run", func(ctx ctx) error {
				run := &runtimev1.PipelineRun{}
				if err := m.Get(ctx, client.ObjectKey{Namespace: ns, Name: id}, run); err != nil {
					return err
				}
				for _, st := range run.Status.Stages {
					if st.Name == running && st.State != runtimev1.Pending {
						return nil
					}
				}
				return fmt.Errorf("run is %s %s", run.Status.State, run.Status.Message)
			})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := m.Kubectl(t.Context(), kill[who]...); err != nil {
				t.Fatal(err)
			}
		}
		run := awaitRun(t, m, id, runtimev1.Succeeded)
		if b, err := m.Download(t.Context(), user, password, run.Status.Outputs["result"]+"f"); err != nil ||
			string(b) != "kept" {
			t.Errorf("%s killed: the result is %q %v", who, b, err)
		}
		for _, st := range run.Status.Stages {
			if st.Attempt != 1 {
				t.Errorf("%s killed: stage %s took %d attempts", who, st.Name, st.Attempt)
			}
		}
		t.Logf("%s killed three times: the run took %s", who, run.Status.CompletionTime.Sub(run.Status.StartTime.Time))
	}
}
