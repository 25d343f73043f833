package runs

import (
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// A call costs little, whatever is asked and however many variables there are.
// Not parallel: it counts what the process allocates.
func TestStartIsBounded(t *testing.T) {
	var spec routes.Spec
	for i := range 256 {
		spec.Inputs = append(spec.Inputs, routes.Variable{Name: fmt.Sprintf("%063d", i)})
	}
	object := func(n int) string {
		var b strings.Builder
		for i := range n {
			fmt.Fprintf(&b, `,"x%d":""`, i)
		}
		return `{"inputs":{` + b.String()[1:] + `}}`
	}
	wrong := `{"inputs":[` + strings.Repeat(`{},`, maxBody/3-8) + `{}]}`
	for name, c := range map[string]struct {
		body   string
		status int
	}{
		"95000 names":      {object(95000), http.StatusRequestEntityTooLarge},
		"5000 names":       {object(5000), http.StatusBadRequest},
		"a list of wrongs": {wrong, http.StatusBadRequest},
		"one long name":    {`{"inputs":{"` + strings.Repeat("\ue000", 20000) + `":""}}`, http.StatusBadRequest},
		"one long value": {`{"inputs":{"` + spec.Inputs[0].Name + `":"` + strings.Repeat("\ue000", 20000) + `"}}`,
			http.StatusBadRequest},
	} {
		h := &Handler{}
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		w := httptest.NewRecorder()
		h.Start(w, httptest.NewRequest(http.MethodPost, "/ns/train/run", strings.NewReader(c.body)), "ann",
			routes.API{Target: "train", Spec: spec})
		runtime.ReadMemStats(&after)
		if w.Code != c.status || w.Body.Len() > 16<<10 {
			t.Errorf("%s: %d with %d bytes", name, w.Code, w.Body.Len())
		}
		if n := after.TotalAlloc - before.TotalAlloc; n > 16<<20 {
			t.Errorf("%s: %d bytes were allocated", name, n)
		}
		var p problem.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || len(p.Errors) > problem.MaxFaults {
			t.Errorf("%s: %d faults, %v", name, len(p.Errors), err)
		}
	}
}

func TestMistakesOfCallersAreNotUnavailable(t *testing.T) {
	t.Parallel()
	h := &Handler{} // without a client: nothing may be asked for
	for path, want := range map[string]int{
		"/runs?pipeline=a%20b": http.StatusBadRequest, "/runs?pipeline=a,b": http.StatusBadRequest,
		"/runs?continue=AAAA": http.StatusBadRequest,
		"/runs?continue=%00":  http.StatusBadRequest, "/runs?limit=x": http.StatusBadRequest,
		"/runs?pipeline=" + strings.Repeat("x", 64): http.StatusBadRequest,
	} {
		w := httptest.NewRecorder()
		h.List(w, httptest.NewRequest(http.MethodGet, path, nil), "ann")
		if w.Code != want {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	for _, id := range []string{"..", "a b", "a/b", "A", "%2e", strings.Repeat("x", 300), ""} {
		w := httptest.NewRecorder()
		h.Get(w, httptest.NewRequest(http.MethodGet, "/x", nil), "ann", id)
		if w.Code != http.StatusNotFound {
			t.Errorf("run %q: %d %s", id, w.Code, w.Body)
		}
	}
}

// A name that no disk can have is the caller's mistake, of an input and of an output: the storage is
// not even asked.
func TestNamesAreNamesOnADisk(t *testing.T) {
	t.Parallel()
	h := &Handler{Boxes: []string{"v"}}
	spec := routes.Spec{Inputs: []routes.Variable{{Name: "in"}}, Outputs: []routes.Variable{{Name: "out"}}}
	long := strings.Repeat("й", 128)
	for place, pointer := range map[string]string{
		`"inputs":{"in":"v/g/` + long + `"}`:    "/inputs/in",
		`"inputs":{"in":"v/` + long + `/f"}`:    "/inputs/in",
		`"inputs":{"in":"v/` + long + `/"}`:     "/inputs/in",
		`"outputs":{"out":"v/g/` + long + `/"}`: "/outputs/out",
		`"outputs":{"out":"v/` + long + `/g/"}`: "/outputs/out",
	} {
		w := httptest.NewRecorder()
		h.Start(w, httptest.NewRequest(http.MethodPost, "/ns/fit/run", strings.NewReader("{"+place+"}")), "ann",
			routes.API{Target: "fit", Spec: spec})
		var p problem.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusBadRequest ||
			len(p.Errors) != 1 || p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %d %s", place, w.Code, w.Body)
		}
	}
}

// Bodies as people send them: packed, with a byte order mark, or as a form.
func TestBodiesOfRuns(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	_, _ = io.WriteString(z, `{"inputs":{"x":"v/g/f"}}`) // into memory
	_ = z.Close()
	const none = "there is no variable"
	for body, want := range map[string]struct {
		header []string
		status int
		says   string
	}{
		b.String():                            {[]string{"Content-Encoding", "gzip"}, 400, none},
		"\ufeff" + `{"inputs":{"x":"v/g/f"}}`: {nil, 400, none},
		"x=v/g/f":                             {[]string{"Content-Type", "application/x-www-form-urlencoded"}, 415, "a form"},
		"\x0b":                                {[]string{"Content-Encoding", "br"}, 415, "gzip"},
		"no gzip":                             {[]string{"Content-Encoding", "gzip"}, 400, "not gzip"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/ns/fit/run", strings.NewReader(body))
		for i := 0; i < len(want.header); i += 2 {
			r.Header.Set(want.header[i], want.header[i+1])
		}
		(&Handler{}).Start(w, r, "ann", routes.API{Target: "fit"})
		if w.Code != want.status || !strings.Contains(w.Body.String(), want.says) {
			t.Errorf("%q: %d %s", body, w.Code, w.Body)
		}
	}
}

// What the manifest requires, of inputs and of outputs, a call must name.
func TestRequiredVariables(t *testing.T) {
	t.Parallel()
	spec := routes.Spec{
		Inputs:  []routes.Variable{{Name: "photos", Required: true}, {Name: "table"}},
		Outputs: []routes.Variable{{Name: "model", Required: true}, {Name: "report"}},
	}
	for body, want := range map[string][]string{
		"":                             {"/inputs/photos", "/outputs/model"},
		`{"inputs": {"photos": "v/"}}`: {"/outputs/model"},
		`{"outputs": {"model": "v/m/"}, "inputs": {"table": "v/t"}}`: {"/inputs/photos"},
	} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest(http.MethodPost, "/ns/fit/run", strings.NewReader(body))
		(&Handler{}).Start(w, r, "ann", routes.API{Target: "fit", Spec: spec})
		var p problem.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusBadRequest {
			t.Fatalf("%s: %d %s", body, w.Code, w.Body)
		}
		var got []string
		for _, e := range p.Errors {
			got = append(got, e.Pointer)
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: faults at %v, not %v", body, got, want)
		}
	}
}

// What no run could be given is told at once, not when the run has failed.
func TestPlacesThatNoRunCanHave(t *testing.T) {
	t.Parallel()
	api := routes.API{Target: "fit", Spec: routes.Spec{
		Inputs: []routes.Variable{{Name: "photos"}}, Outputs: []routes.Variable{{Name: "model"}},
	}}
	h := &Handler{Boxes: []string{"v", "herbarium"}, Dataset: func(box string) bool { return box == "herbarium" }}
	for body, pointer := range map[string]string{
		`{"inputs": {"photos": "v/in/a?.png"}}`:             "/inputs/photos",
		`{"inputs": {"photos": "herbarium/leaves-*/"}}`:     "/inputs/photos",
		`{"outputs": {"model": "v/models/${user}/"}}`:       "/outputs/model",
		`{"outputs": {"model": "herbarium/models/"}}`:       "/outputs/model",
		`{"outputs": {"model": "herbarium/"}}`:              "/outputs/model",
		`{"outputs": [{"name": "model", "path": "v/m*/"}]}`: "/outputs/model",
	} {
		w := httptest.NewRecorder()
		h.Start(w, httptest.NewRequest(http.MethodPost, "/ns/fit/run", strings.NewReader(body)), "ann", api)
		var p problem.Problem
		if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || w.Code != http.StatusBadRequest ||
			len(p.Errors) != 1 || p.Errors[0].Pointer != pointer {
			t.Errorf("%s: %d %s", body, w.Code, w.Body)
		}
	}
}

func TestAnswersAreNotSniffed(t *testing.T) {
	t.Parallel()
	w := httptest.NewRecorder()
	writeJSON(w, http.StatusOK, struct{}{})
	if w.Header().Get("X-Content-Type-Options") != "nosniff" {
		t.Error(w.Header())
	}
}

func TestStreamsAreBounded(t *testing.T) {
	t.Parallel()
	var s streams
	open := func(user string) (int, func()) {
		w := httptest.NewRecorder()
		end, ok := s.open(w, httptest.NewRequest(http.MethodGet, "/x", nil), user)
		if !ok {
			if w.Header().Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			return w.Code, nil
		}
		return http.StatusOK, end
	}
	var ends []func()
	for range streamsOfUser {
		code, end := open("ann")
		if code != http.StatusOK {
			t.Fatal(code)
		}
		ends = append(ends, end)
	}
	if code, _ := open("ann"); code != http.StatusTooManyRequests {
		t.Errorf("one more of one user: %d", code)
	}
	for i := len(ends); i < maxStreams; i++ {
		code, end := open(fmt.Sprint(i))
		if code != http.StatusOK {
			t.Fatal(code)
		}
		ends = append(ends, end)
	}
	if code, _ := open("boris"); code != http.StatusServiceUnavailable {
		t.Errorf("one more of all: %d", code)
	}
	for _, end := range ends {
		end()
	}
	if code, _ := open("ann"); code != http.StatusOK || len(s.users) != 1 {
		t.Errorf("after their end: %d, %v", code, s.users)
	}
}

// FuzzQuestion: a body is refused in few words, or is values that say the same when they are
// written down.
func FuzzQuestion(f *testing.F) {
	for _, s := range []string{
		``, `{}`, `null`, `{"inputs":null}`, `{"inputs":{"table":"box/in/a.csv"},"outputs":{"model":"box/out/"}}`,
		`{"inputs":{"table":null}}`, `{"inputs":{"table":1}}`,
		`{"inputs":[{"name":"table","path":"box/in/a.csv"}]}`, `{"inputs":[{"name":"a","data":"b"},{"name":"a"}]}`,
		`{"inputs":{"a":"1","a":"2"},"INPUTS":[]}`,
		"{\"inputs\":{\"\xff\":\"\xff\"}}", `{"inputs":{"\ud800":"\u0000"}}`, strings.Repeat("[", 20000),
		`{"inputs":{"` + strings.Repeat("x", 1<<10) + `":"x"}}`,
	} {
		f.Add([]byte(s))
	}
	spec := routes.Spec{Inputs: []routes.Variable{{Name: "table", Required: true}, {Name: "extra"}},
		Outputs: []routes.Variable{{Name: "model"}}}
	f.Fuzz(func(t *testing.T, b []byte) {
		q, p := readQuestion("", http.MaxBytesReader(nil, io.NopCloser(strings.NewReader(string(b))), maxBody))
		if p == nil {
			again, err := json.Marshal(q)
			if err != nil {
				t.Fatal(err)
			}
			q2, p2 := readQuestion("", strings.NewReader(string(again)))
			if p2 != nil || !maps.Equal(q.Inputs, q2.Inputs) || !maps.Equal(q.Outputs, q2.Outputs) {
				t.Fatalf("%q is %v, but written down it is %v, %v", b, q, q2, p2)
			}
			var found faults
			found.names(spec, q)
			if p = found.problem(); p == nil {
				if len(q.Inputs) > len(spec.Inputs) || len(q.Outputs) > len(spec.Outputs) || q.Inputs["table"] == "" &&
					len(q.Inputs) == 0 {
					t.Fatalf("%q is let through: %v", b, q)
				}
				return
			}
		}
		w := httptest.NewRecorder()
		problem.Write(w, nil, *p)
		if p.Status < 400 || p.Status >= 500 || len(p.Errors) > problem.MaxFaults || w.Body.Len() > 256<<10 {
			t.Fatalf("%d, %d faults, %d bytes", p.Status, len(p.Errors), w.Body.Len())
		}
	})
}
