package plan

import (
	"errors"
	"maps"
	"slices"
	"strings"
	"testing"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/plan/plantest"
)

var (
	newPipeline, newRun, diamond = plantest.Pipeline, plantest.Run, plantest.Diamond
	with, variable, into         = plantest.With, plantest.Variable, plantest.Into
)

func chainOf(pipelines ...*runtimev1.Pipeline) []pipeline.Pipeline {
	var chain []pipeline.Pipeline
	for _, p := range pipelines {
		chain = append(chain, pipeline.Pipeline{Name: p.Name, Spec: &p.Spec})
	}
	return chain
}

// makePlan makes the plan of a run of a whole chain.
func makePlan(r *runtimev1.PipelineRun, pipelines []*runtimev1.Pipeline, find FindBox) (Plan, error) {
	return Make(r, chainOf(pipelines...), pipeline.Whole, find)
}

func buckets(box string) (Box, error) {
	switch box {
	case "gone":
		return Box{}, errors.New("there is no DataBox gone")
	case "herbarium":
		return Box{Bucket: "b-herbarium", Dataset: true}, nil
	case "pressed":
		return Box{Bucket: "b-herbarium", Dataset: true, Prefix: "leaves/pressed/"}, nil
	}
	return Box{Bucket: "b-" + box}, nil
}

func TestADiamond(t *testing.T) {
	t.Parallel()
	r := newRun(func(r *runtimev1.PipelineRun) { r.Spec.Outputs = map[string]string{"model": "userdata/models/"} })
	p, err := makePlan(r, []*runtimev1.Pipeline{diamond()}, buckets)
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	for _, s := range p.Stages {
		order = append(order, s.Name+"<"+strings.Join(s.Needs, ","))
	}
	want := []string{"prepare<", "fit-forest<prepare", "fit-svm<prepare", "report<fit-forest,fit-svm"}
	if !slices.Equal(order, want) {
		t.Errorf("order %v, want %v", order, want)
	}
	in := p.Stages[0].Inputs[0]
	if in.Key != "users/ann/file_groups/incoming/Таблица 1.csv" ||
		in.Path != "/unip/data/table/Таблица 1.csv" || in.Bucket != "b-userdata" {
		t.Errorf("input %+v", in)
	}
	if in := p.Stages[1].Inputs[0]; in.Stage != "prepare" || in.Path != "/unip/data/prepared" {
		t.Errorf("input of a stage %+v", in)
	}
	if out := p.Stages[0].Outputs[0]; out.Bucket != "" {
		t.Errorf("an internal variable is copied: %+v", out)
	}
	report := p.Stages[3].Outputs
	if report[0].Prefix != "users/ann/file_groups/models/" ||
		report[1].Prefix != "users/ann/file_groups/train/run-1/report/" {
		t.Errorf("outputs %+v", report)
	}
	if p.Outputs["model"] != "userdata/models/" || p.Outputs["report"] != "userdata/train/run-1/report/" ||
		len(p.Outputs) != 2 {
		t.Errorf("outputs %v", p.Outputs)
	}
}

