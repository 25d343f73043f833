package pipeline_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/pipeline"
)

// parse reads a pipeline from lines: "name [> next]", then one line a stage, "stage: inputs ->
// outputs". A name with an * has a mountFrom; every name that stands anywhere is declared, in its
// order.
func parse(text string) pipeline.Pipeline {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	name, next, _ := strings.Cut(strings.TrimSpace(lines[0]), " > ")
	p := pipeline.Pipeline{Name: name, Spec: &runtimev1.PipelineSpec{ContinueWith: next}}
	declare := func(words string) (names []string) {
		for _, w := range strings.Fields(words) {
			v := runtimev1.Variable{Name: strings.TrimSuffix(w, "*")}
			if v.Name != w {
				v.MountFrom = &runtimev1.BoxPath{Box: "b", Path: "p/"}
			}
			names = append(names, v.Name)
			if !slices.ContainsFunc(p.Spec.Variables, func(o runtimev1.Variable) bool { return o.Name == v.Name }) {
				p.Spec.Variables = append(p.Spec.Variables, v)
			}
		}
		return names
	}
	for _, line := range lines[1:] {
		stage, flow, _ := strings.Cut(strings.TrimSpace(line), ":")
		in, out, _ := strings.Cut(flow, "->")
		p.Spec.Stages = append(p.Spec.Stages, runtimev1.Stage{Name: stage, Inputs: declare(in), Outputs: declare(out)})
	}
	return p
}

func Example() {
	train := pipeline.Pipeline{Name: "train", Spec: &runtimev1.PipelineSpec{
		Variables: []runtimev1.Variable{{Name: "photos"}, {Name: "clean"}, {Name: "model"}},
		Stages: []runtimev1.Stage{
			{Name: "fit", Inputs: []string{"clean"}, Outputs: []string{"model"}},
			{Name: "scale", Inputs: []string{"photos"}, Outputs: []string{"clean"}},
		},
	}}
	g := pipeline.Of(train)
	fmt.Println("wants", g.Wanted())
	fmt.Println("leaves", g.Outputs())
	fmt.Println("runs", g.Names(g.Order()))
	fmt.Println("problems", len(g.Problems()))
	// Output:
	// wants [photos]
	// leaves [clean model]
	// runs [scale fit]
	// problems 0
}

// A check gives each problem its own place and words; who needs a sentence only asks Describe.
func ExampleGraph_Problems() {
	g := pipeline.Of(pipeline.Pipeline{Name: "train", Spec: &runtimev1.PipelineSpec{
		Variables: []runtimev1.Variable{{Name: "clean"}, {Name: "model"}},
		Stages: []runtimev1.Stage{
			{Name: "fit", Inputs: []string{"clean"}, Outputs: []string{"model"}},
			{Name: "scale", Inputs: []string{"model"}, Outputs: []string{"clean"}},
			{Name: "again", Outputs: []string{"model"}},
		},
	}})
	for _, p := range g.Problems() {
		switch p.Kind {
		case pipeline.TwoWriters:
			fmt.Println(p.Variable, "at the output of", g.Stages[p.Stages[1]].Spec.Name)
		default:
			fmt.Println(g.Describe(p))
		}
	}
	// Output:
	// model at the output of again
	// stages wait for each other in a circle: fit waits for scale waits for fit
}

func ExampleFollow() {
	module := map[string]*runtimev1.PipelineSpec{
		"train": {ContinueWith: "report"}, "report": {ContinueWith: "train"}, "alone": {},
	}
	find := func(name string) (pipeline.Pipeline, bool, error) {
		spec, ok := module[name]
		return pipeline.Pipeline{Name: name, Spec: spec}, ok, nil
	}
	for _, first := range []string{"alone", "train"} {
		p, _, _ := find(first)
		chain, end, err := pipeline.Follow(p, find)
		fmt.Println(len(chain), end == pipeline.Loops, err)
	}
	// Output:
	// 1 false <nil>
	// 2 true <nil>
}

