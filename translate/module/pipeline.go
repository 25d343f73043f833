package module

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/folder"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/schedule"
	"github.com/unip-knative/unip/translate/manifest"
)

// Pipeline is an ExperimentPipeline.
type Pipeline struct {
	manifest.Position
	Name   string
	Labels map[string]string
	Spec   runtimev1.PipelineSpec
	// Schedule as the manifest has it.
	Schedule    manifest.Text
	Connections []Connection
	// Images are where the stages' images stand.
	Images []manifest.Position
}

// decidePipelines decides each pipeline, and then what joins them.
func decidePipelines(s *scope) ([]Pipeline, chains) {
	all := make([]Pipeline, len(s.read.Pipelines))
	c := chains{s.objects, map[string]*runtimev1.PipelineSpec{}}
	for i, x := range s.read.Pipelines {
		all[i] = decidePipeline(s, x)
		if c.specs[all[i].Name] == nil { // a second one of the name is wrong
			c.specs[all[i].Name] = &all[i].Spec
		}
	}
	for i, x := range s.read.Pipelines {
		f := c.flow(all[i].Name, &all[i].Spec)
		checkContinued(s, x, f)
		for _, name := range f.Variables() {
			_, file := c.takes(all[i].Name, name)
			f.noFile[name] = !file
		}
		for j, v := range all[i].Spec.Variables {
			if c.uploaded(all[i].Name, v.Name) {
				all[i].Spec.Variables[j].ContentTypes, _ = c.takes(all[i].Name, v.Name)
			}
		}
		all[i].Spec.Kept = c.kept(all[i].Name, f)
		all[i].Spec.OnUpload = decideUploads(s, x, f, &all[i].Spec)
		all[i].Spec.IdentityPassThrough = len(x.Uploads) > 0 && uploadersKnown(s.read, all[i].Name)
		all[i].Spec.Schedule, all[i].Spec.TimeZone = decideSchedule(s, x, f)
	}
	return all, c
}

// decidePipeline decides what a pipeline says of itself alone.
func decidePipeline(s *scope, x *manifest.ExperimentPipeline) Pipeline {
	spec := &x.Spec
	out := runtimev1.PipelineSpec{DefaultBox: defaultBox(s.objects, spec),
		ContinueWith: spec.ContinueWith.Pipeline().Value}
	parallel, _ := manifest.MaxParallelRuns.Of(&x.Meta, s.Diagnostics)
	out.MaxParallelRuns = int32(parallel)
	usual, _ := manifest.StageTimeout.Of(&x.Meta, s.Diagnostics)
	if n := len(spec.Vars); n > pipeline.MaxVariables {
		s.Errorf(spec.Field("vars"), "spec.vars: %d variables are more than %d", n, pipeline.MaxVariables)
	}
	seen, carried := map[string]manifest.Position{}, labels(s, &x.Meta)
	var images []manifest.Position
	for i, st := range spec.Stages {
		images = append(images, imageAt(st.Position, st.Image))
		c := container{s, fmt.Sprintf("spec.stages[%d]", i)}
		c.stageName(st, seen)
		stage := c.stage(st, usual)
		stage.Labels = stageLabels(s, carried)
		out.Stages = append(out.Stages, stage)
		checkStageVariables(s, c.where, spec, st)
	}
	g := pipeline.Of(pipeline.Pipeline{Name: x.Meta.Name.Value, Spec: &runtimev1.PipelineSpec{Stages: out.Stages}})
	out.Mounts = decideMounts(s, spec)
	out.Variables = decideVariables(s, x, g)
	checkStages(s, spec, g)
	return Pipeline{x.Position, x.Meta.Name.Value, carried, out, x.Meta.Annotations[manifest.Schedule.Name],
		connections(spec.ConnectedBoxes), images}
}

// stageLabels are those of all that the controller makes for a stage, nil for none.
func stageLabels(s *scope, carried map[string]string) map[string]string {
	all := maps.Clone(carried)
	if v := s.source.Version; v != "" {
		all[label.Version] = v
	}
	if len(all) == 0 {
		return nil
	}
	return all
}

