//go:build e2e

package attack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/attack/inputs"
	"github.com/unip-knative/unip/e2e/live"
)

func TestUserPathsOfFiles(t *testing.T) {
	t.Parallel()
	w := enter(t)
	cases := inputs.Read("files", namespace)
	tried(t, len(cases))
	for _, c := range cases {
		status, _, body := w.raw(t, "GET /"+namespace+"/files/"+c.Input,
			"Authorization: "+basic("ann")["Authorization"])
		check(t, c.Place+" "+c.Input, status, body, c.Want...)
	}
}

// Bodies of predict that name what is not the caller's, or are no JSON of its form.
func TestUserBodiesOfPredict(t *testing.T) {
	t.Parallel()
	w := enter(t)
	cases := inputs.Read("predict", namespace)
	deep := strings.Repeat("[", 100_000)
	for _, body := range []string{deep, `{"inputs":` + deep + `}`,
		`{"inputs":[{"name":"x","datatype":"FP64","data":[` + strings.Repeat("9", 1<<20) + `]}]}`} {
		cases = append(cases, inputs.Case{Input: body, Want: []int{400, 500}, Place: "made"})
	}
	files := strings.Repeat(`{"name":"f","datatype":"FILE","data":"`+annsFile+`"},`, 65)
	cases = append(cases, inputs.Case{Input: `{"inputs":[` + strings.TrimSuffix(files, ",") + `]}`, Want: []int{400},
		Place: "65 files"})
	tried(t, len(cases))
	for _, c := range cases {
		a := w.call(t, http.MethodPost, "ann", "closed/predict", live.Raw(c.Input))
		check(t, fmt.Sprintf("%s %.150s", c.Place, c.Input), a.Status, string(a.Body), c.Want...)
	}
}

func TestUserBodiesOfRuns(t *testing.T) {
	t.Parallel()
	w := enter(t)
	cases := inputs.Read("runs", namespace)
	paths := []string{"stage/run", "pipelines/stage/run"}
	tried(t, len(paths)*len(cases))
	for _, c := range cases {
		for _, path := range paths {
			a := w.call(t, http.MethodPost, "ann", path, live.Raw(c.Input))
			check(t, path+" "+c.Place+" "+c.Input, a.Status, string(a.Body), c.Want...)
		}
	}
}

// A run that is asked for in general is one of the pipeline's own API, or none: not of one that is
// not published, not for users whom that does not let in, not with what it does not name.
func TestUserRunsInGeneral(t *testing.T) {
	t.Parallel()
	w := enter(t)
	const code = `{"inputs":{"code":"` + annsFile + `"}}`
	calls := []struct {
		method, user, path, body string
		header                   []string
		want                     []int
	}{
		{"POST", "ann", "unheard/run", "{}", nil, []int{404}}, // its API is not published
		{"POST", "ann", "bare/run", "{}", nil, []int{404}},    // it has none
		{"POST", "ann", "nothing/run", "{}", nil, []int{404}},
		{"POST", "ann", "INNER/run", code, nil, []int{404}},
		{"POST", "ann", "inner%2frun", code, nil, []int{404}},
		{"POST", "ann", "..%2finner/run", code, nil, []int{404}},
		{"POST", "ann", "inner/run/x", code, nil, []int{404}},
		{"POST", "bob", "inner/run", code, nil, []int{401}}, // a user of the general API, and not of this one
		{"POST", "bob", "unheard/run", "{}", nil, []int{404}},
		{"POST", "ann", "inner/run", `{"inputs":{"notes":"` + annsFile + `"}}`, nil, []int{400}}, // internal
		{"POST", "ann", "inner/run", `{"inputs":{"code":"` + annsFile + `","notes":"userdata/in/"}}`, nil, []int{400}},
		{"POST", "ann", "inner/run", `{"inputs":{"code":"` + annsFile + `"},"outputs":{"notes":"userdata/out/"}}`, nil,
			[]int{400}},
		{"POST", "ann", "inner/run", `{"inputs":{"code":"` + bobsFile + `"}}`, nil, []int{400}}, // ann has no such file
		{"GET", "ann", "inner/run", "", nil, []int{405}},
		{"PUT", "ann", "inner/run", code, nil, []int{405}},
		{"POST", "", "inner/run", code, nil, []int{401}},
		{"POST", "", "stage/run", code, []string{"Unip-Caller", "eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ."}, []int{401}},
		{"POST", "", "stage/run", code, []string{"Authorization", "Bearer eyJhbGciOiJub25lIn0.eyJzdWIiOiJhbm4ifQ."},
			[]int{401}},
		{"POST", "", "stage/run", code, []string{"X-Forwarded-User", "ann"}, []int{401}},
		{"POST", "ann", "inner/run", code, []string{"Origin", "https://evil.example"}, []int{403}},
		{"POST", "ann", "inner/run", code, []string{"Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain"},
			[]int{403}},
	}
	tried(t, len(calls))
	for _, c := range calls {
		a := w.call(t, c.method, c.user, "pipelines/"+c.path, live.Raw(c.body), c.header...)
		check(t, fmt.Sprintf("%s %s %s %s %v", c.user, c.method, c.path, c.body, c.header), a.Status, string(a.Body),
			c.want...)
	}
	started, err := w.Kubectl(t.Context(), "-n", namespace, "get", "pipelineruns", "-o", "name", "-l",
		"knative.unified-platform.cs.hse.ru/pipeline in (inner,unheard,bare)")
	if err != nil || strings.TrimSpace(started) != "" {
		t.Errorf("runs have started: %s %v", started, err)
	}
}

