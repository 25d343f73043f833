package paths

import (
	"slices"
	"strings"
	"testing"
)

// One look at a path decides what is done; what no pattern has is not published.
func TestFindDecidesTheOperation(t *testing.T) {
	t.Parallel()
	table, err := parse(every)
	if err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]struct {
		operation Operation
		run       string
		methods   string
	}{
		"/leaf/predict":              {ForwardCall, "", "POST"},
		"/leaf/openapi":              {Describe, "", "GET HEAD"},
		"/leaf/v2":                   {ForwardCall, "", "GET HEAD POST"},
		"/leaf/v2/models/cancel":     {ForwardCall, "", "GET HEAD POST"},
		"/files/data/g/f":            {ServeFile, "", "GET HEAD PUT DELETE"},
		"/files/data/runs/r/cancel":  {ServeFile, "", "GET HEAD PUT DELETE"},
		"/train/":                    {StartRun, "", "POST"},
		"/pipelines/runs/":           {ListRuns, "", "GET HEAD"},
		"/pipelines/runs/r-1/":       {GetRun, "r-1", "GET HEAD"},
		"/train":                     {StartRun, "", "POST"},
		"/pu-ann/train/run":          {StartRun, "", "POST"},
		"/train/openapi.json":        {Describe, "", "GET HEAD"},
		"/train/openapi":             {Describe, "", "GET HEAD"},
		"/pipelines/openapi.json":    {Describe, "", "GET HEAD"},
		"/pipelines/openapi":         {Describe, "", "GET HEAD"},
		"/files/openapi.json":        {Describe, "", "GET HEAD"},
		"/pu-ann/files/openapi.json": {Describe, "", "GET HEAD"},
		"/files/openapi.json/":       {ServeFile, "", "GET HEAD PUT DELETE"},
		"/files/openapi":             {ServeFile, "", "GET HEAD PUT DELETE"}, // a box may be named so
		"/pipelines":                 {ListPipelines, "", "GET HEAD"},
		"/pipelines/runs":            {ListRuns, "", "GET HEAD"},
		"/pipelines/runs/r-1":        {GetRun, "r-1", "GET HEAD"},
		"/pipelines/runs/cancel":     {GetRun, "cancel", "GET HEAD"},
		"/pipelines/train/run":       {StartNamed, "train", "POST"},
		"/pu-ann/pipelines/x/run":    {StartNamed, "x", "POST"},
		"/pipelines/pipelines/run":   {StartNamed, "pipelines", "POST"},
		"/pipelines/runs/r-1/cancel": {CancelRun, "r-1", "POST"},
		"/pipelines/runs/r-1/logs":   {ReadLogs, "r-1", "GET HEAD"},
		"/pipelines/runs/r-1/events": {WatchRun, "r-1", "GET HEAD"},
	} {
		method, _, _ := strings.Cut(want.methods, " ")
		m, ok := table.Find(method, path)
		if !ok || m.Operation != want.operation || m.Run+m.Pipeline != want.run ||
			strings.Join(m.Methods, " ") != want.methods {
			t.Errorf("%s: %v, operation %d of run %q by %v; want %+v", path, ok, m.Operation, m.Run, m.Methods, want)
		}
	}
	// A run may be named run and a pipeline runs: the method tells.
	for method, want := range map[string]Match{
		"GET":  {Operation: GetRun, Run: "run", Methods: []string{"GET", "HEAD"}},
		"POST": {Operation: StartNamed, Pipeline: "runs", Methods: []string{"POST"}},
		"PUT":  {Operation: StartNamed, Pipeline: "runs", Methods: []string{"GET", "HEAD", "POST"}},
	} {
		m, ok := table.Find(method, "/pipelines/runs/run")
		if !ok || m.Operation != want.Operation || m.Run != want.Run || m.Pipeline != want.Pipeline ||
			!slices.Equal(m.Methods, want.Methods) {
			t.Errorf("%s: %v %+v", method, ok, m)
		}
	}
	for _, path := range []string{
		"/pipelines/train/run/x", "/pipelines/train/openapi.json",
		"/train/run/x", "/train/predict", "/train/runs", "/pipelines/r-1", "/pipelines/run",
		"/pipelines/runs/r-1/x",
		"/pipelines/runs/r-1/cancel/x", "/pipelines/runs/r-1/logs/events", "/leaf/run",
	} {
		if m, ok := table.Find("POST", path); ok {
			t.Errorf("%s: %+v", path, m)
		}
	}
}
