package translate

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/manifest"
)

// maxUploads is how many on-upload rules a pipeline may have.
const maxUploads = 16

func sortedKeys[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

func (c *checker) pipelineAnnotations(x *manifest.ExperimentPipeline) {
	manifest.MaxParallelRuns.Of(&x.Meta, c.found)
	c.stageTimeout(x)
	if n := len(x.Uploads); n > maxUploads {
		c.found.Errorf(x.Uploads[0].Position, "metadata.annotations: %s: %d rules are more than %d", manifest.OnUpload.Name, n, maxUploads)
	}
}

// stageTimeout is the time of each stage that names none.
func (c *checker) stageTimeout(x *manifest.ExperimentPipeline) time.Duration {
	d, _ := manifest.StageTimeout.Of(&x.Meta, c.found)
	return d
}

// uploads checks the rules by which an uploaded file starts a run.
func (c *checker) uploads(x *manifest.ExperimentPipeline) {
	f := c.flow(x)
	for i, r := range x.Uploads {
		where := fmt.Sprintf("metadata.annotations: %s[%d]", manifest.OnUpload.Name, i)
		wrong := func(format string, args ...any) {
			c.found.Errorf(r.Position, "%s%s", where, fmt.Sprintf(format, args...))
		}
		if r.Box.Value == "" {
			wrong(": box is missing")
		} else if b := c.box(where+".box", r.Box); b != nil && b.Spec.DatasetReference != nil {
			wrong(".box: %s is a reference to a dataset: nobody uploads into it here", r.Box.Value)
		}
		if p := r.Prefix.Value; strings.HasPrefix(p, "/") || databox.HasControl(p) {
			wrong(".prefix: %q is not the beginning of a path below a user's files, like incoming/", p)
		}
		if s := r.Suffix.Value; databox.HasControl(s) {
			wrong(".suffix: %q has a control character", s)
		}
		c.uploadInput(x, f, r, wrong)
		var places []databox.Place
		for _, name := range sortedKeys(r.Outputs) {
			if p, ok := c.uploadOutput(f, name, r.Outputs[name].Value, func(format string, args ...any) { wrong(".outputs.%s: %s", name, fmt.Sprintf(format, args...)) }); ok {
				places = append(places, p)
			}
		}
		c.uploadLoop(x, f, r, places, wrong)
	}
}

func (c *checker) uploadInput(x *manifest.ExperimentPipeline, f flow, r manifest.UploadRule, wrong func(string, ...any)) {
	name := r.Input.Value
	_, declared := f.declared[name]
	switch {
	case name == "":
		wrong(": input is missing: the variable that the file becomes")
		return
	case !f.whole:
		return
	case !declared:
		wrong(".input: there is no variable %q%s", name, variablesOf(&x.Spec))
		return
	case f.writers[name] != "":
		wrong(".input: %s cannot be an input: stage %s writes it", name, f.writers[name])
		return
	}
	for _, other := range f.wanted() {
		if other != name {
			wrong(": a run would lack %s: no stage writes it and it has no mountFrom", other)
		}
	}
}

func (c *checker) uploadOutput(f flow, name, value string, wrong func(string, ...any)) (databox.Place, bool) {
	_, declared := f.declared[name]
	if f.whole && !declared {
		wrong("there is no such variable")
	} else if f.whole && f.writers[name] == "" {
		wrong("it cannot be an output: no stage writes it")
	}
	p, err := databox.ParsePlace(value)
	if err != nil {
		wrong("%v", err)
		return p, false
	}
	b := c.boxes[p.Box]
	switch {
	case c.module.Lacks("DataBox", p.Box, b != nil):
		wrong("there is no DataBox %q%s", p.Box, c.near())
	case b != nil && b.Spec.DatasetReference != nil:
		wrong("%s is a reference to a dataset, which can only be read", p.Box)
	case !p.Folder():
		wrong("%q is not a folder: end it in /", value)
	case p.Path == "":
		wrong("%q is a whole box: name a folder in it", value)
	case p.Developer && databox.CheckDeveloperPath(p.Path) != nil:
		wrong("%q: %v", value, databox.CheckDeveloperPath(p.Path))
	default:
		return p, true
	}
	return p, false
}

// uploadLoop finds rules whose runs would start themselves again: by what they leave among the user's files, in the folders that the rule names or, without a name, in <pipeline>/<run>/ of the pipeline's
// default box, where a run.json always goes.
func (c *checker) uploadLoop(x *manifest.ExperimentPipeline, f flow, r manifest.UploadRule, places []databox.Place, wrong func(string, ...any)) {
	for _, p := range places {
		if !p.Developer && p.Box == r.Box.Value && strings.HasPrefix(p.Path, r.Prefix.Value) {
			wrong(": a run would start itself again: its output goes to %s/%s, which the rule watches; give the rule a prefix of its own, like incoming/", p.Box, p.Path)
			return
		}
	}
	if c.defaultBox(x) != r.Box.Value || r.Box.Value == "" || !strings.HasPrefix(x.Meta.Name.Value+"/", r.Prefix.Value) {
		return
	}
	left := strings.HasSuffix(x.Meta.Name.Value+"/run/run.json", r.Suffix.Value)
	for name := range f.writers {
		_, named := r.Outputs[name]
		left = left || (!named && f.readers[name] == "")
	}
	if left {
		wrong(": a run would start itself again: it leaves files in %s/%s/, which the rule watches; give the rule a prefix of its own, like incoming/", r.Box.Value, x.Meta.Name.Value)
	}
}

// defaultBox takes outputs for which nobody names a place: the first storage box of connectedBoxes that may be written, else the module's first (by name) that no mountFrom names.
func (c *checker) defaultBox(x *manifest.ExperimentPipeline) string {
	for _, b := range x.Spec.ConnectedBoxes {
		if box := c.boxes[b.Name.Value]; box != nil && box.Spec.S3DefaultStorage != nil && (b.MountS3Box == nil || !b.MountS3Box.ReadOnly) {
			return b.Name.Value
		}
	}
	source := map[string]bool{}
	for _, p := range c.module.Pipelines {
		for _, v := range p.Spec.Vars {
			if v.MountFrom != nil {
				box, _ := from(v.MountFrom)
				source[box.Value] = true
			}
		}
	}
	for _, name := range sortedKeys(c.boxes) {
		if c.boxes[name].Spec.S3DefaultStorage != nil && !source[name] {
			return name
		}
	}
	return ""
}
