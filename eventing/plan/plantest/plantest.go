// Package plantest has runs and pipelines for tests of what a run shall do.
package plantest

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

func Pipeline(name string, mutate ...func(*runtimev1.Pipeline)) *runtimev1.Pipeline {
	p := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.DefaultBox = "userdata"
	for _, m := range mutate {
		m(p)
	}
	return p
}

// With adds a stage "name: in, in -> out, out" and the variables that it names.
func With(line string) func(*runtimev1.Pipeline) {
	return func(p *runtimev1.Pipeline) {
		name, rest, _ := strings.Cut(line, ":")
		in, out, _ := strings.Cut(rest, "->")
		split := func(s string) []string {
			return strings.FieldsFunc(s, func(r rune) bool { return r == ',' || r == ' ' })
		}
		s := runtimev1.Stage{Name: name, Image: "image/" + name, Inputs: split(in), Outputs: split(out),
			TimeoutSeconds: 60}
		for _, v := range slices.Concat(s.Inputs, s.Outputs) {
			if !slices.ContainsFunc(p.Spec.Variables, func(x runtimev1.Variable) bool { return x.Name == v }) {
				p.Spec.Variables = append(p.Spec.Variables, runtimev1.Variable{Name: v})
			}
		}
		p.Spec.Stages = append(p.Spec.Stages, s)
	}
}

func Variable(name string, set func(*runtimev1.Variable)) func(*runtimev1.Pipeline) {
	return func(p *runtimev1.Pipeline) {
		for i := range p.Spec.Variables {
			if p.Spec.Variables[i].Name == name {
				set(&p.Spec.Variables[i])
			}
		}
	}
}

func Run(mutate ...func(*runtimev1.PipelineRun)) *runtimev1.PipelineRun {
	r := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "run-1", Namespace: "ns", UID: "u"}}
	r.Spec = runtimev1.PipelineRunSpec{
		Pipeline: "train", User: "ann", Origin: runtimev1.OriginAPI,
		Inputs: map[string]runtimev1.InputPath{"table": {Path: "userdata/incoming/Таблица 1.csv"}},
	}
	for _, m := range mutate {
		m(r)
	}
	return r
}

func Diamond(mutate ...func(*runtimev1.Pipeline)) *runtimev1.Pipeline {
	return Pipeline("train", append([]func(*runtimev1.Pipeline){
		With("report: forest, svm -> model, report"),
		With("fit-forest: prepared -> forest"),
		With("fit-svm: prepared -> svm"),
		With("prepare: table -> prepared"),
	}, mutate...)...)
}

// Into gives a variable a mountFrom.
func Into(name, box, path string) func(*runtimev1.Pipeline) {
	return Variable(name, func(v *runtimev1.Variable) { v.MountFrom = &runtimev1.BoxPath{Box: box, Path: path} })
}
