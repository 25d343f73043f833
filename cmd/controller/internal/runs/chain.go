package runs

import (
	"errors"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/plan"
)

// chain reads the run's pipeline and those that it continues with.
func (p *pass) chain() ([]pipeline.Pipeline, pipeline.End, error) {
	first, err := p.readPipeline(p.run.Spec.Pipeline)
	if err != nil {
		return nil, pipeline.Missing, err
	}
	return pipeline.Follow(first, func(name string) (pipeline.Pipeline, bool, error) {
		next, err := p.readPipeline(name)
		return next, err == nil, err
	})
}

func (p *pass) readPipeline(name string) (pipeline.Pipeline, error) {
	if !pipeline.IsName(name) { // the API server does not ask for what has no name
		missing := runtimev1.GroupVersion.WithResource("pipelines").GroupResource()
		return pipeline.Pipeline{}, apierrors.NewNotFound(missing, name)
	}
	x := &runtimev1.Pipeline{}
	err := p.Live.Get(p.ctx, types.NamespacedName{Namespace: p.run.Namespace, Name: name}, x)
	return pipeline.Pipeline{Name: name, Spec: &x.Spec}, err
}

// finder finds the buckets of boxes, each once in a pass.
type finder struct {
	*pass
	known map[string]boxes.Bucket
	// wait is what a box is not ready for, trouble an answer that says nothing of the run.
	wait    string
	trouble error
}

// bucketOf is the plan.FindBox of a pass.
func (f *finder) bucketOf(box string) (plan.Box, error) {
	if b, ok := f.known[box]; ok {
		return placeOf(b), nil
	}
	b, err := f.buckets().Of(f.ctx, f.s3, f.run.Namespace, box)
	var refusal *boxes.Refusal
	switch {
	case err == nil:
		f.known[box] = b
	case !errors.As(err, &refusal):
		f.trouble = err
	case refusal.Wait:
		f.wait = refusal.Reason
	}
	return placeOf(b), err
}

func placeOf(b boxes.Bucket) plan.Box {
	return plan.Box{Bucket: b.Name, Dataset: b.Dataset, Prefix: b.Prefix, Capacity: b.Capacity}
}