func TestGraphs(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		chain                   []string
		order, wanted, problems string
		inputs, outputs         string
	}{
		"a diamond": {
			chain: []string{"p\na: raw -> x\nb: x -> l\nc: x -> r\nd: l r -> out"},
			order: "a b c d", wanted: "raw", inputs: "raw", outputs: "x l r out",
		},
		"a chain": {
			chain: []string{"p > q\na: raw -> x", "q\nb: x c* -> y"},
			order: "p/a q/b", wanted: "raw", inputs: "raw c", outputs: "x y",
		},
		"a later declaration says where it comes from": {
			chain: []string{"p > q\na: raw -> x", "q\nb: raw* -> y"},
			order: "p/a q/b", inputs: "raw", outputs: "x y",
		},
		"two writers": {
			chain: []string{"p\na: -> x\nb: -> x\nc: -> x"},
			order: "a b c", outputs: "x",
			problems: "variable x is written by two stages, a and b; variable x is written by two stages, a and c",
		},
		"two writers in a chain": {
			chain: []string{"p > q\na: -> x", "q\nb: -> x"},
			order: "p/a q/b", outputs: "x", problems: "variable x is written by two stages, p/a and q/b",
		},
		"a circle, and what waits for it": {
			chain: []string{"p\nz: c -> end\na: c -> b\nb: b -> c\nok: -> fine"},
			order: "ok", outputs: "c end b fine",
			problems: "stages wait for each other in a circle: a waits for b waits for a",
		},
		"a stage that reads what it writes": {
			chain: []string{"p\na: x -> x"},
			order: "a", outputs: "x", problems: "variable x is both an input and an output of stage a",
		},
		"a stage that reads what a later pipeline writes": {
			chain: []string{"p > q\na: x -> y", "q\nb: y2 -> x"},
			order: "q/b p/a", wanted: "y2", inputs: "y2", outputs: "x y",
			problems: "stage p/a reads x, which is only written later, by stage q/b",
		},
		"no stages": {chain: []string{"p"}, problems: "0 stages: 1 to 64 are possible"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var chain []pipeline.Pipeline
			for _, text := range c.chain {
				chain = append(chain, parse(text))
			}
			g := pipeline.Of(chain...)
			var problems []string
			for _, p := range g.Problems() {
				problems = append(problems, g.Describe(p))
			}
			got := []string{
				strings.Join(g.Names(g.Order()), " "), strings.Join(g.Wanted(), " "), strings.Join(g.Inputs(), " "),
				strings.Join(g.Outputs(), " "), strings.Join(problems, "; "),
			}
			want := []string{c.order, c.wanted, c.inputs, c.outputs, c.problems}
			if d := cmp.Diff(want, got); d != "" {
				t.Errorf("order, wanted, inputs, outputs, problems (-want +got):\n%s", d)
			}
		})
	}
	if g := pipeline.Of(many(65)); len(g.Problems()) != 1 || g.Problems()[0].Kind != pipeline.TooManyStages {
		t.Errorf("65 stages: %+v", g.Problems())
	}
}

// What is wrong still has one answer, and what nothing uses is neither given nor left.
func TestOddGraphs(t *testing.T) {
	t.Parallel()
	p := parse("p\na: raw -> x\nb: -> x")
	p.Spec.Variables = append(p.Spec.Variables, runtimev1.Variable{Name: "unused"})
	g := pipeline.Of(p)
	if w, ok := g.Writer("x"); w != 0 || !ok {
		t.Errorf("x is written by stage %d, %t", w, ok)
	}
	if w, ok := g.Writer("raw"); ok {
		t.Errorf("raw is written by stage %d", w)
	}
	if in, out := g.Inputs(), g.Outputs(); !slices.Equal(in, []string{"raw"}) || !slices.Equal(out, []string{"x"}) {
		t.Errorf("inputs %v, outputs %v", in, out)
	}
}

func many(stages int) pipeline.Pipeline {
	p := pipeline.Pipeline{Name: "p", Spec: &runtimev1.PipelineSpec{}}
	for i := range stages {
		p.Spec.Stages = append(p.Spec.Stages, runtimev1.Stage{Name: fmt.Sprintf("s%d", i)})
	}
	return p
}

