package jobs

import (
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/translate/installation"
)

// mounted has the mounts of connectedBoxes.
func mounted(all ...runtimev1.Mount) func(*runtimev1.Pipeline) {
	return func(p *runtimev1.Pipeline) { p.Spec.Mounts = all }
}

var visitors = runtimev1.Mount{Box: "userdata", Path: "users", MountPath: "/visitors"}

// placesOf are the paths of a stage's variables, with what they are mounted at.
func placesOf(st runtimev1.StageStatus) map[string]string {
	all := map[string]string{}
	for _, in := range st.Inputs {
		all[in.Name] = in.Path + " " + in.Mount
	}
	for _, out := range st.Outputs {
		all[out.Name] = out.Path + " " + out.Mount
	}
	return all
}

// One stage reads and writes; what its variables' paths are.
func TestDefaultPlaces(t *testing.T) {
	t.Parallel()
	one := func(mutate ...func(*runtimev1.Pipeline)) *runtimev1.Pipeline {
		return newPipeline("train", append([]func(*runtimev1.Pipeline){with("fit: table, base -> model, log"),
			into("base", "weights", "base/resnet.pt"),
			mounted(visitors, runtimev1.Mount{Box: "weights", MountPath: "/weights"})}, mutate...)...)
	}
	for name, c := range map[string]struct {
		pipeline *runtimev1.Pipeline
		run      func(*runtimev1.PipelineRun)
		want     map[string]string
		kept     []string // each a part of what is told
	}{
		"inputs and outputs alike": {one(), nil, map[string]string{
			"table": "/visitors/incoming/t.csv /visitors", "base": "/weights/base/resnet.pt /weights",
			"model": "/visitors/models /visitors", "log": "/visitors/train/run-1/log /visitors",
		}, nil},
		"mountTo wins": {one(variable("table", func(v *runtimev1.Variable) { v.MountTo = "/in" }),
			variable("model", func(v *runtimev1.Variable) { v.MountTo = "/visitors/mine" })), nil, map[string]string{
			"table": "/in/t.csv ", "base": "/weights/base/resnet.pt /weights", "model": "/visitors/mine ",
			"log": "/visitors/train/run-1/log /visitors",
		}, nil},
		"an output around an input": {one(), func(r *runtimev1.PipelineRun) {
			r.Spec.Outputs["model"] = "userdata/incoming/"
		}, map[string]string{
			"table": "/unip/data/table/t.csv ", "base": "/weights/base/resnet.pt /weights",
			"model": "/unip/data/model ",
			"log":   "/visitors/train/run-1/log /visitors",
		}, []string{"in stage fit, table lies at /unip/data/table/t.csv: /visitors/incoming/t.csv and /visitors/incoming of model",
			"model lies at /unip/data/model"}},
		"within a mountTo": {one(variable("log", func(v *runtimev1.Variable) { v.MountTo = "/visitors/incoming" })), nil,
			map[string]string{
				"table": "/unip/data/table/t.csv ", "base": "/weights/base/resnet.pt /weights",
				"model": "/visitors/models /visitors", "log": "/visitors/incoming ",
			}, []string{"table lies at"}},
		"neighbours": {one(), func(r *runtimev1.PipelineRun) {
			r.Spec.Inputs["base"] = runtimev1.InputPath{Path: "userdata/incoming/u.csv"}
		}, map[string]string{
			"table": "/visitors/incoming/t.csv /visitors", "base": "/visitors/incoming/u.csv /visitors",
			"model": "/visitors/models /visitors", "log": "/visitors/train/run-1/log /visitors",
		}, nil},
		"one file twice": {one(), func(r *runtimev1.PipelineRun) {
			r.Spec.Inputs["base"] = r.Spec.Inputs["table"]
		}, map[string]string{
			"table": "/unip/data/table/t.csv ", "base": "/unip/data/base/t.csv ", "model": "/visitors/models /visitors",
			"log": "/visitors/train/run-1/log /visitors",
		}, []string{"table lies at", "base lies at"}},
		"a colon": {one(), func(r *runtimev1.PipelineRun) {
			r.Spec.Inputs["table"] = runtimev1.InputPath{Path: "userdata/12:30/t.csv"}
		}, map[string]string{
			"table": "/unip/data/table/t.csv ", "base": "/weights/base/resnet.pt /weights",
			"model": "/visitors/models /visitors", "log": "/visitors/train/run-1/log /visitors",
		}, []string{"colon"}},
		"a Pipeline made by hand": {one(mounted(runtimev1.Mount{Box: "userdata", Path: "users", MountPath: "/"},
			runtimev1.Mount{Box: "weights", MountPath: "/usr/lib"})), nil, map[string]string{
			"table": "/unip/data/table/t.csv ", "base": "/unip/data/base/resnet.pt ", "model": "/unip/data/model ",
			"log": "/unip/data/log ",
		}, []string{"table lies at", "base lies at", "model lies at", "log lies at"}},
		"another box": {one(mounted(runtimev1.Mount{Box: "other", MountPath: "/other"})), nil, map[string]string{
			"table": "/unip/data/table/t.csv ", "base": "/unip/data/base/resnet.pt ", "model": "/unip/data/model ",
			"log": "/unip/data/log ",
		}, nil},
	} {
		r := newRun(func(r *runtimev1.PipelineRun) {
			r.Spec.Inputs["table"] = runtimev1.InputPath{Path: "userdata/incoming/t.csv"}
			r.Spec.Outputs = map[string]string{"model": "userdata/models/"}
			if c.run != nil {
				c.run(r)
			}
		})
		p, err := makePlan(r, []*runtimev1.Pipeline{c.pipeline}, buckets)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		for variable, got := range placesOf(p.Stages[0]) {
			if got != c.want[variable] {
				t.Errorf("%s: %s at %q, want %q", name, variable, got, c.want[variable])
			}
		}
		told := strings.Join(p.Kept, "\n")
		if len(p.Kept) != len(c.kept) {
			t.Errorf("%s: told %q", name, told)
		}
		for _, part := range c.kept {
			if !strings.Contains(told, part) {
				t.Errorf("%s: told %q, not %q", name, told, part)
			}
		}
		mountsAreTaken(t, name, r, p)
	}
}