// What a later stage reads is left all the same when an API of the run's own pipeline names it.
func TestWhatAnAPINamesIsKept(t *testing.T) {
	t.Parallel()
	keep := func(names ...string) func(*runtimev1.Pipeline) {
		return func(p *runtimev1.Pipeline) { p.Spec.Kept = names }
	}
	first := newPipeline("train", with("train: table -> model"), keep("model", "scores"))
	second := newPipeline("report", with("score: model -> scores"), with("draw: scores -> pages"))
	for name, c := range map[string]struct {
		chain []*runtimev1.Pipeline
		want  map[string]string
	}{
		"named by the pipeline's API": {[]*runtimev1.Pipeline{diamond(keep("prepared"))}, map[string]string{
			"prepared": "userdata/train/run-1/prepared/", "model": "userdata/train/run-1/model/",
			"report": "userdata/train/run-1/report/"}},
		"of a later pipeline": {[]*runtimev1.Pipeline{first, second}, map[string]string{
			"model": "userdata/train/run-1/model/", "scores": "userdata/train/run-1/scores/",
			"pages": "userdata/train/run-1/pages/"}},
		"an API of the later pipeline does not count": {[]*runtimev1.Pipeline{
			newPipeline("train", with("train: table -> model")),
			newPipeline("report", with("score: model -> scores"), keep("model"))},
			map[string]string{"scores": "userdata/train/run-1/scores/"}},
	} {
		p, err := makePlan(newRun(), c.chain, buckets)
		if err != nil || !maps.Equal(p.Outputs, c.want) {
			t.Errorf("%s: %v, %v, want %v", name, p.Outputs, err, c.want)
		}
	}
	p, err := makePlan(newRun(), []*runtimev1.Pipeline{diamond(keep("prepared"))}, buckets)
	if err != nil {
		t.Fatal(err)
	}
	out, in := p.Stages[0].Outputs[0], p.Stages[1].Inputs[0]
	if out.Prefix != "users/ann/file_groups/train/run-1/prepared/" || in.Stage != "prepare" {
		t.Errorf("%+v goes to %+v", out, in)
	}
}