// Callers' mistakes about runs are theirs, and other people's runs do not exist.
func TestUserRunsOfOthers(t *testing.T) {
	t.Parallel()
	w := enter(t)
	id := w.start(t, "ann", "print('hello')")
	calls := []struct {
		method, path string
		want         []int
	}{
		{"GET", "runs/" + id, []int{404}}, {"POST", "runs/" + id + "/cancel", []int{404}},
		{"GET", "runs/" + id + "/logs", []int{404}}, {"GET", "runs/" + id + "/events", []int{404}},
		{"GET", "runs/..%2f" + id, []int{404}}, {"GET", "runs/%2e%2e", []int{404}},
		{"GET", "runs/" + strings.Repeat("x", 300), []int{404}}, {"GET", "runs/a%20b", []int{404}},
		{"GET", "runs?pipeline=a%20b", []int{200, 400, 404}},
		{"GET", "runs?pipeline=stage,user!=bob", []int{200, 400, 404}},
		{"GET", "runs?pipeline=" + strings.Repeat("x", 300), []int{200, 400, 404}},
		{"GET", "runs?status=x", []int{200, 400, 404}}, {"GET", "runs?limit=0", []int{200, 400, 404}},
		{"GET", "runs?limit=1e9", []int{200, 400, 404}}, {"GET", "runs?continue=AAAA", []int{200, 400, 404}},
	}
	tried(t, len(calls))
	for _, c := range calls {
		a := w.call(t, c.method, "bob", "pipelines/"+c.path, nil)
		check(t, c.method+" "+c.path, a.Status, string(a.Body), c.want...)
		if strings.HasPrefix(c.path, "runs?") && strings.Contains(string(a.Body), id) {
			t.Errorf("%s: bob sees ann's run", c.path)
		}
	}
	if a := w.call(t, http.MethodGet, "bob", "pipelines/runs?limit=100", nil); strings.Contains(string(a.Body), id) {
		t.Error("bob's list has ann's run")
	}
}

// The id of a request is part of where a function's files go: it leads nowhere else.
func TestUserRequestIDs(t *testing.T) {
	t.Parallel()
	w := enter(t)
	ids := []string{"../../bob/file_groups/x", "..", ".", "/", "a/b", "a\tb", "%2e%2e", strings.Repeat("x", 129),
		"${HOME}", "é"}
	tried(t, len(ids))
	const code = `
open("/tmp/out.txt", "w").write("out")
outputs = [{"name": "out", "datatype": "FILE", "data": "/tmp/out.txt"}]`
	for _, id := range ids {
		a := w.call(t, http.MethodPost, "ann", "closed/predict",
			map[string]any{"inputs": []any{map[string]string{"name": "code", "datatype": "str", "data": code}}},
			"X-Request-Id", id)
		if a.Status == http.StatusBadRequest {
			continue
		}
		var path string
		if err := a.Output("out", &path); err != nil {
			t.Errorf("id %q: %v", id, err)
			continue
		}
		parts := strings.Split(path, "/")
		if len(parts) != 4 || parts[0] != "userdata" || parts[1] != "model" || parts[2] == ".." || parts[2] == "." ||
			parts[3] != "out.txt" {
			t.Errorf("id %q: the file went to %q", id, path)
		}
	}
}

// A box does not take more than its capacity.
func TestUserCapacity(t *testing.T) {
	t.Parallel()
	w := enter(t)
	tried(t, 4)
	a := w.call(t, http.MethodPut, "ann", "files/small/g/big?size=2000000", nil)
	check(t, "a link for 2 MB into a box of 1 MB", a.Status, string(a.Body), 507)
	for _, size := range []string{"-1", "x"} {
		a = w.call(t, http.MethodPut, "ann", "files/small/g/bad?size="+size, nil)
		check(t, "a link for "+size+" bytes", a.Status, string(a.Body), 400)
	}
	put := w.link(t, "ann", "small/g/plain")
	if status, body := send(t, http.MethodPut, put, strings.Repeat("x", 1_500_000)); status != http.StatusOK {
		t.Fatalf("a plain link: %d %s", status, body)
	}
	// The overshoot of one plain link is bounded: the next one is refused.
	err := live.Await(t.Context(), 70*time.Second, "the full box refusing links", func(context.Context) error {
		a := w.call(t, http.MethodPut, "ann", "files/small/g/next", nil)
		if a.Status != http.StatusInsufficientStorage {
			return fmt.Errorf("%d %s", a.Status, a.Body)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// link asks the file API for a link to write a file.
func (w *world) link(t *testing.T, user, path string) string {
	t.Helper()
	a := w.call(t, http.MethodPut, user, "files/"+path+separator(path)+"overwrite=true", nil)
	var link struct {
		Put string `json:"presigned_put_url"`
	}
	if err := json.Unmarshal(a.Body, &link); err != nil || link.Put == "" {
		t.Fatalf("no link for %s: %d %s", path, a.Status, a.Body)
	}
	return link.Put
}

func separator(path string) string {
	if strings.Contains(path, "?") {
		return "&"
	}
	return "?"
}