func TestFollow(t *testing.T) {
	t.Parallel()
	all := map[string]pipeline.Pipeline{}
	for _, p := range []string{"a > b", "b > c", "c", "loop > loop", "x > y", "y > x", "gone > nowhere"} {
		x := parse(p)
		all[x.Name] = x
	}
	for i := range pipeline.MaxChain + 1 {
		p := parse(fmt.Sprintf("long%d > long%d", i, i+1))
		all[p.Name] = p
	}
	find := func(name string) (pipeline.Pipeline, bool, error) {
		p, ok := all[name]
		return p, ok, nil
	}
	for first, want := range map[string]struct {
		chain string
		end   pipeline.End
	}{
		"a": {"a b c", pipeline.Whole}, "c": {"c", pipeline.Whole},
		"loop": {"loop", pipeline.Loops}, "x": {"x y", pipeline.Loops},
		"gone": {"gone", pipeline.Missing},
		"long1": {
			"long1 long2 long3 long4 long5 long6 long7 long8 long9 long10 long11 long12 long13 long14 long15 long16",
			pipeline.TooLong,
		},
	} {
		chain, end, err := pipeline.Follow(all[first], find)
		var names []string
		for _, p := range chain {
			names = append(names, p.Name)
		}
		if err != nil || end != want.end || strings.Join(names, " ") != want.chain {
			t.Errorf("%s: %v, end %d, %v; want %s, end %d", first, names, end, err, want.chain, want.end)
		}
	}
	broken := errors.New("the API server is away")
	_, _, err := pipeline.Follow(all["a"], func(string) (pipeline.Pipeline, bool, error) {
		return pipeline.Pipeline{}, false, broken
	})
	if !errors.Is(err, broken) {
		t.Errorf("error %v", err)
	}
}

func TestNames(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"raw": "UNIP_PIPELINE_RAW", "a.b-c_d": "UNIP_PIPELINE_A_B_C_D", "X9": "UNIP_PIPELINE_X9",
	} {
		if got := pipeline.EnvName(in); got != want {
			t.Errorf("EnvName(%q) is %q, want %q", in, got, want)
		}
	}
	for in, want := range map[string]bool{
		"a": true, "train-2": true, "": false, "../x": false, "A": false, "2a": false, "a-": false, "a\n": false,
		strings.Repeat("a", 40): true, strings.Repeat("a", 41): false,
	} {
		if pipeline.IsName(in) != want {
			t.Errorf("IsName(%q) is not %t", in, want)
		}
	}
	for in, want := range map[string]bool{
		"a": true, "A.b-c_d9": true, "": false, "9a": false, "a b": false, "ä": false, "a\n": false,
		strings.Repeat("a", 63): true, strings.Repeat("a", 64): false,
	} {
		if pipeline.IsVariableName(in) != want {
			t.Errorf("IsVariableName(%q) is not %t", in, want)
		}
	}
}

func TestFolders(t *testing.T) {
	t.Parallel()
	at := func(name, to string) runtimev1.Variable { return runtimev1.Variable{Name: name, MountTo: to} }
	for _, c := range []struct {
		v      runtimev1.Variable
		folder string
		wrong  bool
	}{
		{at("raw", ""), "/unip/data/raw", false}, {at("raw", "/in/"), "/in", false}, {at("raw", "/in"), "/in", false},
		{at("raw", "in"), "in", true}, {at("raw", "/a/../b"), "/a/../b", true}, {at("raw", "/"), "", true},
		{at("raw", "/unip/data/x"), "/unip/data/x", false}, {at("raw", "/unip/data"), "/unip/data", true},
		{at("raw", "/unip/data/../x"), "/unip/data/../x", true}, {at("raw", "/unip/session"), "/unip/session", true},
		{at("raw", "/etc/x"), "/etc/x", true}, {at("raw", "/a:b"), "/a:b", true}, {at("raw", "/a//"), "/a/", true},
	} {
		if f, err := pipeline.Folder(c.v), pipeline.CheckFolder(c.v); f != c.folder || (err != nil) != c.wrong {
			t.Errorf("%+v: %q, %v", c.v, f, err)
		}
	}
	for _, c := range []struct {
		v, w   runtimev1.Variable
		nested bool
	}{
		{at("a", "/x"), at("b", "/x/y"), true}, {at("a", "/x/y"), at("b", "/x"), true},
		{at("a", "/x"), at("b", "/x/"), true},
		{at("a", "/x"), at("b", "/xy"), false}, {at("a", ""), at("b", ""), false},
		{at("a", "/unip/data"), at("b", ""), true},
	} {
		if pipeline.Nested(c.v, c.w) != c.nested {
			t.Errorf("%+v and %+v", c.v, c.w)
		}
	}
}