func (c container) stageName(st manifest.Stage, seen map[string]manifest.Position) {
	name := st.Name
	before, twice := seen[name.Value]
	switch wrong := validation.IsDNS1123Label(name.Value); {
	case name.Value == "":
		c.Errorf(st.Field("name"), "%s.name is missing", c.where)
		return
	case len(name.Value) > pipeline.MaxStageName:
		c.Errorf(name.At, "%s.name: %q must be no more than %d characters", c.where, name.Value, pipeline.MaxStageName)
	case len(wrong) > 0:
		c.Errorf(name.At, "%s.name: %q %s", c.where, name.Value, wrong[0])
	case twice:
		c.Errorf(name.At, "%s.name: stage %s is there twice; first at %s", c.where, name.Value, before)
	}
	seen[name.Value] = name.At
}

// stage decides a stage; usual is the time of one that names none.
func (c container) stage(st manifest.Stage, usual time.Duration) runtimev1.Stage {
	limits := c.limits(st.ResourceLimits)
	out := runtimev1.Stage{
		Name: st.Name.Value, Image: c.image(st.Field("image"), st.Image), Command: st.Command, Args: st.Args,
		EnvFrom: c.envFrom(st.EnvFrom), Inputs: namesOf(st.Inputs), Outputs: namesOf(st.Outputs),
		ImagePullSecrets: c.source.PullSecrets,
		Resources:        runtimev1.Resources{Limits: limits.Limits, Requests: limits.Requests},
		TimeoutSeconds:   int64(usual / time.Second),
	}
	for _, e := range c.env(st.Env) {
		v := runtimev1.EnvVar{Name: e.Name, Value: e.Value}
		if from := e.ValueFrom; from != nil {
			v.ValueFrom = &runtimev1.EnvVarSource{SecretKeyRef: from.SecretKeyRef,
				ConfigMapKeyRef: from.ConfigMapKeyRef}
		}
		out.Env = append(out.Env, v)
	}
	if t := st.Timeout; t != nil {
		if t.Value < time.Second || t.Value > manifest.MaxStageTimeout {
			c.Errorf(t.At,
				"%s.timeout: %s is not within 1s and %s, which is 30 days", c.where, t.Value, manifest.MaxStageTimeout)
		}
		out.TimeoutSeconds = int64(t.Value / time.Second)
	}
	if r := st.Retries; r != nil {
		if *r < 0 || *r > pipeline.MaxRetries {
			c.Errorf(st.Field("retries"), "%s.retries: %d is not within 0 and %d", c.where, *r, pipeline.MaxRetries)
		}
		out.Retries = int32(*r)
	}
	return out
}

func namesOf(refs []manifest.Ref) []string {
	var out []string
	for _, r := range refs {
		out = append(out, r.Name.Value)
	}
	return out
}

// decideVariables decides the declarations, and checks that each is used.
func decideVariables(s *scope, x *manifest.ExperimentPipeline, g *pipeline.Graph) []runtimev1.Variable {
	out := []runtimev1.Variable{}
	spec := &x.Spec
	datasets := datasetsFor(s, x, g)
	seen, env := map[string]manifest.Position{}, map[string]string{}
	for i, v := range spec.Vars {
		where, name := fmt.Sprintf("spec.vars[%d]", i), v.Name.Value
		_, written := g.Writer(name)
		variable := runtimev1.Variable{Name: name, MountTo: mountTo(s, where, v), MountFrom: datasets[name]}
		if v.MountFrom != nil {
			variable.MountFrom = source{s, where + ".mountFrom", v.MountFrom}.decide(written)
		}
		out = append(out, variable)
		before, twice := seen[name]
		inEnv := pipeline.EnvName(name)
		other, collides := env[inEnv]
		switch {
		case name == "":
			s.Errorf(v.Field("name"), "%s.name is missing", where)
			continue
		case !pipeline.IsVariableName(name):
			s.Errorf(v.Name.At,
				"%s.name: %q is not the name of a variable: a letter, then up to 62 letters, digits and . _ -",
				where, name)
		case twice:
			s.Errorf(v.Name.At, "%s.name: variable %s is there twice; first at %s", where, name, before)
		case collides:
			s.Errorf(v.Name.At, "%s.name: %s and %s would be one environment variable, %s", where, other, name,
				inEnv)
		}
		seen[name], env[inEnv] = v.Name.At, name
		if !written && len(g.Readers(name)) == 0 {
			s.Notef(v.Name.At, "variable %s has no effect: no stage reads or writes it", name)
		}
	}
	return out
}

