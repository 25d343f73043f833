package runs

import (
	"context"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// kept is a Store of pipelines alone.
type kept struct {
	Store
	pipelines []runtimev1.Pipeline
}

func (k kept) Pipelines(context.Context) ([]runtimev1.Pipeline, error) { return k.pipelines, nil }

// Pipelines come by name. Their inputs are what a caller may name, in the order of the variables:
// no output of a stage is one, and no variable that nothing uses.
func TestPipelines(t *testing.T) {
	t.Parallel()
	train := runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Name: "train"}}
	for _, v := range []string{"model", "unused", "table", "prepared"} {
		train.Spec.Variables = append(train.Spec.Variables, runtimev1.Variable{Name: v})
	}
	train.Spec.Stages = []runtimev1.Stage{
		{Name: "fit", Inputs: []string{"prepared"}, Outputs: []string{"model"}},
		{Name: "prepare", Inputs: []string{"table"}, Outputs: []string{"prepared"}},
	}
	train.Spec.ContinueWith = "report"
	report := runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Name: "report"}}
	h := Handler{Store: kept{pipelines: []runtimev1.Pipeline{train, report}}}
	w := httptest.NewRecorder()
	h.Pipelines(w, httptest.NewRequest(http.MethodGet, "/ns/pipelines", nil))
	const want = `{"pipelines":[` +
		`{"name":"report","inputs":[],"outputs":[],"stages":[]},` +
		`{"name":"train","inputs":["table"],"outputs":["model","prepared"],"stages":["fit","prepare"],"continue_with":"report"}` +
		"]}\n"
	if d := cmp.Diff(want, w.Body.String()); d != "" || w.Code != http.StatusOK {
		t.Errorf("%d (-want +got):\n%s", w.Code, d)
	}
}
