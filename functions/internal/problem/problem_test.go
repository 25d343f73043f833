package problem_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/functions/internal/problem"
)

func ExampleWrite() {
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, "/leaf/predict", nil)
	w.Header().Set("Retry-After", "1")
	problem.Write(w, r, problem.New(problem.ModelNotFound, http.StatusServiceUnavailable, "Model not found",
		"box weights has no object leaf.onnx"))
	fmt.Println(w.Code, w.Header().Get("Content-Type"), w.Header().Get("Retry-After"))
	_, _ = w.Body.WriteTo(os.Stdout)
	// Output: 503 application/problem+json 1
	// {"type":"https://unified-platform.cs.hse.ru/problems/model-not-found","title":"Model not found","status":503,"detail":"box weights has no object leaf.onnx","instance":"/leaf/predict"}
}

// Clients of the Open Inference Protocol read "error".
func TestWriteForTheOpenInferenceProtocol(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/v2": "no such model", "/v2/models/x/infer": "no such model", "/ns/leaf/v2/models/x": "no such model",
		"/ns/leaf/v2": "no such model", "/predict": "", "/v2x": "", "/leaf/predict": "",
	} {
		w := httptest.NewRecorder()
		problem.Write(w, httptest.NewRequest(http.MethodGet, path, nil),
			problem.New(problem.NotFound, http.StatusNotFound, "", "no such model"))
		var got struct{ Error string }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Error != want {
			t.Errorf("%s: %s %v", path, w.Body, err)
		}
	}
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest(http.MethodGet, "/v2", nil),
		problem.New(problem.NotFound, http.StatusNotFound, "", ""))
	var got problem.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || got.Message != "Not Found" {
		t.Errorf("%+v %v", got, err)
	}
}

// Texts are for people, and have no \u0026 in them; the path is the caller's, whatever it was made on
// the way.
func TestWriteAsPeopleReadIt(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	r := problem.At(httptest.NewRequest(http.MethodPost, "/predict", nil), "/pu-ann/leaf/predict")
	problem.Write(w, r, problem.New("x", 400, "", "a & b <c>"))
	const want = `{"type":"https://unified-platform.cs.hse.ru/problems/x","title":"Bad Request","status":400,` +
		`"detail":"a & b <c>","instance":"/pu-ann/leaf/predict"}` + "\n"
	if w.Body.String() != want {
		t.Errorf("%s, want %s", w.Body, want)
	}
}

func TestWriteFillsInWhatIsMissing(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		in   problem.Problem
		want problem.Problem
	}{
		"title from the status": {problem.New("x", 404, "", ""),
			problem.Problem{Type: problem.Base + "x", Title: "Not Found", Status: 404, Instance: "/a%2Fb"}},
		"a status that is not an error": {problem.Problem{Status: 200},
			problem.Problem{Type: "about:blank", Title: "Internal Server Error", Status: 500, Instance: "/a%2Fb"}},
		"an instance of its own is kept": {problem.Problem{Status: 400, Instance: "/x"},
			problem.Problem{Type: "about:blank", Title: "Bad Request", Status: 400, Instance: "/x"}},
		"faults": {
			problem.Problem{Status: 400, Errors: []problem.Fault{{Pointer: "/inputs/0", Detail: "no name"}}},
			problem.Problem{Type: "about:blank", Title: "Bad Request", Status: 400, Instance: "/a%2Fb",
				Errors: []problem.Fault{{Pointer: "/inputs/0", Detail: "no name"}}},
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := httptest.NewRecorder()
			w.Header().Set("Content-Length", "3")
			w.Header().Set("Content-Encoding", "gzip")
			problem.Write(w, httptest.NewRequest(http.MethodGet, "/a%2Fb?secret=1", nil), tc.in)
			var got problem.Problem
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil {
				t.Fatal(err)
			}
			if d := cmp.Diff(tc.want, got); d != "" {
				t.Errorf("(-want +got):\n%s", d)
			}
			if w.Code != tc.want.Status {
				t.Errorf("status %d, want %d", w.Code, tc.want.Status)
			}
			if w.Header().Get("Content-Length") != "" || w.Header().Get("Content-Encoding") != "" {
				t.Errorf("headers of the answer that did not come are still there: %v", w.Header())
			}
		})
	}
}

func TestHeadGetsNoBody(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	problem.Write(w, httptest.NewRequest(http.MethodHead, "/", nil), problem.New(problem.NotFound, 404, "", ""))
	if w.Body.Len() != 0 {
		t.Errorf("body %q", w.Body)
	}
}

func TestSlug(t *testing.T) {
	t.Parallel()
	if got := problem.New("a-b", 400, "", "").Slug(); got != "a-b" {
		t.Errorf("slug %q", got)
	}
	if got := (problem.Problem{Type: "about:blank"}).Slug(); got != "" {
		t.Errorf("slug of a foreign type %q", got)
	}
}

// Texts quote what callers send; an answer is small all the same.
func TestWriteBoundsTheAnswer(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("ж", 16<<10)
	p := problem.New(problem.BadRequest, http.StatusBadRequest, "", long)
	for range 100 {
		p.Errors = append(p.Errors, problem.Fault{Pointer: long, Detail: long})
	}
	w := httptest.NewRecorder()
	problem.Write(w, nil, p)
	if w.Body.Len() > 64<<10 {
		t.Errorf("%d bytes", w.Body.Len())
	}
	var got problem.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Errors) != problem.MaxFaults ||
		strings.ContainsRune(got.Detail, '\ufffd') {
		t.Errorf("%d faults, %v", len(got.Errors), err)
	}
	if len(p.Errors) != 100 || p.Errors[0].Detail != long {
		t.Error("Write changes what it was given")
	}
}