func TestAChain(t *testing.T) {
	t.Parallel()
	first := newPipeline("part-1", with("train: data -> model"))
	elsewhere := variable("model", func(v *runtimev1.Variable) { v.MountTo = "/in/model" })
	second := newPipeline("part-2", with("report: model -> pages"), elsewhere)
	r := newRun(func(r *runtimev1.PipelineRun) {
		r.Spec.Inputs = map[string]runtimev1.InputPath{"data": {Path: "userdata/photos/"}}
	})
	p, err := makePlan(r, []*runtimev1.Pipeline{first, second}, buckets)
	if err != nil {
		t.Fatal(err)
	}
	in := p.Stages[1].Inputs[0]
	if p.Stages[0].Name != "part-1/train" || p.Stages[1].Name != "part-2/report" ||
		in.Stage != "part-1/train" || in.Path != "/in/model" {
		t.Errorf("%+v", p.Stages)
	}
	if in := p.Stages[0].Inputs[0]; in.Prefix != "users/ann/file_groups/photos/" || in.Path != "/unip/data/data" {
		t.Errorf("a folder: %+v", in)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	input := func(name, path string) func(*runtimev1.PipelineRun) {
		return func(r *runtimev1.PipelineRun) { r.Spec.Inputs[name] = runtimev1.InputPath{Path: path} }
	}
	output := func(name, path string) func(*runtimev1.PipelineRun) {
		return func(r *runtimev1.PipelineRun) { r.Spec.Outputs = map[string]string{name: path} }
	}
	from := func(box, path string) func(*runtimev1.Pipeline) {
		return func(p *runtimev1.Pipeline) {
			with("more: base -> more")(p)
			variable("base", func(v *runtimev1.Variable) { v.MountFrom = &runtimev1.BoxPath{Box: box, Path: path} })(p)
		}
	}
	for name, c := range map[string]struct {
		run      *runtimev1.PipelineRun
		pipeline *runtimev1.Pipeline
		want     string
	}{
		"no input": {
			newRun(func(r *runtimev1.PipelineRun) { r.Spec.Inputs = nil }), diamond(),
			"input table of stage prepare: it is needed",
		},
		"unknown input": {
			newRun(input("tabel", "userdata/a/b")), diamond(),
			`no variable "tabel" to be an input; there are forest, model,`,
		},
		"input that is written": {newRun(input("forest", "userdata/a/b")), diamond(), "stage fit-forest writes it"},
		"unknown output":        {newRun(output("modell", "userdata/a/")), diamond(), `no variable "modell"`},
		"output nobody writes":  {newRun(output("table", "userdata/a/")), diamond(), "no stage writes it"},
		"output is a file":      {newRun(output("model", "userdata/a/b")), diamond(), "not a folder"},
		"output is a whole box": {newRun(output("model", "userdata:/")), diamond(), "caller of the API cannot name"},
		"output into a dataset": {newRun(output("model", "herbarium/a/")), diamond(), "can only be read"},
		"climbing":              {newRun(input("table", "userdata/a/../../boris/b")), diamond(), `"." or ".." segment`},
		"developer's area by API": {
			newRun(input("table", "userdata:/a")), diamond(),
			"caller of the API cannot name the developer's area",
		},
		"another user by the developer's area": {
			newRun(input("table", "userdata:/users/boris/file_groups/a/b"), func(r *runtimev1.PipelineRun) {
				r.Spec.Origin = runtimev1.OriginUpload
			}), diamond(),
			"users/ is not in the developer's area",
		},
		"another user by a dataset": {
			newRun(input("table", "herbarium/users/boris")), diamond(),
			"users/ is not in the developer's area",
		},
		"another user by mountFrom": {
			newRun(), diamond(from("weights", "/users/boris/")),
			"users/ is not in the developer's area",
		},
		"a whole box by a call":    {newRun(input("table", "userdata/")), diamond(), "a whole box cannot be an input"},
		"mountFrom of a whole box": {newRun(), diamond(from("weights", "/")), "a whole box cannot be an input"},
		"no user": {
			newRun(func(r *runtimev1.PipelineRun) { r.Spec.User = "" }), diamond(),
			"the run has no user",
		},
		"no box": {newRun(input("table", "gone/a/b")), diamond(), "no DataBox gone"},
		"a circle": {
			newRun(), diamond(with("a: x -> y"), with("b: y -> x")),
			"wait for each other in a circle: a, b",
		},
		"its own input": {
			newRun(), diamond(with("a: x -> x")),
			"x is both an input and an output of stage a",
		},
		"two writers":                     {newRun(), diamond(with("again: table -> forest")), "written by two stages"},
		"a control character in the path": {newRun(input("table", "userdata/a/b\nc")), diamond(), "control character"},
	} {
		_, err := makePlan(c.run, []*runtimev1.Pipeline{c.pipeline}, buckets)
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

// What translate refuses of a mountTo is refused again: a Pipeline may have been made by hand.
func TestFoldersOfTheSystemAreRefused(t *testing.T) {
	t.Parallel()
	for _, folder := range []string{"/", "/etc", "/etc/", "/proc/1", "/unip/session/..data", "/var/run/secrets",
		"/a/../etc", "etc", "/a:b", "/a\nb", "/unip/data"} {
		p := diamond(variable("table", func(v *runtimev1.Variable) { v.MountTo = folder }))
		if _, err := makePlan(newRun(), []*runtimev1.Pipeline{p}, buckets); err == nil ||
			!strings.Contains(err.Error(), "input table of stage prepare: ") {
			t.Errorf("%q: %v", folder, err)
		}
	}
}

// An output whose place nobody names goes where its pipeline says: to the developer's area, or among
// the files of the run's own user.
func TestWhereAnOutputGoesByItsMountFrom(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		path, user, named string
		place, key        string
	}{
		"the developer's":    {"models/", "ann", "", "weights:/models/", "models/"},
		"with a slash":       {"/models/", "ann", "", "weights:/models/", "models/"},
		"the caller's":       {"users/models/", "ann", "", "weights/models/", "users/ann/file_groups/models/"},
		"no second user":     {"users/boris/", "ann", "", "weights/boris/", "users/ann/file_groups/boris/"},
		"a user with a path": {"users/x/", "../boris", "", "weights/x/", "users/..%2Fboris/file_groups/x/"},
		"named":              {"models/", "ann", "userdata/x/", "userdata/x/", "users/ann/file_groups/x/"},
		"without a user":     {"models/", "", "", "weights:/models/", "models/"},
	} {
		r := newRun(func(r *runtimev1.PipelineRun) {
			r.Spec.User = c.user
			if c.user == "" {
				r.Spec.Origin = runtimev1.OriginSchedule
				r.Spec.Inputs["table"] = runtimev1.InputPath{Path: "userdata:/t"}
			}
			if c.named != "" {
				r.Spec.Outputs = map[string]string{"model": c.named}
			}
		})
		p, err := makePlan(r, []*runtimev1.Pipeline{diamond(into("model", "weights", c.path))}, buckets)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if got := p.Stages[3].Outputs[0]; p.Outputs["model"] != c.place || got.Prefix != c.key {
			t.Errorf("%s: %s and %+v, want %s and %s", name, p.Outputs["model"], got, c.place, c.key)
		}
	}
}

// What translate refuses of such a place is refused again, of the final key.
func TestPlacesOfOutputsThatAreRefused(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"": "a whole box cannot take", "/": "a whole box cannot take", "models": "is not a folder",
		"users/": "users/ is where all users' files are", "users": "is not a folder",
		"users/boris/file_groups/in/": "names a user", "a/../users/boris/": `"." or ".." segment`,
		"users/../users/boris/file_groups/": `"." or ".." segment`, "//users/boris/": `"." or ".." segment`,
		"a/\n/": "control character", "users//": "the path is empty",
	} {
		_, err := makePlan(newRun(), []*runtimev1.Pipeline{diamond(into("model", "weights", path))}, buckets)
		if err == nil || !strings.Contains(err.Error(), "output model of stage report: mountFrom: ") ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", path, err, want)
		}
	}
	_, err := makePlan(newRun(), []*runtimev1.Pipeline{diamond(into("model", "herbarium", "models/"))}, buckets)
	if err == nil || !strings.Contains(err.Error(), "another module's dataset: it can only be read") {
		t.Errorf("a dataset: %v", err)
	}
	scheduled := newRun(func(r *runtimev1.PipelineRun) {
		r.Spec.User, r.Spec.Origin = "", runtimev1.OriginSchedule
		r.Spec.Inputs["table"] = runtimev1.InputPath{Path: "userdata:/t"}
	})
	_, err = makePlan(scheduled, []*runtimev1.Pipeline{diamond(into("model", "weights", "users/models/"))}, buckets)
	if err == nil || !strings.Contains(err.Error(), "among the files of the run's user, and the run has none") {
		t.Errorf("a schedule: %v", err)
	}
}

