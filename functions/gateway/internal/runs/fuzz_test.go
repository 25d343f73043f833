package runs_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/runs"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// A body that is no good start of a run is the caller's mistake, whatever it holds, and the answer
// is not much longer than it. The handler has no cluster and no box: a run that it tried to start
// here, or a file that it looked for, would be a panic.
func FuzzStart(f *testing.F) {
	many := &strings.Builder{}
	for i := range 500 {
		fmt.Fprintf(many, `"%x":"",`, i)
	}
	for _, s := range []string{
		`{"inputs":{"data":"box/g/f"}}`, `{"inputs":{"data":"data/../f"}}`,
		`{"inputs":[{"name":"data","path":"x/y/z"}]}`,
		`{"inputs":[{"name":"data","path":"a"},{"name":"data","path":"b"}]}`, `{"inputs":{"data":7}}`,
		`{"inputs":null,"outputs":[]}`, `{"outputs":{"model":"data/g/"}}`, `[]`, `null`, ``, `{}{}`, "\xff",
		`{"inputs":{"\u0000":"\u001b[2J"}}`,
		`{"inputs":{` + strings.TrimSuffix(many.String(), ",") + `}}`, strings.Repeat(`{"inputs":`,
			2000), `{"inputs":{"data":"` + strings.Repeat("a/", 2000) + `"}}`,
	} {
		f.Add([]byte(s))
	}
	h := &runs.Handler{Base: "/pu-ann/pipelines"}
	spec := routes.Spec{Inputs: []routes.Variable{{Name: "data", Required: true}},
		Outputs: []routes.Variable{{Name: "model"}}}
	f.Fuzz(func(t *testing.T, body []byte) {
		rec := httptest.NewRecorder()
		h.Start(rec, httptest.NewRequest(http.MethodPost, "/pu-ann/train/run", strings.NewReader(string(body))), "ann",
			routes.API{Target: "train", Spec: spec})
		if rec.Code < 400 || rec.Code >= 500 || rec.Header().Get("Content-Type") != problem.ContentType ||
			!json.Valid(rec.Body.Bytes()) {
			t.Errorf("%q: %d %s", body, rec.Code, rec.Body)
		}
		if most := 8<<10 + 24*len(body); rec.Body.Len() > most {
			t.Errorf("a body of %d bytes is answered with %d", len(body), rec.Body.Len())
		}
	})
}
