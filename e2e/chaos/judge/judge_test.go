package judge_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/e2e/chaos/judge"
)

var noon = time.Date(2030, 1, 1, 12, 0, 0, 0, time.UTC)

func at(seconds float64) time.Time { return noon.Add(time.Duration(seconds * float64(time.Second))) }

// run is one that has ended well.
func run(name, pipeline, origin, key, input string, from, to float64) judge.Run {
	return judge.Run{Name: name, Pipeline: pipeline, User: "ann", Origin: origin, Key: key, Input: input,
		State: judge.Succeeded, Recorded: judge.Succeeded, Created: at(from), Started: at(from), Ended: at(to)}
}

func job(name, run string, created float64) judge.Job {
	return judge.Job{Name: name, Run: run, Created: at(created)}
}

// whole are facts in which every promise was kept: an upload whose output starts a second pipeline,
// a call, one that fails as it must, one that was cancelled, an upload of which nobody knows
// whether it happened, and two that take turns.
func whole() judge.Facts {
	turn := judge.Want{Pipeline: "turns", State: judge.Succeeded, Files: map[string]string{"result/t": "t"}}
	failed := run("broken-1", "broken", "API", "k2", "userdata/in/b", 1, 5)
	failed.State, failed.Recorded = judge.Failed, judge.Failed
	cancelled := run("slow-1", "slow", "API", "k3", "userdata/in/b", 1, 9)
	cancelled.State, cancelled.Recorded = judge.Cancelled, judge.Cancelled
	return judge.Facts{
		Box: "userdata", Limits: map[string]int{"turns": 1},
		Uploads: []judge.Upload{
			{File: "userdata/chain/a", Accepted: 1, At: at(0), Want: judge.Want{Pipeline: "first", State: judge.Succeeded,
				Files: map[string]string{"result/a.part": "1"}, Place: map[string]string{"result": "userdata/handed/"},
				Starts: map[string]judge.Want{"result/a.part": {Pipeline: "second", State: judge.Succeeded,
					Files: map[string]string{"result/sum": "2"}}}}},
			{File: "userdata/in/b", Accepted: 1},
			{File: "userdata/chain/gone", Open: 1, Want: judge.Want{Pipeline: "first", State: judge.Succeeded}},
		},
		Calls: []judge.Call{
			{Key: "k1", Run: "turns-1", At: at(0), Want: turn},
			{Key: "k4", Open: true, At: at(0), Want: turn},
			{Key: "k2", Run: "broken-1", Want: judge.Want{Pipeline: "broken", State: judge.Failed}},
			{Key: "k3", Run: "slow-1", Cancelled: at(6), Want: judge.Want{Pipeline: "slow", State: judge.Cancelled}},
		},
		Runs: []judge.Run{
			run("first-1", "first", "Upload", "upload/1", "userdata/chain/a", 1, 5),
			run("second-1", "second", "Upload", "upload/2", "userdata/handed/a.part", 6, 9),
			run("turns-1", "turns", "API", "k1", "userdata/in/b", 1, 5),
			run("turns-2", "turns", "API", "k4", "userdata/in/b", 1, 9),
			failed, cancelled,
		},
		Files: map[string]string{
			"userdata/chain/a": "a", "userdata/in/b": "b", "userdata/handed/a.part": "1",
			"userdata/second/second-1/result/sum": "2", "userdata/turns/turns-1/result/t": "t",
			"userdata/turns/turns-2/result/t": "t", "userdata/first/first-1/run.json": "",
			"userdata/slow/slow-1/run.json": "",
		},
		Jobs: []judge.Job{job("f", "first-1", 1.5), job("s", "second-1", 6.5), job("t1", "turns-1", 1.2),
			job("t2", "turns-2", 5.4), job("b", "broken-1", 2), job("c", "slow-1", 8)},
		Left: []judge.Left{{Kind: "Job", Name: "f", Run: "first-1", Over: true}},
	}
}

func TestNothingIsFoundWhereNothingIsWrong(t *testing.T) {
	t.Parallel()
	v := judge.Judge(whole())
	if len(v.Findings) > 0 {
		t.Errorf("found %v", v.Findings)
	}
	if len(v.Judged) != 6 {
		t.Errorf("%d runs were judged, want 6", len(v.Judged))
	}
}

