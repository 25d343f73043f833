package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"

	"github.com/unip-knative/unip/eventing/databox"
)

// MaxPlan bounds a plan in bytes. It travels as an argument of a container, and all of a Pod must
// stay far below 1 MiB.
const MaxPlan = 256 << 10

// FetchPlan is what fetch does.
type FetchPlan struct {
	Inputs []Input `json:"inputs,omitempty"`
	// Outputs are the variables whose folders fetch makes, empty and writable by any user, before
	// the user's container starts.
	Outputs []string `json:"outputs,omitempty"`
	// PatienceSeconds is how long storage that does not answer is tried again, from when it did not.
	PatienceSeconds int64 `json:"patienceSeconds,omitempty"`
}

// Input is one input variable of a stage: one object, all objects below a prefix, a whole dataset,
// or an output of an earlier stage. Exactly one of Key, Prefix, Whole and Commit is set.
type Input struct {
	// Name of the variable. It is also the name of its folder in the stage's volume; the file of a
	// Key has the last segment of the key as its name there.
	Name string `json:"name"`
	// Session is the file of the session that may read it.
	Session string `json:"session"`

	Bucket string `json:"bucket"`
	// Key of one object; ETag, when set, pins what the controller saw: another version is an error.
	Key  string `json:"key,omitempty"`
	ETag string `json:"etag,omitempty"`
	// Prefix ends in "/". No object below it: an empty folder.
	Prefix string `json:"prefix,omitempty"`
	// Whole is everything in the bucket but users' files.
	Whole bool `json:"whole,omitempty"`
	// Commit is the key of an earlier stage's commit, Output the name of the output wanted from it.
	Commit string `json:"commit,omitempty"`
	Output string `json:"output,omitempty"`
}

// PublishPlan is what publish does.
type PublishPlan struct {
	Run     string `json:"run"`
	Stage   string `json:"stage"`
	Attempt int    `json:"attempt"`
	// Bucket is the module's run bucket, Session the file of the session that may write the stage's
	// own part of it.
	Bucket  string   `json:"bucket"`
	Session string   `json:"session"`
	Outputs []Output `json:"outputs,omitempty"`
	// Complete: the stage has a commit already. There is nothing in the volume; what is left to do
	// is to complete the commit's copies.
	Complete bool `json:"complete,omitempty"`
	// PatienceSeconds is how long storage that does not answer is tried again, from when it did not.
	PatienceSeconds int64 `json:"patienceSeconds,omitempty"`
}

// Output is one output variable of a stage.
type Output struct {
	// Name of the variable, and of the folder in the stage's volume that the user's container
	// wrote.
	Name string `json:"name"`
	// Paths are where the user's container sees that folder. A link in it that begins with one of
	// them stays in it.
	Paths []string `json:"paths,omitempty"`
	// Copies are the folders that get a copy when this attempt has won.
	Copies []Folder `json:"copies,omitempty"`
}

// Folder is a place in S3; Prefix ends in "/".
type Folder struct {
	Bucket string `json:"bucket"`
	Prefix string `json:"prefix"`
	// Session is the file of the session that may read the stage's own part of the run bucket and
	// write here: the storage copies by itself, so one session needs both.
	Session string `json:"session"`
	// Usage is where it stands how full the box is, which the session may read, too; nil: nobody
	// counts it.
	Usage *databox.UsageRef `json:"usage,omitempty"`
}

// AttemptPrefix is where the files of one output of one attempt lie.
func AttemptPrefix(run, stage string, attempt int, output string) string {
	return path.Join("runs", run, stage, strconv.Itoa(attempt), output) + "/"
}

// Prefix is the stage's own part of the run bucket.
func Prefix(run, stage string) string { return path.Join("runs", run, stage) + "/" }

// CommitKey is where a stage's commit lies.
func CommitKey(run, stage string) string { return path.Join("runs", run, stage, "commit") }

