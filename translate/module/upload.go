package module

import (
	"fmt"
	"slices"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/manifest"
)

// maxUploads is how many on-upload rules a pipeline may have.
const maxUploads = 16

// upload is a rule by which an uploaded file starts a run; flow is that of its pipeline.
type upload struct {
	*scope
	manifest.UploadRule
	pipeline *manifest.ExperimentPipeline
	flow     flow
	where    string
}

func (u upload) wrong(format string, args ...any) {
	u.Errorf(u.Position, "%s%s", u.where, fmt.Sprintf(format, args...))
}

func decideUploads(
	s *scope, x *manifest.ExperimentPipeline, f flow, spec *runtimev1.PipelineSpec,
) []runtimev1.UploadRule {
	if n := len(x.Uploads); n > maxUploads {
		s.Errorf(x.Uploads[0].Position,
			"metadata.annotations: %s: %d rules are more than %d", manifest.OnUpload.Name, n, maxUploads)
	}
	var all []runtimev1.UploadRule
	for i, r := range x.Uploads {
		u := upload{s, r, x, f, fmt.Sprintf("metadata.annotations: %s[%d]", manifest.OnUpload.Name, i)}
		all = append(all, u.decide(spec))
	}
	return all
}

func (u upload) decide(spec *runtimev1.PipelineSpec) runtimev1.UploadRule {
	out := runtimev1.UploadRule{
		Box: u.box(), Prefix: u.Prefix.Value, Suffix: u.Suffix.Value, Input: u.input(),
	}
	if p := out.Prefix; strings.HasPrefix(p, "/") || databox.HasControl(p) {
		u.wrong(".prefix: %q is not the beginning of a path below a user's files, like incoming/", p)
	}
	if databox.HasControl(out.Suffix) {
		u.wrong(".suffix: %q has a control character", out.Suffix)
	}
	u.literal("prefix", "the beginning", out.Prefix)
	u.literal("suffix", "the end", out.Suffix)
	for _, name := range sortedKeys(u.Outputs) {
		if p, ok := u.output(name, u.Outputs[name].Value); ok {
			out.Outputs = append(out.Outputs,
				runtimev1.UploadOutput{Variable: name, Box: p.Box, Path: p.Path, Developer: p.Developer})
		}
	}
	w := watcher{u, out, u.leaves(out, spec)}
	w.checkLoop()
	u.watchers = append(u.watchers, w)
	return out
}

// literal finds a pattern where a part of a path is meant: nobody's file is called *.csv.
func (u upload) literal(field, what, text string) {
	switch {
	case strings.Contains(text, "*"):
		u.wrong(".%s: %q is no pattern, but %s of a path as it stands: write %q", field, text, what, longest(text))
	case strings.ContainsAny(text, "?,|{}[]"):
		u.Warnf(u.Position, "%s.%s: %q is taken as it stands, as %s of a path; for several of them write a rule each",
			u.where, field, text, what)
	}
}

// longest is the longest part of a pattern that stands for itself.
func longest(pattern string) string {
	return slices.MaxFunc(strings.Split(pattern, "*"), func(a, b string) int { return len(a) - len(b) })
}

func (u upload) box() string {
	name := u.Box.Value
	if name == "" {
		u.wrong(": box is missing")
	} else if box := u.boxes[name]; !u.lacksBox(u.where+".box", u.Box) && box != nil && isDataset(box) {
		u.wrong(".box: %s is a reference to a dataset: nobody uploads into it here", name)
	}
	return name
}

func (u upload) input() string {
	name := u.Input.Value
	writer := u.flow.writer(name)
	switch {
	case name == "":
		u.wrong(": input is missing: the variable that the file becomes")
	case !u.flow.whole():
	case !u.flow.declares(name):
		u.wrong(".input: there is no variable %q%s", name, variablesOf(&u.pipeline.Spec))
	case writer != "":
		u.wrong(".input: %s cannot be an input: stage %s writes it", name, writer)
	case u.flow.noFile[name]:
		u.wrong(".input: an upload is a file, and by type.datatypes of its API %s takes folders only", name)
	default:
		for _, other := range u.flow.Wanted() {
			if other != name {
				u.wrong(": a run would lack %s: no stage writes it and it has no mountFrom", other)
			}
		}
	}
	return name
}

// output is where the files of a variable go, and whether they can.
func (u upload) output(name, text string) (databox.Place, bool) {
	wrong := func(format string, args ...any) { u.wrong(".outputs.%s: %s", name, fmt.Sprintf(format, args...)) }
	if u.flow.whole() && !u.flow.declares(name) {
		wrong("there is no such variable")
	} else if u.flow.whole() && u.flow.writer(name) == "" {
		wrong("it cannot be an output: no stage writes it")
	}
	p, err := databox.ParsePlace(text)
	if err != nil {
		wrong("%v", err)
		return p, false
	}
	box := u.boxes[p.Box]
	switch {
	case u.read.Lacks("DataBox", p.Box, box != nil):
		wrong("there is no DataBox %q%s", p.Box, thereAre(u.boxes))
	case box != nil && isDataset(box):
		wrong("%s is a reference to a dataset, which can only be read", p.Box)
	case !p.Folder():
		wrong("%q is not a folder: end it in /", text)
	case p.Path == "":
		wrong("%q is a whole box: name a folder in it", text)
	case p.Developer && databox.CheckDeveloperPath(p.Path) != nil:
		wrong("%q: %v", text, databox.CheckDeveloperPath(p.Path))
	case databox.CheckLiteral(p.Path) != nil:
		wrong("%v", databox.CheckLiteral(p.Path))
	default:
		return p, true
	}
	return p, false
}