// change changes one run.
func change(f *judge.Facts, name string, do func(*judge.Run)) {
	do(&f.Runs[slices.IndexFunc(f.Runs, func(r judge.Run) bool { return r.Name == name })])
}

func drop(f *judge.Facts, name string) {
	f.Runs = slices.DeleteFunc(f.Runs, func(r judge.Run) bool { return r.Name == name })
}

// Each promise, when it is broken, is found; nothing else is.
func TestWhatIsPlantedIsFound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		plant func(*judge.Facts)
		want  string // kinds, sorted
	}{
		"a lost upload": {func(f *judge.Facts) {
			drop(f, "first-1")
			drop(f, "second-1")
			for _, file := range []string{"handed/a.part", "second/second-1/result/sum", "first/first-1/run.json"} {
				delete(f.Files, "userdata/"+file)
			}
			f.Left = nil
		}, judge.Lost},
		"a lost start by an output": {func(f *judge.Facts) {
			drop(f, "second-1")
			delete(f.Files, "userdata/second/second-1/result/sum")
		}, judge.Lost},
		"a lost call": {func(f *judge.Facts) {
			drop(f, "turns-1")
			delete(f.Files, "userdata/turns/turns-1/result/t")
		}, judge.Lost},
		"an upload that nobody answered, but which is there, is lost": {func(f *judge.Facts) {
			f.Files["userdata/chain/gone"] = "g"
		}, judge.Lost},
		"a file that was taken is gone": {func(f *judge.Facts) { delete(f.Files, "userdata/in/b") }, judge.Missing},
		"an upload that starts two": {func(f *judge.Facts) {
			f.Runs = append(f.Runs, run("first-2", "first", "Upload", "upload/3", "userdata/chain/a", 1, 5))
		}, judge.Doubled},
		"an output that starts two": {func(f *judge.Facts) {
			f.Runs = append(f.Runs, run("second-2", "second", "Upload", "upload/4", "userdata/handed/a.part", 6, 9))
			f.Files["userdata/second/second-2/result/sum"] = "2"
		}, judge.Doubled},
		"a call that starts two": {func(f *judge.Facts) {
			f.Runs = append(f.Runs, run("turns-0", "turns", "API", "k1", "userdata/in/b", 1, 5))
			f.Files["userdata/turns/turns-0/result/t"] = "t"
		}, judge.Doubled + "+" + judge.Unasked},
		"a run of nothing": {func(f *judge.Facts) {
			f.Runs = append(f.Runs, run("first-9", "first", "Upload", "upload/9", "userdata/forged", 1, 5))
		}, judge.Unasked},
		"a run that does not end": {func(f *judge.Facts) {
			change(f, "turns-2", func(r *judge.Run) { r.State, r.Recorded, r.Ended = "Running", "", time.Time{} })
			delete(f.Files, "userdata/turns/turns-2/result/t")
		}, judge.Unended},
		"a run that fails": {func(f *judge.Facts) {
			change(f, "turns-1", func(r *judge.Run) { r.State, r.Recorded = judge.Failed, judge.Failed })
			delete(f.Files, "userdata/turns/turns-1/result/t")
		}, judge.Wrong},
		"a run that fails and leaves its outputs": {func(f *judge.Facts) {
			change(f, "turns-1", func(r *judge.Run) { r.State, r.Recorded = judge.Failed, judge.Failed })
		}, judge.Extra + "+" + judge.Wrong},
		"a failure that is none": {func(f *judge.Facts) {
			change(f, "broken-1", func(r *judge.Run) { r.State, r.Recorded = judge.Succeeded, judge.Succeeded })
		}, judge.Wrong},
		"a missing output": {func(f *judge.Facts) {
			delete(f.Files, "userdata/second/second-1/result/sum")
		}, judge.Missing},
		"wrong bytes": {func(f *judge.Facts) { f.Files["userdata/turns/turns-1/result/t"] = "half" }, judge.Bytes},
		"a file too many": {func(f *judge.Facts) {
			f.Files["userdata/turns/turns-1/result/part"] = "of attempt 1"
		}, judge.Extra},
		"a file too many in the folder of several": {func(f *judge.Facts) {
			f.Files["userdata/handed/part"] = "of attempt 1"
		}, judge.Extra},
		"a file that nobody put there": {func(f *judge.Facts) { f.Files["userdata/elsewhere"] = "?" }, judge.Extra},
		"an output of a run that was cancelled": {func(f *judge.Facts) {
			f.Files["userdata/slow/slow-1/result/late"] = "?"
		}, judge.Extra},
		"no run.json": {func(f *judge.Facts) {
			change(f, "turns-1", func(r *judge.Run) { r.Recorded = "" })
		}, judge.Record},
		"run.json tells something else": {func(f *judge.Facts) {
			change(f, "turns-1", func(r *judge.Run) { r.Recorded = judge.Failed })
		}, judge.Record},
		"a Job without a run": {func(f *judge.Facts) {
			f.Left = append(f.Left, judge.Left{Kind: "Job", Name: "x", Run: "unknown", Over: true})
		}, judge.Orphan},
		"a pod that goes on": {func(f *judge.Facts) {
			f.Left = append(f.Left, judge.Left{Kind: "Pod", Name: "x", Run: "first-1"})
		}, judge.Orphan},
		"a notification that stays": {func(f *judge.Facts) {
			f.Left = append(f.Left, judge.Left{Kind: "Inbox", Name: "x"})
		}, judge.Orphan},
		"a Job after its run's end": {func(f *judge.Facts) {
			f.Jobs = append(f.Jobs, job("f2", "first-1", 6))
		}, judge.AfterEnd},
		"a Job after the cancellation": {func(f *judge.Facts) {
			change(f, "slow-1", func(r *judge.Run) { r.Ended = at(20) })
			f.Jobs = append(f.Jobs, job("c2", "slow-1", 10))
		}, judge.AfterEnd},
		"no more than the copies of a stage that had committed": {func(f *judge.Facts) {
			change(f, "slow-1", func(r *judge.Run) { r.Ended = at(20) })
			f.Jobs = append(f.Jobs, judge.Job{Name: "c2", Run: "slow-1", Created: at(10), Completes: true})
		}, ""},
		"two runs at once": {func(f *judge.Facts) {
			f.Jobs = append(f.Jobs, job("t0", "turns-2", 3))
		}, judge.OverLimit},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			f := whole()
			c.plant(&f)
			var kinds []string
			findings := judge.Judge(f).Findings
			for _, x := range findings {
				kinds = append(kinds, x.Kind)
			}
			slices.Sort(kinds)
			if got := strings.Join(kinds, "+"); got != c.want {
				t.Errorf("found %q, want %q: %v", got, c.want, findings)
			}
		})
	}
}

