// Package judge says what became of the runs of a module: what was asked of it is held against what
// a reader of S3 and of the API server has found afterwards, and what a watch has seen meanwhile.
//
// It is pure, and it knows nothing of how unip works inside: only what docs/pipelines.md promises.
package judge

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
)

// Want is what one start must come to.
type Want struct {
	Pipeline string
	// State that the run must end in. A run that was cancelled may also have been faster.
	State string
	// Files that the run leaves: by variable and path below the output's folder, the SHA-256.
	Files map[string]string
	// Place of an output's folder by variable, where it is not the run's own.
	Place map[string]string
	// Starts are the runs that files of this one start, by variable and path, as in Files.
	Starts map[string]Want
}

// Upload is a file that a user put, as often as he put it.
type Upload struct {
	// File is its place: <box>/<path>.
	File string
	// Accepted are the PUTs that S3 has answered with 200, Open those that it did not answer: they may
	// have happened or not.
	Accepted, Open int
	At             time.Time // of the first that was accepted, else of the first
	// Want has no pipeline when the file starts none.
	Want Want
}

// Call is a run that a user asked for, under one idempotency key.
type Call struct {
	Key string
	// Run is the answer's; empty when no call was accepted.
	Run string
	// Open: a call was not answered.
	Open bool
	At   time.Time
	// Cancelled is when a cancellation of it was accepted.
	Cancelled time.Time
	Want      Want
}

// Run is a PipelineRun as the API server has it.
type Run struct {
	Name, Pipeline, User, Origin string
	Key                          string // as its caller gave it
	Input                        string // place of the one input
	State, Message               string
	Created, Started, Ended      time.Time
	Outputs                      map[string]string // places by variable
	Recorded                     string            // the state that run.json tells; empty without one
}

// Done reports an end.
func (r Run) Done() bool { return r.State == Succeeded || r.State == Failed || r.State == Cancelled }

// States in which a run ends.
const (
	Succeeded = "Succeeded"
	Failed    = "Failed"
	Cancelled = "Cancelled"
)

// Job is one attempt of a stage, as the watch has seen it.
type Job struct {
	Name, Run string
	Created   time.Time
	// Completes: it runs nothing of the user's, and ends the copies of a stage that has committed its
	// outputs. A cancelled run may still do that.
	Completes bool
}

// Left is something that is there after the end.
type Left struct {
	Kind string // Job, Pod, Secret, Inbox, Pending, Upload, Namespace, Bucket, …
	Name string
	Run  string // whose it is; empty when it is nobody's
	// Over: it may stay, for its work is over (a Job that has ended).
	Over bool
}

// Facts are all that is judged.
type Facts struct {
	Uploads []Upload
	Calls   []Call
	Runs    []Run
	// Files are the users' files: by place, <box>/<path>, the SHA-256.
	Files map[string]string
	Jobs  []Job
	Left  []Left
	// Limits are the pipelines' max-parallel-runs.
	Limits map[string]int
	// Box is where runs write for which nobody names a place.
	Box string
}

// Kinds of findings.
const (
	Lost      = "lost"           // an accepted start has no run
	Doubled   = "doubled"        // it has more than one
	Unasked   = "unasked"        // a run that nothing has started
	Unended   = "not ended"      // a run goes on
	Wrong     = "wrong end"      // it ended in another state than it must
	Missing   = "missing output" // a file is not there
	Bytes     = "wrong bytes"    // it holds something else
	Extra     = "extra output"   // a file that no run should have left
	Record    = "wrong record"   // run.json is missing or tells something else
	Orphan    = "orphan"         // an object was left behind
	AfterEnd  = "after the end"  // a Job was made after its run's end, or after it was cancelled
	OverLimit = "over the limit" // more runs at once than max-parallel-runs
)

// Finding is one broken promise.
type Finding struct {
	Kind, Subject, Detail string
}

func (f Finding) String() string { return f.Kind + ": " + f.Subject + ": " + f.Detail }

// stopTakes is how long after an accepted cancellation a Job may still come that was being made
// at that moment.
const stopTakes = 3 * time.Second

// Verdict is what was found.
type Verdict struct {
	Findings []Finding
	// Judged are the runs that were started, with when they were asked for.
	Judged []Judged
}

// Judged is a run with the start that it belongs to.
type Judged struct {
	Run   Run
	Asked time.Time
}

// Judge holds what was asked against what was found.
func Judge(f Facts) Verdict {
	j := &judge{Facts: f, taken: map[string]bool{}, expected: map[string]bool{}}
	for _, u := range f.Uploads {
		j.upload(u)
	}
	for _, c := range f.Calls {
		j.call(c)
	}
	for _, r := range f.Runs {
		if !j.taken[r.Name] {
			j.find(Unasked, r.Name, "a run of %s by %s with %s that nothing has started", r.Pipeline, r.Origin, r.Input)
			j.own(r)
		}
	}
	j.files()
	j.jobs()
	j.limits()
	j.left()
	return j.Verdict
}