// Validate checks that a plan is whole and that its names and prefixes have the form that they must
// have.
func (p *FetchPlan) Validate() error {
	var errs []error
	seen := map[string]bool{}
	for _, in := range p.Inputs {
		errs = append(errs, in.validate(), once(seen, "input", in.Name))
	}
	for _, o := range p.Outputs {
		errs = append(errs, once(seen, "output", o))
	}
	return errors.Join(errs...)
}

func (in Input) validate() error {
	set := 0
	for _, s := range []string{in.Key, in.Prefix, in.Commit} {
		if s != "" {
			set++
		}
	}
	if in.Whole {
		set++
	}
	switch {
	case set != 1:
		return fmt.Errorf("input %s: exactly one of key, prefix, whole and commit must be set", in.Name)
	case in.Bucket == "":
		return fmt.Errorf("input %s: no bucket", in.Name)
	case in.Prefix != "" && !strings.HasSuffix(in.Prefix, "/"):
		return fmt.Errorf("input %s: prefix %q does not end in /", in.Name, in.Prefix)
	case (in.Commit != "") != (in.Output != ""):
		return fmt.Errorf("input %s: commit and output belong together", in.Name)
	}
	return sessionFile("input "+in.Name, in.Session)
}

// Validate does the same for publish.
func (p *PublishPlan) Validate() error {
	var errs []error
	if p.Run == "" || p.Stage == "" || p.Bucket == "" || p.Attempt < 1 {
		errs = append(errs, errors.New("run, stage, bucket and an attempt from 1 must be set"))
	}
	errs = append(errs, sessionFile("the stage", p.Session))
	seen := map[string]bool{}
	for _, o := range p.Outputs {
		errs = append(errs, once(seen, "output", o.Name))
		for _, c := range o.Copies {
			if c.Bucket == "" || c.Prefix == "" || !strings.HasSuffix(c.Prefix, "/") {
				errs = append(errs, fmt.Errorf("output %s: copy to %q %q: a bucket and a prefix ending in / are needed",
					o.Name, c.Bucket, c.Prefix))
			}
			errs = append(errs, sessionFile("output "+o.Name, c.Session))
		}
	}
	return errors.Join(errs...)
}

// once checks a variable's name, which is one folder of the volume, and that it comes only once.
func once(seen map[string]bool, what, name string) error {
	if !segment(name) {
		return fmt.Errorf("%s %q: not a name", what, name)
	}
	if seen[name] {
		return fmt.Errorf("%s %s: twice", what, name)
	}
	seen[name] = true
	return nil
}

func sessionFile(what, name string) error {
	if !segment(name) {
		return fmt.Errorf("%s: session %q is not a file's name", what, name)
	}
	return nil
}

// segment reports a name that stays one segment of a path.
func segment(name string) bool {
	return name != "" && name != "." && name != ".." && !strings.ContainsAny(name, "/\x00")
}

// Encode gives a plan as a container's argument. Kubelet expands "$(NAME)" in arguments, so every
// "$" is doubled; what the container sees is the plan's JSON.
func Encode(plan any) (string, error) {
	b, err := json.Marshal(plan)
	if err != nil {
		return "", err
	}
	if len(b) > MaxPlan {
		return "", fmt.Errorf("plan is larger than %d bytes", MaxPlan)
	}
	return strings.ReplaceAll(string(b), "$", "$$"), nil
}

// Decode reads what a container got as its argument. Unknown fields are errors: controller and
// images must be of one release.
func Decode(argument string, plan interface{ Validate() error }) error {
	if len(argument) > MaxPlan {
		return fmt.Errorf("plan is larger than %d bytes", MaxPlan)
	}
	d := json.NewDecoder(strings.NewReader(argument))
	d.DisallowUnknownFields()
	if err := d.Decode(plan); err != nil {
		return fmt.Errorf("reading the plan: %w", err)
	}
	if d.More() {
		return errors.New("reading the plan: something follows it")
	}
	return plan.Validate()
}

// LogKey is where the end of an attempt's log lies once it has ended.
func LogKey(run, stage string, attempt int) string {
	return path.Join("runs", run, stage, strconv.Itoa(attempt)+".log")
}
