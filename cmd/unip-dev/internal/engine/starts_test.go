package engine

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
)

// An upload starts one run, however often it is told of and whoever is told.
func TestUploadsStartOnce(t *testing.T) {
	t.Parallel()
	p := pipe("train", line("fit: table -> model", `cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_MODEL/in.csv"`))
	p.Spec.OnUpload = []runtimev1.UploadRule{{Box: "userdata", Prefix: "in/", Suffix: ".csv", Input: "table",
		Outputs: []runtimev1.UploadOutput{{Variable: "model", Box: "weights", Path: "m/", Developer: true}}}}
	w := newWorld(t, p)
	tell := func(e *Engine, keys ...string) {
		for _, k := range keys {
			w.must(e.Uploaded(t.Context(), w.bucket, k))
		}
	}
	w.put(key("out/t.csv"), "1")
	e, stop := w.open()
	tell(e, key("in/t.csv"), key("in/t.csv"), key("out/t.csv"), key("in/gone.csv"), "users/odd", "in/t.csv")
	all, err := e.Runs(t.Context(), "")
	w.must(err)
	if len(all) != 1 || all[0].Spec.Origin != runtimev1.OriginUpload || all[0].Spec.User != "ann" {
		t.Fatalf("%+v", all)
	}
	r := w.until(e, &all[0], over)
	stop()
	w.must(os.Remove(filepath.Join(w.options.Dir, "runs", r.Name+runFile))) // it is the record that counts
	e, stop = w.open()
	tell(e, key("in/t.csv"))
	if all, _ = e.Runs(t.Context(), ""); len(all) != 0 {
		t.Fatalf("%+v", all)
	}
	if got := w.get(databox.UsualBuckets.Box(w.namespace, "weights"), "m/in.csv"); got != "1,2\n" {
		t.Errorf("%q", got)
	}
	w.put(key("in/t.csv"), "3,4\n")
	tell(e, key("in/t.csv"), key("in/t.csv"))
	if all, _ = e.Runs(t.Context(), "train"); len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	stop()
}

// What was due while unip dev was away starts once, the latest time only, and is not started again by
// the next one.
func TestSchedules(t *testing.T) {
	t.Parallel()
	p := pipe("nightly", line("fit: -> model", `echo model > "$UNIP_PIPELINE_MODEL/m"`))
	p.Spec.Schedule, p.Spec.TimeZone = "* * * * *", "UTC"
	w := newWorld(t, p)
	settled := time.Now().Add(-10 * time.Minute).UTC().Format(time.RFC3339)
	w.must(os.WriteFile(filepath.Join(w.options.Dir, "schedules.json"),
		[]byte(`{"nightly":{"line":"CRON_TZ=UTC * * * * *","settledTime":"`+settled+`"}}`), 0o600))
	started := func(e *Engine) (all []string) {
		runs, err := e.Runs(t.Context(), "")
		w.must(err)
		for _, r := range runs {
			if r.Spec.Origin != runtimev1.OriginSchedule || r.Spec.User != "" {
				t.Errorf("%+v", r.Spec)
			}
			all = append(all, r.Spec.IdempotencyKey)
		}
		slices.Sort(all)
		return all
	}
	e, stop := w.open()
	w.eventually("a run", func() bool { return len(started(e)) > 0 })
	runs, err := e.Runs(t.Context(), "")
	w.must(err)
	r := w.until(e, &runs[0], over)
	if got := w.get(w.bucket, "nightly/"+r.Name+"/model/m"); got != "model\n" {
		t.Errorf("%q", got)
	}
	stop()
	was := started(e)
	e, stop = w.open()
	stop()
	is := started(e)
	for _, all := range [][]string{was, is} {
		if len(slices.Compact(slices.Clone(all))) != len(all) || len(all) > 3 { // a minute may be over twice
			t.Errorf("%v", all)
		}
	}
}

// A start that cannot be kept is not taken for made: it is made when that can be.
func TestAStartThatCannotBeKept(t *testing.T) {
	t.Parallel()
	p := pipe("train", line("fit: table -> model", `cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_MODEL/m"`))
	p.Spec.OnUpload = []runtimev1.UploadRule{{Box: "userdata", Prefix: "in/", Input: "table"}}
	w := newWorld(t, p)
	e, _ := w.open()
	runs := filepath.Join(w.options.Dir, "runs")
	w.must(os.Rename(runs, runs+"2"))
	if err := e.Uploaded(t.Context(), w.bucket, key("in/t.csv")); err == nil {
		t.Error("a start is accepted that is not kept")
	}
	w.must(os.Rename(runs+"2", runs))
	w.must(e.Uploaded(t.Context(), w.bucket, key("in/t.csv")))
	all, err := e.Runs(t.Context(), "train")
	w.must(err)
	if len(all) != 1 {
		t.Fatalf("%+v", all)
	}
	if r := w.until(e, &all[0], done); r.Status.State != runtimev1.Succeeded {
		t.Errorf("%s: %s", r.Status.State, r.Status.Message)
	}
}
