//go:build integration

package runs

import (
	"net/http"
	"testing"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/controllertest"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

var must = controllertest.Must

// A run that ended long ago goes; one that ended lately stays, and is looked at again when its time
// has come.
func TestRunsAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	_, c, _, src := controllertest.Servers(t)
	r := &Reconciler{Client: c, Live: c, Settings: src, Transport: http.DefaultTransport, memory: newMemory()}
	for name, age := range map[string]time.Duration{"old": 30*24*time.Hour + time.Minute,
		"young": 29 * 24 * time.Hour} {
		run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec: runtimev1.PipelineRunSpec{Pipeline: "train"}}
		must(t, c.Create(t.Context(), run))
		run.Status = runtimev1.PipelineRunStatus{State: runtimev1.Succeeded, Recorded: true,
			CompletionTime: &metav1.Time{Time: time.Now().Add(-age)}}
		must(t, c.Status().Update(t.Context(), run))
		got, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(run)})
		must(t, err)
		if again := got.RequeueAfter.Round(time.Minute); (name == "young") != (again == 24*time.Hour) {
			t.Errorf("%s is looked at again after %s", name, again)
		}
	}
	var left runtimev1.PipelineRunList
	must(t, c.List(t.Context(), &left, client.InNamespace("default")))
	if runs := left.Items; len(runs) != 1 || runs[0].Name != "young" {
		t.Errorf("left: %+v", runs)
	}
}
