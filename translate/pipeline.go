package translate

import (
	"slices"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/schedule"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/resources"
)

// pipelineSpec decides everything about an ExperimentPipeline that has been checked.
func (c *checker) pipelineSpec(m resources.Module, x *manifest.ExperimentPipeline) runtimev1.PipelineSpec {
	out := runtimev1.PipelineSpec{
		Variables: []runtimev1.Variable{}, DefaultBox: c.defaultBox(x), ContinueWith: x.Spec.ContinueWith.Pipeline().Value,
	}
	parallel, _ := manifest.MaxParallelRuns.Of(&x.Meta, c.found)
	out.MaxParallelRuns = int32(parallel)
	for _, v := range x.Spec.Vars {
		o := runtimev1.Variable{Name: v.Name.Value, MountTo: v.MountTo.Value}
		if v.MountFrom != nil {
			box, p := from(v.MountFrom)
			o.MountFrom = &runtimev1.BoxPath{Box: box.Value, Path: p.Value}
		}
		out.Variables = append(out.Variables, o)
	}
	if v, ok := x.Meta.Annotations[manifest.Schedule.Name]; ok {
		out.Schedule, out.TimeZone = schedule.Split(v.Value)
	}
	usual := c.stageTimeout(x)
	for _, st := range x.Spec.Stages {
		o := runtimev1.Stage{
			Name: st.Name.Value, Image: st.Image.ExistingImageName.Value, Command: st.Command, Args: st.Args, EnvFrom: envFromOf(st.EnvFrom),
			Inputs: namesOf(st.Inputs), Outputs: namesOf(st.Outputs), Resources: resources.StageResources(m, limitsOf(st.ResourceLimits)),
			TimeoutSeconds: int64(usual / time.Second),
		}
		for _, e := range st.Env {
			o.Env = append(o.Env, runtimev1.EnvVar{Name: e.Name.Value, Value: e.Value.Value})
		}
		if st.Timeout != nil {
			o.TimeoutSeconds = int64(st.Timeout.Value / time.Second)
		}
		if st.Retries != nil {
			o.Retries = int32(*st.Retries) //nolint:gosec // checked to be within 10
		}
		out.Stages = append(out.Stages, o)
	}
	for _, r := range x.Uploads {
		o := runtimev1.UploadRule{Box: r.Box.Value, Prefix: r.Prefix.Value, Suffix: r.Suffix.Value, Input: r.Input.Value}
		for _, name := range sortedKeys(r.Outputs) {
			p, _ := databox.ParsePlace(r.Outputs[name].Value) // has been checked
			o.Outputs = append(o.Outputs, runtimev1.UploadOutput{Variable: name, Box: p.Box, Path: p.Path, Developer: p.Developer})
		}
		out.OnUpload = append(out.OnUpload, o)
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

// storage is what the published APIs need of boxes and pipelines.
func (c *checker) storage(apis []routes.API) resources.Storage {
	has := func(kinds ...string) bool {
		return slices.ContainsFunc(apis, func(a routes.API) bool { return slices.Contains(kinds, a.Kind) })
	}
	var s resources.Storage
	if has(routes.KindFiles, routes.KindPipelines, routes.KindPipeline) {
		s.Boxes = sortedKeys(c.boxes)
		for _, name := range s.Boxes {
			if c.boxes[name].Spec.DatasetReference != nil {
				s.Datasets = append(s.Datasets, name)
			}
		}
	}
	s.Links = has(routes.KindFiles)
	if has(routes.KindPipelines, routes.KindPipeline) {
		s.Pipelines = sortedKeys(c.pipelines)
	}
	return s
}
