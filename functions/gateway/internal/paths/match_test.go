package paths

import (
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
		"/leaf/openapi":              {ForwardCall, "", "GET HEAD"},
		"/leaf/v2":                   {ForwardCall, "", "GET HEAD POST"},
		"/leaf/v2/models/cancel":     {ForwardCall, "", "GET HEAD POST"},
		"/files/data/g/f":            {ServeFile, "", "GET PUT DELETE"},
		"/files/data/runs/r/cancel":  {ServeFile, "", "GET PUT DELETE"},
		"/train":                     {StartRun, "", "POST"},
		"/pu-ann/train/run":          {StartRun, "", "POST"},
		"/train/openapi.json":        {DescribePipeline, "", "GET HEAD"},
		"/train/openapi":             {DescribePipeline, "", "GET HEAD"},
		"/pipelines":                 {ListPipelines, "", "GET"},
		"/pipelines/runs":            {ListRuns, "", "GET"},
		"/pipelines/runs/r-1":        {GetRun, "r-1", "GET"},
		"/pipelines/runs/cancel":     {GetRun, "cancel", "GET"},
		"/pipelines/runs/r-1/cancel": {CancelRun, "r-1", "POST"},
		"/pipelines/runs/r-1/logs":   {ReadLogs, "r-1", "GET"},
		"/pipelines/runs/r-1/events": {WatchRun, "r-1", "GET"},
	} {
		m, ok := table.Find(path)
		if !ok || m.Operation != want.operation || m.Run != want.run || strings.Join(m.Methods, " ") != want.methods {
			t.Errorf("%s: %v, operation %d of run %q by %v; want %+v", path, ok, m.Operation, m.Run, m.Methods, want)
		}
	}
	for _, path := range []string{
		"/train/run/x", "/train/predict", "/train/runs", "/pipelines/r-1", "/pipelines/run", "/pipelines/runs/r-1/x",
		"/pipelines/runs/r-1/cancel/x", "/pipelines/runs/r-1/logs/events", "/pipelines/openapi.json", "/leaf/run",
	} {
		if m, ok := table.Find(path); ok {
			t.Errorf("%s: %+v", path, m)
		}
	}
}
