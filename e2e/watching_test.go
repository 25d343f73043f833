//go:build e2e

package e2e

import (
	"fmt"
	"net"
	"regexp"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/names"
)

// What `kubectl describe` shows of a run tells its story: each stage that starts, fails in an attempt,
// publishes or fails for good, and the run's end.
func TestEventsTellARunsStory(t *testing.T) {
	t.Parallel()
	const ns = "pu-e2e-pa-story"
	m := applyRuns(t, ns, pipelineOf(ns, "fit", "table part result", "",
		stage("split", "table", "part", `cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_PART/"`),
		stage("train", "part", "result", `echo "no rows in the table" >&2; exit 3`, "retries: 1")))
	upload(t, m, "userdata/in/t.csv", "1")
	id := start(t, m, "fit", table, "")
	awaitRun(t, m, id, runtimev1.Failed)
	why := `Error: exit code 3: no rows in the table`
	err := live.Await(t.Context(), 30*time.Second, "the run's story", func(ctx ctx) error {
		out, err := m.Kubectl(ctx, "-n", ns, "describe", "pipelinerun", id)
		if err != nil {
			return err
		}
		_, told, _ := strings.Cut(out, "\nEvents:")
		for _, line := range []string{
			`Normal +StageStarted .* stage split: attempt 1 started`,
			`Normal +StageSucceeded .* stage split: published 1 files, 1 bytes, after `,
			`Normal +StageStarted .* stage train: attempt 1 started`,
			`Warning +AttemptFailed .* stage train: attempt 1: ` + why,
			`Warning +StageFailed .* stage train: attempt 2: ` + why,
			`Warning +RunFailed .* stage train failed: ` + why,
		} {
			if !regexp.MustCompile(line).MatchString(told) {
				return fmt.Errorf("no %q in%s", line, told)
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// A gateway's metrics are there for pods of the namespaces that unip.yaml lets in, and for no pod of a
// module, its own included.
func TestGatewaysMetrics(t *testing.T) {
	t.Parallel()
	a, b := apply(t, "pu-e2e-pa-counts-a", echo("echo:reach")), apply(t, "pu-e2e-pa-counts-b", echo("echo:reach"))
	awaitReady(t, a)
	awaitReady(t, b)
	reach(t, a)
	port := gatewaysMetrics(t, a)
	for who, m := range map[string]*live.Module{"a component of its own module": a, "one of another module": b} {
		if got := reach(t, m, port)[port]; got == "connected" {
			t.Errorf("%s reaches the gateway's metrics", who)
		}
	}
	const script = `import sys, urllib.request; print(urllib.request.urlopen(sys.argv[1], timeout=10).read().decode())`
	const allowed, pod = "knative-serving", "unip-e2e-scrape"
	// The network comes to know of a pod a moment after its start.
	err := live.Await(t.Context(), time.Minute, "the metrics", func(ctx ctx) error {
		out, err := cluster.RunPod(ctx, allowed, pod, echoImage, "", "python3", "-c", script, "http://"+port+"/metrics")
		if err != nil {
			return err
		}
		counted := `(?m)^http_server_request_duration_seconds_count\{api="model-api",http_request_method="POST",` +
			`http_response_status_code="200"\} [1-9]`
		if !regexp.MustCompile(counted).MatchString(out) {
			return &live.FinalError{Err: fmt.Errorf("calls are not counted:\n%s", out)}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// gatewaysMetrics is where the gateway's only pod that is awake serves them.
func gatewaysMetrics(t *testing.T, m *live.Module) string {
	t.Helper()
	var gateways corev1.PodList
	if err := cluster.List(t.Context(), &gateways, client.InNamespace(m.Namespace),
		client.MatchingLabels{"app.kubernetes.io/component": names.Gateway}); err != nil {
		t.Fatal(err)
	}
	for _, p := range gateways.Items {
		if p.DeletionTimestamp == nil && p.Status.PodIP != "" {
			return net.JoinHostPort(p.Status.PodIP, "9464")
		}
	}
	t.Fatalf("no gateway of %d pods has an address", len(gateways.Items))
	return ""
}
