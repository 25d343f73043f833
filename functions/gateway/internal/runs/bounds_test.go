package runs_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unip-knative/unip/functions/gateway/internal/runs"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// What an answer costs is bounded by the question, not by the number of the pipeline's variables
// times that of the names in it.
func TestAnswersToManyUnknownNamesAreShort(t *testing.T) {
	var spec runs.Spec
	for i := range 256 {
		spec.Inputs = append(spec.Inputs, runs.Variable{Name: fmt.Sprintf("%063d", i)})
	}
	for _, n := range []int{5000, 95_000} {
		names := &strings.Builder{}
		for i := range n {
			fmt.Fprintf(names, `,"%x":""`, i)
		}
		body := `{"inputs":{` + names.String()[1:] + `}}`
		h := &runs.Handler{Namespace: "pu-ann", Base: "/pu-ann/pipelines"}
		start := func() *httptest.ResponseRecorder {
			rec := httptest.NewRecorder()
			h.Start(rec, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), "ann", "train", spec)
			return rec
		}
		rec := start()
		if rec.Code != http.StatusBadRequest && rec.Code != http.StatusRequestEntityTooLarge || rec.Body.Len() > 8<<10 {
			t.Errorf("%d names: status %d, %d bytes", n, rec.Code, rec.Body.Len())
		}
		r := testing.Benchmark(func(b *testing.B) {
			for range b.N {
				start()
			}
		})
		if most := int64(40*len(body) + 1<<20); r.AllocedBytesPerOp() > most {
			t.Errorf("%d names: %d bytes are allocated for %d of the question", n, r.AllocedBytesPerOp(), len(body))
		}
	}
}

func TestVariablesAreNamedOnce(t *testing.T) {
	t.Parallel()
	spec := runs.Spec{Inputs: []runs.Variable{{Name: "data"}}, Outputs: []runs.Variable{{Name: "model"}}}
	h := &runs.Handler{Namespace: "pu-ann", Base: "/pu-ann/pipelines"}
	rec := httptest.NewRecorder()
	body := `{"inputs":{"b":"x","a":"x"},"outputs":{"` + strings.Repeat("o", 500) + `":"x"}}`
	h.Start(rec, httptest.NewRequest(http.MethodPost, "/", strings.NewReader(body)), "ann", "train", spec)
	var p problem.Problem
	if err := json.Unmarshal(rec.Body.Bytes(), &p); err != nil || len(p.Errors) != 3 {
		t.Fatalf("%v: %s", err, rec.Body)
	}
	if p.Detail != `there is no variable "a" here; there are: data` || p.Errors[1].Detail != `there is no variable "b" here` {
		t.Errorf("%q, %q", p.Detail, p.Errors[1].Detail)
	}
	if e := p.Errors[2]; len(e.Pointer) > 120 || !strings.HasSuffix(e.Detail, "there are: model") {
		t.Errorf("%+v", e)
	}
}