// mountsAreTaken makes the Job and looks whether a pod may have its mounts.
func mountsAreTaken(t *testing.T, name string, r *runtimev1.PipelineRun, p plan.Plan) {
	t.Helper()
	r.Status.Stages = p.Stages
	job, err := Make(r, &r.Status.Stages[0], plan.Attempt{Number: 1},
		Config{Image: "s", Security: installation.Baseline})
	if err != nil {
		t.Fatal(err)
	}
	pod := job.Spec.Template.Spec
	seen := map[string]bool{}
	for _, m := range pod.InitContainers[1].VolumeMounts {
		volume := slices.ContainsFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name == m.Name })
		if seen[m.MountPath] || !volume || strings.Contains(m.SubPath, "..") || strings.HasPrefix(m.SubPath, "/") ||
			strings.Contains(m.MountPath, ":") {
			t.Errorf("%s: mount %+v", name, m)
		}
		seen[m.MountPath] = true
	}
}

// What another stage wrote lies where it goes to, in each stage that has it. A folder of the image's
// is covered whole, so that no uploader's name takes the place of one of its files.
func TestPlacesInThePod(t *testing.T) {
	t.Parallel()
	x := newPipeline("train", with("fit: table -> model"), with("judge: model, base -> report"),
		into("base", "weights", "base/"), into("model", "weights", "models/"),
		mounted(visitors, runtimev1.Mount{Box: "weights", Path: "models", MountPath: "/models"},
			runtimev1.Mount{Box: "weights", Path: "base", MountPath: "/visitors/base"}))
	r := resolved(t, newRun(), x)
	if got := placesOf(r.Status.Stages[1]); got["model"] != "/models /models" ||
		got["base"] != "/visitors/base /visitors/base" ||
		got["report"] != "/visitors/train/run-1/report /visitors" {
		t.Errorf("%v", got)
	}
	mounts := func(stage int) []corev1.VolumeMount {
		job, err := Make(r, &r.Status.Stages[stage], plan.Attempt{Number: 1}, Config{Image: "s",
			Security: installation.Baseline})
		if err != nil {
			t.Fatal(err)
		}
		return job.Spec.Template.Spec.InitContainers[1].VolumeMounts
	}
	for stage, want := range [][]corev1.VolumeMount{
		{
			{Name: "data", MountPath: "/unip/data"}, {Name: "mounts", MountPath: "/visitors", SubPath: "0"},
			{Name: "data", MountPath: "/visitors/incoming/Таблица 1.csv", SubPath: "table/Таблица 1.csv"},
			{Name: "data", MountPath: "/models", SubPath: "model"},
		},
		{
			{Name: "data", MountPath: "/unip/data"}, {Name: "mounts", MountPath: "/visitors", SubPath: "0"},
			{Name: "data", MountPath: "/models", SubPath: "model"},
			{Name: "data", MountPath: "/visitors/base", SubPath: "base"},
			{Name: "data", MountPath: "/visitors/train/run-1/report", SubPath: "report"},
		},
	} {
		if got := mounts(stage); !slices.Equal(got, want) {
			t.Errorf("stage %d mounts %+v\nwant %+v", stage, got, want)
		}
	}
}