// In a chain the writer's pipeline says where an output goes. Where the next one takes it from when it
// runs alone is another thing.
func TestAChainsOutputGoesWhereItsWriterSays(t *testing.T) {
	t.Parallel()
	first := newPipeline("part-1", with("train: data -> model"), into("model", "weights", "models/"))
	second := newPipeline("part-2", with("report: model -> pages"), into("model", "weights", "models/best/"))
	r := newRun(func(r *runtimev1.PipelineRun) {
		r.Spec.Inputs = map[string]runtimev1.InputPath{"data": {Path: "userdata/photos/"}}
	})
	p, err := makePlan(r, []*runtimev1.Pipeline{first, second}, buckets)
	if err != nil || p.Outputs["model"] != "weights:/models/" || p.Stages[1].Inputs[0].Stage != "part-1/train" {
		t.Errorf("%v %+v", err, p)
	}
	r = newRun(func(r *runtimev1.PipelineRun) { r.Spec.Inputs = nil })
	alone, err := makePlan(r, []*runtimev1.Pipeline{second}, buckets)
	if err != nil || alone.Stages[0].Inputs[0].Prefix != "models/best/" {
		t.Errorf("%v %+v", err, alone)
	}
}

// The types of a variable are those of uploads: calls were looked at by the gateway.
func TestTypesAreOfUploads(t *testing.T) {
	t.Parallel()
	x := diamond(variable("table", func(v *runtimev1.Variable) { v.ContentTypes = []string{"text/csv"} }))
	for origin, want := range map[string]int{runtimev1.OriginUpload: 1, runtimev1.OriginAPI: 0,
		runtimev1.OriginKubernetes: 0} {
		r := newRun(func(r *runtimev1.PipelineRun) { r.Spec.Origin = origin })
		p, err := makePlan(r, []*runtimev1.Pipeline{x}, buckets)
		if err != nil || len(p.ContentTypes) != want || want == 1 && p.ContentTypes["table"][0] != "text/csv" {
			t.Errorf("%s: %v %v", origin, p.ContentTypes, err)
		}
	}
}

