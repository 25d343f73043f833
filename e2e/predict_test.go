//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"

	"github.com/unip-knative/unip/e2e/live"
)

// The main path: a scikit-learn model that sleeps at zero wakes up for a call, answers right, and
// sleeps again.
func TestPredictFromZero(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-digits", component{
		Image: digitsImage, Inference: "digits.serve:predict", Loader: "digits.serve:load", Model: "digits.joblib",
	})
	awaitReady(t, m)
	images, digits := train(t, m)
	if err := m.AwaitZero(t.Context(), 2*time.Minute, "model", "gateway"); err != nil {
		t.Fatal(err)
	}
	if err := m.AwaitGone(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}

	data, err := json.Marshal(slices.Concat(images...))
	if err != nil {
		t.Fatal(err)
	}
	a := predict(t, m, http.StatusOK, live.Variable{Name: "image", Datatype: "FP32", Data: data})
	var got []int
	if err := a.Output("digit", &got); err != nil {
		t.Fatal(err)
	}
	right := 0
	for i := range min(len(digits), len(got)) {
		if got[i] == digits[i] {
			right++
		}
	}
	if len(got) != 100 || right < 95 {
		t.Errorf("%d answers, %d right, want 100 and at least 95", len(got), right)
	}
	t.Logf("from zero in %s, %d of %d right", a.Took.Round(time.Millisecond), right, len(got))
	if err := m.AwaitZero(t.Context(), 2*time.Minute, "model", "gateway"); err != nil {
		t.Error(err)
	}
}

// train trains the example's classifier in a pod and puts it into the box; it returns the 100
// digits that the classifier has not seen.
func train(t *testing.T, m *live.Module) (images [][]float64, digits []int) {
	t.Helper()
	run := func(args ...string) string {
		out, err := m.Kubectl(t.Context(), append([]string{"-n", m.Namespace}, args...)...)
		if err != nil {
			t.Fatalf("%v\n%s", err, m.Diagnose(t.Context()))
		}
		return out
	}
	run("run", "train", "--image="+digitsImage, "--image-pull-policy=Always", "--restart=Never", "--command", "--",
		"sleep", "600")
	run("wait", "--for=condition=Ready", "pod/train", "--timeout=90s")
	run("exec", "train", "--", "sh", "-ec",
		`mkdir /tmp/p /tmp/s; export UNIP_PIPELINE_TABLE=/tmp/t.csv UNIP_PIPELINE_PREPARED=/tmp/p UNIP_PIPELINE_SVM=/tmp/s
		python3 -m digits.data --table /tmp/t.csv --held-out /tmp/h; python3 -m digits.prepare
		python3 -m digits.fit svm; mv /tmp/s/model.joblib /tmp/m`)
	var held struct {
		Images [][]float64 `json:"images"`
		Digits []int       `json:"digits"`
	}
	if err := json.Unmarshal([]byte(run("exec", "train", "--", "cat", "/tmp/h")), &held); err != nil {
		t.Fatal(err)
	}
	if err := m.Put(t.Context(), "weights", "digits.joblib",
		[]byte(run("exec", "train", "--", "cat", "/tmp/m"))); err != nil {
		t.Fatal(err)
	}
	run("delete", "pod", "train", "--now")
	return held.Images, held.Digits
}

// A component whose model is not there yet is ready, says so to its callers, and picks the model up
// when it comes.
func TestModelPutLater(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-later", component{Image: echoImage, Inference: "echo:model_text", Model: "model.txt"})
	awaitReady(t, m)

	a := predict(t, m, http.StatusServiceUnavailable)
	if got := problemType(t, a); got != "model-not-found" {
		t.Errorf("problem %s, want model-not-found", got)
	}
	if a.Header.Get("Retry-After") == "" {
		t.Error("no Retry-After on a missing model")
	}

	if err := m.Put(t.Context(), "weights", "model.txt", []byte("the weights")); err != nil {
		t.Fatal(err)
	}
	wantText(t, m, "the weights", 30*time.Second)
}

// A model beside the image's code hides none of it, also where the image's user, who is not root, may
// not make the link to it: the function is told where the model is.
func TestAModelBesideTheCode(t *testing.T) {
	t.Parallel()
	const ns = "pu-e2e-pa-beside"
	m := cleared(t, ns)
	dir := write(t, ns, component{Image: echoImage, Inference: "echo:model_text", Model: "model.txt"})
	file := filepath.Join(dir, "module.yaml")
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	text := strings.Replace(string(b), "modelPath: /models/model.txt", "modelPath: /app/model.txt", 1)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, m)
	if err := m.Put(t.Context(), "weights", "app/model.txt", []byte("the weights")); err != nil {
		t.Fatal(err)
	}
	wantText(t, m, "the weights", 30*time.Second)
}

// wantText awaits that the component answers with the text.
func wantText(t *testing.T, m *live.Module, want string, within time.Duration) {
	t.Helper()
	err := live.Await(t.Context(), within, "waiting for the answer "+want, func(ctx ctx) error {
		a, err := m.Predict(ctx, "model", user, password)
		if err != nil {
			return err
		}
		var got string
		if err := a.Output("text", &got); err != nil {
			return err
		}
		if got != want {
			return fmt.Errorf("text %q, want %q", got, want)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Diagnose(t.Context()))
	}
}

// An import that fails is told by the Revision, where people who know Knative look.
func TestBrokenImportInRevisionStatus(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-broken", echo("nowhere_to_be_found:predict"))
	// Knative looks at crashing pods when the Deployment changes: at the latest when its progress
	// deadline (120 s here) is over.
	err := live.Await(t.Context(), 4*time.Minute, "waiting for the revision to say why", func(ctx ctx) error {
		var r servingv1.Revision
		if err := m.Get(ctx, types.NamespacedName{Namespace: m.Namespace, Name: "model-00001"}, &r); err != nil {
			return err
		}
		for _, c := range r.Status.Conditions {
			if strings.Contains(c.Message, "nowhere_to_be_found") &&
				strings.Contains(c.Message, "ModuleNotFoundError") {
				t.Logf("%s=%s %s: %s", c.Type, c.Status, c.Reason, c.Message)
				return nil
			}
		}
		return fmt.Errorf("conditions %v", r.Status.Conditions)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// The specification of the API comes from the function's docstring.
func TestOpenAPI(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-openapi", echo("echo:echo"))
	awaitReady(t, m)
	a, err := m.Call(t.Context(), live.Request{
		Method: http.MethodGet, Path: "/" + m.Namespace + "/model/openapi.json", User: user, Password: password,
	})
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != http.StatusOK || !strings.Contains(string(a.Body), `"openapi"`) ||
		!strings.Contains(string(a.Body), "anything") {
		t.Errorf("%d %s", a.Status, a.Body)
	}
}

// Long lists of numbers go through all of the way as they are, also those that are answered in
// pieces.
func TestLongListsOfNumbers(t *testing.T) {
	t.Parallel()
	m := apply(t, "pu-e2e-pa-numbers", echo("echo:echo"))
	awaitReady(t, m)
	for _, n := range []int{1000, 300_000} {
		numbers := make([]float64, n)
		for i := range numbers {
			numbers[i] = float64(i)/7 - 1000
		}
		data, err := json.Marshal(numbers)
		if err != nil {
			t.Fatal(err)
		}
		var got []float64
		if err := predict(t, m, http.StatusOK, live.Variable{Name: "x", Datatype: "FP64", Data: data}).Output("x",
			&got); err != nil {
			t.Fatal(err)
		}
		if !slices.Equal(got, numbers) {
			t.Errorf("%d numbers came back otherwise", n)
		}
	}
}
