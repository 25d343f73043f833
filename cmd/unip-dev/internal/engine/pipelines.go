package engine

import (
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/eventing/start"
	"github.com/unip-knative/unip/translate/module"
)

// pipelines are a module's, with what its runs need beside. Nobody changes them.
type pipelines struct {
	module *module.Module
	byName map[string]*runtimev1.Pipeline
}

func pipelinesOf(m *module.Module) *pipelines {
	all := &pipelines{module: m, byName: map[string]*runtimev1.Pipeline{}}
	for _, p := range m.Pipelines {
		all.byName[p.Name] = &runtimev1.Pipeline{
			TypeMeta:   metav1.TypeMeta{APIVersion: runtimev1.GroupVersion.String(), Kind: "Pipeline"},
			ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace, Name: p.Name, Labels: p.Labels},
			Spec:       p.Spec,
		}
	}
	return all
}

// objects are copies.
func (x *pipelines) objects() []runtimev1.Pipeline {
	all := make([]runtimev1.Pipeline, 0, len(x.byName))
	for _, p := range x.module.Pipelines {
		all = append(all, *x.byName[p.Name].DeepCopy())
	}
	return all
}

// limit is how many runs of a pipeline may be under way at once; 0 is any number.
func (x *pipelines) limit(name string) int32 {
	if p := x.byName[name]; p != nil {
		return p.Spec.MaxParallelRuns
	}
	return 0
}

func (x *pipelines) defaultBox(name string) string {
	if p := x.byName[name]; p != nil {
		return p.Spec.DefaultBox
	}
	return ""
}

// chain is a pipeline with those that it continues with; ok is false when the first is not there.
func (x *pipelines) chain(name string) (chain []pipeline.Pipeline, end pipeline.End, ok bool) {
	find := func(name string) (pipeline.Pipeline, bool, error) {
		p := x.byName[name]
		if p == nil {
			return pipeline.Pipeline{}, false, nil
		}
		return pipeline.Pipeline{Name: name, Spec: p.Spec.DeepCopy()}, true, nil
	}
	first, ok, _ := find(name)
	if !ok {
		return nil, pipeline.Missing, false
	}
	chain, end, _ = pipeline.Follow(first, find)
	return chain, end, end != pipeline.Missing
}

// box finds the bucket of a box.
func (x *pipelines) box(name string) (plan.Box, error) {
	for _, b := range x.module.Boxes {
		if b.Name != name {
			continue
		}
		r := b.Spec.DatasetReference
		if r == nil {
			return plan.Box{Bucket: databox.UsualBuckets.Box(x.module.Namespace, name)}, nil
		}
		return x.dataset(r.DatasetComponentRef.Namespace, r.DatasetComponentRef.Name)
	}
	return plan.Box{}, fmt.Errorf("there is no DataBox %s", name)
}

// dataset is a box, or a folder of one. Of another module it is the box of that name.
func (x *pipelines) dataset(namespace, name string) (plan.Box, error) {
	if namespace == x.module.Namespace {
		for _, d := range x.module.Datasets {
			if d.Name == name {
				prefix, err := databox.DatasetPrefix(d.Spec.Path)
				bucket := databox.UsualBuckets.Box(namespace, d.Spec.Box)
				return plan.Box{Bucket: bucket, Dataset: true, Prefix: prefix}, err
			}
		}
	}
	return plan.Box{Bucket: databox.UsualBuckets.Box(namespace, name), Dataset: true}, nil
}

// boxOf is the storage box of a bucket, "" for none.
func (x *pipelines) boxOf(bucket string) string {
	for _, b := range x.module.Boxes {
		if b.Spec.DatasetReference == nil && databox.UsualBuckets.Box(x.module.Namespace, b.Name) == bucket {
			return b.Name
		}
	}
	return ""
}

// rules are those that a file meets.
func (x *pipelines) rules(f start.File) []start.Rule {
	var all []start.Rule
	for _, p := range x.module.Pipelines {
		for _, r := range start.Rules(x.byName[p.Name]) {
			if r.Meets(f.Box, f.Path) {
				all = append(all, r)
			}
		}
	}
	return all
}