// A whole dataset may be an input: by a mountFrom, and by a call.
func TestAWholeDataset(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		box, given string
		want       runtimev1.ResolvedInput
	}{
		"of a box":        {"herbarium", "", runtimev1.ResolvedInput{Bucket: "b-herbarium", Whole: true}},
		"of a part":       {"pressed", "", runtimev1.ResolvedInput{Bucket: "b-herbarium", Prefix: "leaves/pressed/"}},
		"by a call":       {"weights", "herbarium/", runtimev1.ResolvedInput{Bucket: "b-herbarium", Whole: true}},
		"a folder by one": {"weights", "herbarium/a/", runtimev1.ResolvedInput{Bucket: "b-herbarium", Prefix: "a/"}},
		"a folder of a part": {"weights", "pressed/a/", runtimev1.ResolvedInput{Bucket: "b-herbarium",
			Prefix: "leaves/pressed/a/"}},
	} {
		x := diamond(with("more: base -> more"), into("base", c.box, ""))
		r := newRun()
		if c.given != "" {
			r.Spec.Inputs["base"] = runtimev1.InputPath{Path: c.given}
		}
		p, err := makePlan(r, []*runtimev1.Pipeline{x}, buckets)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		i := slices.IndexFunc(p.Stages, func(st runtimev1.StageStatus) bool { return st.Name == "more" })
		c.want.Name, c.want.Path = "base", "/unip/data/base"
		if got := p.Stages[i].Inputs[0]; got != c.want {
			t.Errorf("%s: %+v, want %+v", name, got, c.want)
		}
		s, err := MakeSessions(databox.UsualBuckets, r, &p.Stages[i])
		if err != nil {
			t.Fatal(err)
		}
		if g := s.Grants["fetch-0.json"][0]; c.want.Whole && g.Access != databox.DatasetFiles {
			t.Errorf("%s: its session is %+v", name, g)
		}
	}
}

// A chain that does not come to its end is no run: what comes after would be left out in silence.
func TestAChainWithoutAnEndIsRefused(t *testing.T) {
	t.Parallel()
	first, second := newPipeline("train", with("fit: table -> model")),
		newPipeline("more", with("report: model -> pages"))
	first.Spec.ContinueWith, second.Spec.ContinueWith = "more", "train"
	for end, want := range map[pipeline.End]string{
		pipeline.Loops:   "pipelines continue each other in a circle: train -> more -> train",
		pipeline.TooLong: "more than 16 pipelines one after the other",
		pipeline.Missing: "there is no Pipeline train to continue with",
	} {
		if _, err := Make(newRun(), chainOf(first, second), end, buckets); err == nil || err.Error() != want {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// A user's name never leads out of the user's own folder.
func TestUsersAreKeptApart(t *testing.T) {
	t.Parallel()
	for _, user := range []string{"..", ".", "a/b", "../boris", "%2e%2e", "a b", "*", "Аня", "boris/file_groups"} {
		r := newRun(func(r *runtimev1.PipelineRun) { r.Spec.User = user })
		p, err := makePlan(r, []*runtimev1.Pipeline{diamond()}, buckets)
		if err != nil {
			t.Errorf("%q: %v", user, err)
			continue
		}
		key := p.Stages[0].Inputs[0].Key
		parts := strings.Split(key, "/")
		if len(parts) != 5 || parts[0] != "users" || parts[1] == "." || parts[1] == ".." || parts[2] != "file_groups" {
			t.Errorf("%q: key %s", user, key)
		}
	}
}

// resolved is the run with its plan in its status, as the reconciler has it.
func resolved(t *testing.T, r *runtimev1.PipelineRun, p *runtimev1.Pipeline) *runtimev1.PipelineRun {
	t.Helper()
	x, err := makePlan(r, []*runtimev1.Pipeline{p}, buckets)
	if err != nil {
		t.Fatal(err)
	}
	r.Status.Stages = x.Stages
	return r
}