// A file that was put twice may start two runs, or one of the last version; what they leave is
// judged by as many.
func TestPutTwice(t *testing.T) {
	t.Parallel()
	f := whole()
	f.Uploads[0].Accepted = 2
	if v := judge.Judge(f); len(v.Findings) > 0 {
		t.Errorf("one run: %v", v.Findings)
	}
	f.Runs = append(f.Runs, run("first-2", "first", "Upload", "upload/3", "userdata/chain/a", 2, 7),
		run("second-2", "second", "Upload", "upload/4", "userdata/handed/a.part", 8, 9))
	f.Files["userdata/second/second-2/result/sum"] = "2"
	if v := judge.Judge(f); len(v.Findings) > 0 {
		t.Errorf("two runs: %v", v.Findings)
	}
}

func TestDelays(t *testing.T) {
	t.Parallel()
	judged := func(name string, asked, ended float64) judge.Judged {
		return judge.Judged{Run: run(name, "p", "API", "", "", asked, ended), Asked: at(asked)}
	}
	quiet := judge.Quiet([]judge.Judged{judged("q1", 0, 4), judged("q2", 0, 5), judged("q3", 0, 9)})
	got := judge.Delays([]judge.Judged{judged("a", 100, 106), judged("b", 104, 124), judged("c", 104, 107),
		{Run: run("x", "unknown", "API", "", "", 100, 190), Asked: at(100)}}, quiet,
		[]judge.Window{{"kill", at(105), at(106)}, {"away", at(110), at(120)}, {"kill", at(200), at(201)}})
	want := []judge.Delay{
		{Kind: "kill", Faults: 2, Runs: 3, Alone: []time.Duration{time.Second, 0}, Most: 15 * time.Second, Worst: "b"},
		{Kind: "away", Faults: 1, Runs: 1, Most: 15 * time.Second, Worst: "b"},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