type judge struct {
	Facts
	Verdict
	taken    map[string]bool // runs, by name
	expected map[string]bool // files, by place
	shared   []string        // folders that several runs write into
}

func (j *judge) find(kind, subject, format string, args ...any) {
	j.Findings = append(j.Findings, Finding{kind, subject, fmt.Sprintf(format, args...)})
}

// upload: one run for each time that a file was put, or fewer where it was put again before
// anybody looked, but at least one. The box is the truth: a file that is there was put.
func (j *judge) upload(u Upload) {
	j.expected[u.File] = true
	_, there := j.Files[u.File]
	least, most := 0, u.Accepted+u.Open
	if u.Accepted > 0 || there {
		least = 1
	}
	if u.Accepted > 0 && !there {
		j.find(Missing, u.File, "S3 has taken it and does not have it")
	}
	if u.Want.Pipeline != "" {
		j.byFile(u.File, u.At, least, most, u.Want)
	}
}

func (j *judge) call(c Call) {
	least, most := 0, 1
	if c.Run != "" {
		least = 1
	} else if !c.Open {
		most = 0
	}
	runs := j.started("call "+c.Key, "API", c.At, least, most, c.Want, func(r Run) bool {
		return r.Key == c.Key && r.Pipeline == c.Want.Pipeline
	})
	for _, r := range runs {
		if c.Run != "" && r.Name != c.Run {
			j.find(Unasked, r.Name, "the call %s was answered with run %s", c.Key, c.Run)
		}
		if c.Cancelled.IsZero() {
			continue
		}
		for _, x := range j.Jobs {
			if x.Run == r.Name && !x.Completes && x.Created.After(c.Cancelled.Add(stopTakes)) {
				j.find(AfterEnd, x.Name, "made %s after its run was cancelled",
					x.Created.Sub(c.Cancelled).Round(time.Second))
			}
		}
	}
}

// started judges the runs of one start.
func (j *judge) started(what, origin string, at time.Time, least, most int, want Want, mine func(Run) bool) []Run {
	var runs []Run
	for _, r := range j.Runs {
		if mine(r) && !j.taken[r.Name] {
			j.taken[r.Name] = true
			runs = append(runs, r)
		}
	}
	if len(runs) < least {
		j.find(Lost, what, "by %s: %d runs of %s, at least %d must be", origin, len(runs), want.Pipeline, least)
	}
	if len(runs) > most {
		j.find(Doubled, what, "by %s: %d runs of %s, at most %d may be: %s", origin, len(runs), want.Pipeline, most,
			strings.Join(namesOf(runs), ", "))
	}
	for _, r := range runs {
		j.Judged = append(j.Judged, Judged{r, at})
		j.run(r, want)
	}
	j.follow(runs, want)
	return runs
}

func namesOf(runs []Run) []string {
	var all []string
	for _, r := range runs {
		all = append(all, r.Name)
	}
	return all
}

// run judges one run.
func (j *judge) run(r Run, want Want) {
	j.own(r)
	if !r.Done() {
		j.find(Unended, r.Name, "it is %s since %s: %s", r.State, r.Started.Format(time.TimeOnly), r.Message)
		return
	}
	if r.State != want.State && (want.State != Cancelled || r.State != Succeeded) {
		j.find(Wrong, r.Name, "a run of %s is %s, not %s: %s", r.Pipeline, r.State, want.State, r.Message)
	}
	if r.Recorded != r.State {
		j.find(Record, r.Name, "it is %s, run.json tells %q", r.State, r.Recorded)
	}
	if r.State != Succeeded {
		return // what lies in its folder is found by files
	}
	for _, file := range slices.Sorted(maps.Keys(want.Files)) {
		place := j.place(r, want, file)
		j.expected[place] = true
		switch sum, there := j.Files[place]; {
		case !there:
			j.find(Missing, place, "of run %s", r.Name)
		case sum != want.Files[file]:
			j.find(Bytes, place, "of run %s", r.Name)
		}
	}
}

// follow judges the runs that the files of others start: one for each run that wrote the file.
func (j *judge) follow(runs []Run, want Want) {
	type written struct {
		times int
		at    time.Time
	}
	for _, file := range slices.Sorted(maps.Keys(want.Starts)) {
		places := map[string]written{}
		for _, r := range runs {
			if place := j.place(r, want, file); r.State == Succeeded && j.Files[place] != "" {
				places[place] = written{places[place].times + 1, r.Ended}
			}
		}
		for _, place := range slices.Sorted(maps.Keys(places)) {
			j.byFile(place, places[place].at, 1, places[place].times, want.Starts[file])
		}
	}
}