// mountTo is the folder of a variable in the container, as the manifest has it.
func mountTo(found *scope, where string, v manifest.Variable) string {
	if !v.Has("mountTo") {
		return ""
	}
	err := pipeline.CheckFolder(placed(v))
	if v.MountTo.Value == "" {
		err = folder.Check("")
	}
	if err != nil {
		found.Errorf(v.MountTo.At, "%s.mountTo: %v", where, err)
	} else if to := v.MountTo.Value; folder.HidesCode(to) {
		found.Warnf(v.MountTo.At, "%s.mountTo: what the images have in %s is hidden, which often is their code; choose a "+
			"folder of its own, like /data/%s", where, to, v.Name.Value)
	}
	return v.MountTo.Value
}

// decideSchedule is when runs start that nobody asks for; such a run must do without anybody.
func decideSchedule(s *scope, x *manifest.ExperimentPipeline, f flow) (line, zone string) {
	text, scheduled := manifest.Schedule.Of(&x.Meta, s.Diagnostics)
	if !scheduled {
		return "", ""
	}
	at := x.Meta.Annotations[manifest.Schedule.Name].At
	line, zone = schedule.Split(text)
	if _, err := schedule.Parse(line, zone); err != nil {
		s.Errorf(at, "metadata.annotations: %s: %v; write minute, hour, day, month and weekday, like \"0 3 * * *\" "+
			"or \"CRON_TZ=Europe/Moscow 30 7 * * 1-5\", or @daily", manifest.Schedule.Name, err)
	}
	if name := f.forUser(); f.whole() && name != "" {
		s.Errorf(at, "metadata.annotations: %s: a scheduled run has no user, and %s goes among the files of one: "+
			"give its mountFrom a place in the developer's area", manifest.Schedule.Name, name)
	}
	if missing := f.Wanted(); f.whole() && len(missing) > 0 {
		s.Errorf(at,
			"metadata.annotations: %s: nobody gives a scheduled run %s: a variable that no stage writes needs a mountFrom",
			manifest.Schedule.Name, strings.Join(missing, ", "))
	}
	return line, zone
}

// defaultBox takes outputs for which nobody names a place: the first storage box of connectedBoxes
// that may be written, else the module's first (by name) that no mountFrom names.
func defaultBox(o objects, spec *manifest.ExperimentPipelineSpec) string {
	for _, b := range spec.ConnectedBoxes {
		box := o.boxes[b.Name.Value]
		if box != nil && isStorage(box) && (b.MountS3Box == nil || !b.MountS3Box.ReadOnly) {
			return b.Name.Value
		}
	}
	source := map[string]bool{}
	for _, p := range o.read.Pipelines {
		for _, v := range p.Spec.Vars {
			if v.MountFrom != nil && !writes(&p.Spec, v.Name.Value) {
				box, _ := sourceOf(v.MountFrom)
				source[box.Value] = true
			}
		}
	}
	for _, name := range sortedKeys(o.boxes) {
		if isStorage(o.boxes[name]) && !source[name] {
			return name
		}
	}
	return ""
}

func writes(spec *manifest.ExperimentPipelineSpec, variable string) bool {
	return slices.ContainsFunc(spec.Stages, func(st manifest.Stage) bool {
		return slices.ContainsFunc(st.Outputs, func(r manifest.Ref) bool { return r.Name.Value == variable })
	})
}
