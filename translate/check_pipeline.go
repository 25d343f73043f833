package translate

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/manifest"
)

// Limits of pipelines, as the Pipeline's CRD has them.
const (
	// maxPipeline and maxStage are lengths of names: runs, Jobs and Triggers append to them.
	maxPipeline, maxStage = 40, 40
	// maxVariables and maxStages are of one pipeline; all stages of a chain may be maxStages too.
	maxVariables, maxStages = 256, 64
	maxVariableName         = 63
	maxRetries              = 10
	// dataDir is where variables lie in a container unless mountTo says otherwise: each in a folder of its name.
	dataDir = "/unip/data"
)

var (
	variableName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_.-]*$`)
	notInEnv     = regexp.MustCompile(`[^A-Z0-9]`)
)

// envName is the environment variable by which a container knows a variable.
func envName(variable string) string {
	return "UNIP_PIPELINE_" + notInEnv.ReplaceAllString(strings.ToUpper(variable), "_")
}

// pipeline checks what one ExperimentPipeline says of itself.
func (c *checker) pipeline(x *manifest.ExperimentPipeline) {
	s := &x.Spec
	c.pipelineAnnotations(x)
	if n := len(s.Vars); n > maxVariables {
		c.found.Errorf(s.Field("vars"), "spec.vars: %d variables are more than %d", n, maxVariables)
	}
	if n := len(s.Stages); n == 0 {
		c.found.Errorf(s.Field("stages"), "spec.stages: a pipeline needs at least one stage")
	} else if n > maxStages {
		c.found.Errorf(s.Field("stages"), "spec.stages: %d stages are more than %d", n, maxStages)
	}
	c.variables(s)
	stages := map[string]manifest.Position{}
	for i, st := range s.Stages {
		where := fmt.Sprintf("spec.stages[%d]", i)
		c.stageName(where, st, stages)
		c.image(where, st.Field("image"), st.Image)
		c.env(where, st.Env, st.EnvFrom)
		c.limits(where, st.ResourceLimits)
		if t := st.Timeout; t != nil && (t.Value < time.Second || t.Value > manifest.MaxStageTimeout) {
			c.found.Errorf(t.At, "%s.timeout: %s is not within 1s and %s, which is 30 days", where, t.Value, manifest.MaxStageTimeout)
		}
		if r := st.Retries; r != nil && (*r < 0 || *r > maxRetries) {
			c.found.Errorf(st.Field("retries"), "%s.retries: %d is not within 0 and %d", where, *r, maxRetries)
		}
		c.stageVariables(where, s, st)
	}
	c.graph(s)
	for _, b := range s.ConnectedBoxes {
		c.connected(b)
		c.found.Notef(b.Position, "connectedBoxes: the paths of %s have no effect in a pipeline: a variable lies in %s/<name>, or where its mountTo says", b.Name.Value, dataDir)
	}
}

func (c *checker) stageName(where string, st manifest.Stage, seen map[string]manifest.Position) {
	name := st.Name
	before, twice := seen[name.Value]
	switch wrong := validation.IsDNS1123Label(name.Value); {
	case name.Value == "":
		c.found.Errorf(st.Field("name"), "%s.name is missing", where)
		return
	case len(name.Value) > maxStage:
		c.found.Errorf(name.At, "%s.name: %q must be no more than %d characters", where, name.Value, maxStage)
	case len(wrong) > 0:
		c.found.Errorf(name.At, "%s.name: %q %s", where, name.Value, wrong[0])
	case twice:
		c.found.Errorf(name.At, "%s.name: stage %s is there twice; first at %s", where, name.Value, before)
	}
	seen[name.Value] = name.At
}

// variables checks the declarations, and that each is used.
func (c *checker) variables(s *manifest.ExperimentPipelineSpec) {
	seen, env := map[string]manifest.Position{}, map[string]string{}
	for i, v := range s.Vars {
		where, name := fmt.Sprintf("spec.vars[%d]", i), v.Name.Value
		before, twice := seen[name]
		other, collides := env[envName(name)]
		switch {
		case name == "":
			c.found.Errorf(v.Field("name"), "%s.name is missing", where)
			continue
		case !variableName.MatchString(name) || len(name) > maxVariableName:
			c.found.Errorf(v.Name.At, "%s.name: %q is not the name of a variable: a letter, then up to 62 letters, digits and . _ -", where, name)
		case twice:
			c.found.Errorf(v.Name.At, "%s.name: variable %s is there twice; first at %s", where, name, before)
		case collides:
			c.found.Errorf(v.Name.At, "%s.name: %s and %s would be one environment variable, %s", where, other, name, envName(name))
		}
		seen[name], env[envName(name)] = v.Name.At, name
		c.mountFrom(where, v.MountFrom)
		c.mountTo(where, v)
		read, written := usedBy(s, name)
		switch {
		case read == "" && written == "":
			c.found.Notef(v.Name.At, "variable %s has no effect: no stage reads or writes it", name)
		case written != "" && v.MountFrom != nil:
			c.found.Notef(v.Key("mountFrom"), "%s.mountFrom has no effect: stage %s writes %s", where, written, name)
		}
	}
}

// usedBy finds a stage that reads a variable and the first that writes it.
func usedBy(s *manifest.ExperimentPipelineSpec, variable string) (reader, writer string) {
	for _, st := range s.Stages {
		if reader == "" && refers(st.Inputs, variable) {
			reader = st.Name.Value
		}
		if writer == "" && refers(st.Outputs, variable) {
			writer = st.Name.Value
		}
	}
	return reader, writer
}

func refers(refs []manifest.Ref, variable string) bool {
	return slices.ContainsFunc(refs, func(r manifest.Ref) bool { return r.Name.Value == variable })
}

// from is a mountFrom's place, under either of its names.
func from(m *manifest.MountFrom) (box, p manifest.Text) {
	box, p = m.Box, m.Path
	if !m.Has("box") {
		box = m.Name
	}
	if !m.Has("path") {
		p = m.S3Path
	}
	p.Value = strings.TrimPrefix(p.Value, "/")
	return box, p
}

func (c *checker) mountFrom(where string, m *manifest.MountFrom) {
	if m == nil {
		return
	}
	where += ".mountFrom"
	for _, pair := range [][2]string{{"box", "name"}, {"path", "s3Path"}} {
		if m.Has(pair[0]) && m.Has(pair[1]) {
			c.found.Errorf(m.Key(pair[1]), "%s: %s and %s are two names of one thing", where, pair[0], pair[1])
		}
	}
	box, p := from(m)
	if box.Value == "" {
		c.found.Errorf(m.Position, "%s.box is missing", where)
	} else {
		c.box(where+".box", box)
	}
	switch err := databox.CheckDeveloperPath(p.Value); {
	case p.At.File == "":
		c.found.Errorf(m.Position, "%s.path is missing", where)
	case p.Value == "":
		c.found.Errorf(p.At, "%s.path: a whole box cannot be an input: name a file or a folder in it", where)
	case err != nil:
		c.found.Errorf(p.At, "%s.path: %q: %v", where, p.Value, err)
	}
}

// folderOf is where a variable lies in a container.
func folderOf(v manifest.Variable) string {
	if v.MountTo.Value != "" {
		return strings.TrimSuffix(v.MountTo.Value, "/")
	}
	return path.Join(dataDir, v.Name.Value)
}

func (c *checker) mountTo(where string, v manifest.Variable) {
	to, folder := v.MountTo, folderOf(v)
	switch {
	case !v.Has("mountTo"):
	case !path.IsAbs(to.Value) || (path.Clean(to.Value) != folder && to.Value != "/") || databox.HasControl(to.Value) || strings.Contains(to.Value, ":"):
		c.found.Errorf(to.At, "%s.mountTo: %q is not a clean absolute path without a colon", where, to.Value)
	case systemFolders.MatchString(folder+"/") && !strings.HasPrefix(folder, dataDir+"/"):
		c.found.Errorf(to.At, "%s.mountTo: the folder %s would hide the image's own; choose one of its own, like %s/%s or /data/%s", where, to.Value, dataDir, v.Name.Value, v.Name.Value)
	}
}