func (j *judge) byFile(place string, at time.Time, least, most int, want Want) {
	j.started(place, "Upload", at, least, most, want, func(r Run) bool {
		return r.Origin == "Upload" && r.Pipeline == want.Pipeline && r.Input == place
	})
}

// place is where a file of a run must lie: variable and path are <variable>/<path>.
func (j *judge) place(r Run, want Want, file string) string {
	variable, path, _ := strings.Cut(file, "/")
	if folder, ok := want.Place[variable]; ok {
		if !slices.Contains(j.shared, folder) {
			j.shared = append(j.shared, folder)
		}
		return folder + path
	}
	return j.folder(r) + variable + "/" + path
}

// folder is the run's own.
func (j *judge) folder(r Run) string { return j.Box + "/" + r.Pipeline + "/" + r.Name + "/" }

// own notes what each run may have in its folder.
func (j *judge) own(r Run) { j.expected[j.folder(r)+"run.json"] = true }

// files finds what no run should have left: in a run's own folder, and in those of several.
func (j *judge) files() {
	for _, place := range slices.Sorted(maps.Keys(j.Files)) {
		if j.expected[place] {
			continue
		}
		of := slices.IndexFunc(j.Runs, func(r Run) bool { return strings.HasPrefix(place, j.folder(r)) })
		switch {
		case of >= 0:
			j.find(Extra, place, "run %s is %s", j.Runs[of].Name, j.Runs[of].State)
		case slices.ContainsFunc(j.shared, func(s string) bool { return strings.HasPrefix(place, s) }):
			j.find(Extra, place, "no run should have left it")
		default:
			j.find(Extra, place, "nobody has put it there")
		}
	}
}

// jobs finds what was started after its run's end. Both times are whole seconds, rounded down.
func (j *judge) jobs() {
	for _, r := range j.Runs {
		for _, x := range j.Jobs {
			if x.Run == r.Name && r.Done() && x.Created.Truncate(time.Second).After(r.Ended.Truncate(time.Second)) {
				j.find(AfterEnd, x.Name, "made %s after the end of run %s", x.Created.Sub(r.Ended).Round(time.Second),
					r.Name)
			}
		}
	}
}

// limits finds moments with more runs under way than their pipeline permits. A run is under way from
// its first Job to its end. The next run begins after that, so that it can only be of the same
// second or a later one.
func (j *judge) limits() {
	type span struct {
		run      string
		from, to time.Time
	}
	for _, pipeline := range slices.Sorted(maps.Keys(j.Limits)) {
		var spans []span
		for _, r := range j.Runs {
			if r.Pipeline != pipeline {
				continue
			}
			s := span{run: r.Name, to: r.Ended.Truncate(time.Second)}
			for _, x := range j.Jobs {
				if x.Run == r.Name && (s.from.IsZero() || x.Created.Before(s.from)) {
					s.from = x.Created
				}
			}
			s.from = s.from.Truncate(time.Second)
			if !s.from.IsZero() && r.Done() {
				spans = append(spans, s)
			}
		}
		for _, s := range spans { // the number is highest when one begins
			var beside []string
			for _, o := range spans {
				if !o.from.After(s.from) && o.to.After(s.from) {
					beside = append(beside, o.run)
				}
			}
			if len(beside) > j.Limits[pipeline] {
				j.find(OverLimit, pipeline, "%d runs at once at %s, the limit is %d: %s", len(beside),
					s.from.Format(time.TimeOnly), j.Limits[pipeline], strings.Join(beside, ", "))
				break
			}
		}
	}
}

// left finds what was left behind. A Job may stay for an hour after its end.
func (j *judge) left() {
	for _, l := range j.Left {
		of := slices.IndexFunc(j.Runs, func(r Run) bool { return r.Name == l.Run })
		switch {
		case l.Run == "":
			j.find(Orphan, l.Kind+" "+l.Name, "it was left behind")
		case of < 0:
			j.find(Orphan, l.Kind+" "+l.Name, "its run %s is not there", l.Run)
		case !l.Over && j.Runs[of].Done():
			j.find(Orphan, l.Kind+" "+l.Name, "its run %s has ended: %s", l.Run, j.Runs[of].State)
		}
	}
}

// PlaceOf is the place of a user's object in a box, "" for what is no user's.
func PlaceOf(box, user, key string) string {
	owner, path, ok := databox.SplitKey(key)
	if !ok || owner != user {
		return ""
	}
	return box + "/" + path
}
