package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
)

// MaxPlan bounds a plan in bytes. It travels as an argument of a container, and all of a Pod must stay far below 1 MiB.
const MaxPlan = 256 << 10

// FetchPlan is what fetch does.
type FetchPlan struct {
	Inputs []Input `json:"inputs,omitempty"`
	// Outputs are folders that fetch makes, empty and writable by any user, before the user's container starts.
	Outputs []string `json:"outputs,omitempty"`
}

// Input is one input variable of a stage: one object, all objects below a prefix, or an output of an earlier stage. Exactly one of Key, Prefix and Commit is set.
type Input struct {
	// Name of the variable; only for messages.
	Name string `json:"name"`
	// Path is where it goes: the file itself for Key, a folder otherwise. Absolute.
	Path string `json:"path"`

	Bucket string `json:"bucket"`
	// Key of one object; ETag, when set, pins what the controller saw: another version is an error.
	Key  string `json:"key,omitempty"`
	ETag string `json:"etag,omitempty"`
	// Prefix ends in "/". No object below it: an empty folder.
	Prefix string `json:"prefix,omitempty"`
	// Commit is the key of an earlier stage's commit, Output the name of the output wanted from it.
	Commit string `json:"commit,omitempty"`
	Output string `json:"output,omitempty"`
}

// PublishPlan is what publish does.
type PublishPlan struct {
	Run     string `json:"run"`
	Stage   string `json:"stage"`
	Attempt int    `json:"attempt"`
	// Bucket is the module's run bucket.
	Bucket  string   `json:"bucket"`
	Outputs []Output `json:"outputs,omitempty"`
}

// Output is one output variable of a stage.
type Output struct {
	Name string `json:"name"`
	// Path is the folder that the user's container wrote. Absolute.
	Path string `json:"path"`
	// Copies are the folders that get a copy when this attempt has won.
	Copies []Folder `json:"copies,omitempty"`
}

// Folder is a place in S3; Prefix is empty (the whole bucket) or ends in "/".
type Folder struct {
	Bucket string `json:"bucket"`
	Prefix string `json:"prefix"`
}

// AttemptPrefix is where the files of one output of one attempt lie.
func AttemptPrefix(run, stage string, attempt int, output string) string {
	return path.Join("runs", run, stage, strconv.Itoa(attempt), output) + "/"
}

// CommitKey is where a stage's commit lies.
func CommitKey(run, stage string) string { return path.Join("runs", run, stage, "commit") }

// Validate checks that a plan is whole and that its paths and prefixes have the form that they must have.
func (p *FetchPlan) Validate() error {
	var errs []error
	for _, in := range p.Inputs {
		errs = append(errs, in.validate())
	}
	for _, o := range p.Outputs {
		errs = append(errs, absolute("output", o))
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
	switch {
	case in.Name == "":
		return errors.New("an input has no name")
	case set != 1:
		return fmt.Errorf("input %s: exactly one of key, prefix and commit must be set", in.Name)
	case in.Bucket == "":
		return fmt.Errorf("input %s: no bucket", in.Name)
	case in.Prefix != "" && !strings.HasSuffix(in.Prefix, "/"):
		return fmt.Errorf("input %s: prefix %q does not end in /", in.Name, in.Prefix)
	case (in.Commit != "") != (in.Output != ""):
		return fmt.Errorf("input %s: commit and output belong together", in.Name)
	}
	return absolute("input "+in.Name, in.Path)
}

// Validate does the same for publish.
func (p *PublishPlan) Validate() error {
	var errs []error
	if p.Run == "" || p.Stage == "" || p.Bucket == "" || p.Attempt < 1 {
		errs = append(errs, errors.New("run, stage, bucket and an attempt from 1 must be set"))
	}
	seen := map[string]bool{}
	for _, o := range p.Outputs {
		switch {
		case o.Name == "" || strings.Contains(o.Name, "/") || o.Name == "." || o.Name == "..":
			errs = append(errs, fmt.Errorf("output %q: not a name", o.Name))
		case seen[o.Name]:
			errs = append(errs, fmt.Errorf("output %s: twice", o.Name))
		default:
			errs = append(errs, absolute("output "+o.Name, o.Path))
		}
		seen[o.Name] = true
		for _, c := range o.Copies {
			if c.Bucket == "" || (c.Prefix != "" && !strings.HasSuffix(c.Prefix, "/")) {
				errs = append(errs, fmt.Errorf("output %s: copy to %q %q: a bucket and a prefix ending in / are needed", o.Name, c.Bucket, c.Prefix))
			}
		}
	}
	return errors.Join(errs...)
}

func absolute(what, p string) error {
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.ContainsRune(p, 0) {
		return fmt.Errorf("%s: %q is not a clean absolute path", what, p)
	}
	return nil
}

// Encode gives a plan as a container's argument. Kubelet expands "$(NAME)" in arguments, so every "$" is doubled; what the container sees is the plan's JSON.
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

// Decode reads what a container got as its argument. Unknown fields are errors: controller and images must be of one release.
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
