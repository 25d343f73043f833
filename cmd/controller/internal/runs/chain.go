package runs

import (
	"errors"
	"regexp"
	"slices"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// maxChain bounds continueWith.
const maxChain = 16

// pipelineName is what a Pipeline's name may be, as its CRD has it.
var pipelineName = regexp.MustCompile(`^[a-z]([-a-z0-9]{0,38}[a-z0-9])?$`)

// chain reads the run's pipeline and those that it continues with.
func (p *pass) chain() ([]*runtimev1.Pipeline, error) {
	var chain []*runtimev1.Pipeline
	for name := p.run.Spec.Pipeline; name != ""; {
		if !pipelineName.MatchString(name) { // the API server does not ask for what has no name
			return nil, apierrors.NewNotFound(runtimev1.GroupVersion.WithResource("pipelines").GroupResource(), name)
		}
		x := &runtimev1.Pipeline{}
		if err := p.Live.Get(p.ctx, types.NamespacedName{Namespace: p.run.Namespace, Name: name}, x); err != nil {
			return nil, err
		}
		if len(chain) == maxChain || slices.ContainsFunc(chain, func(o *runtimev1.Pipeline) bool { return o.Name == name }) {
			return chain, nil // resolve finds what is wrong with it
		}
		chain = append(chain, x)
		name = x.Spec.ContinueWith
	}
	return chain, nil
}

// finder finds the buckets of boxes, each once in a pass.
type finder struct {
	*pass
	known map[string]boxes.Bucket
	// wait is what a box is not ready for, trouble an answer that says nothing of the run.
	wait    string
	trouble error
}

// locate is resolve's.
func (f *finder) locate(box string) (string, bool, error) {
	if b, ok := f.known[box]; ok {
		return b.Name, b.Dataset, nil
	}
	b, err := f.buckets().Of(f.ctx, f.s3.Client, f.run.Namespace, box)
	var refusal *boxes.Refusal
	switch {
	case err == nil:
		f.known[box] = b
	case !errors.As(err, &refusal):
		f.trouble = err
	case refusal.Wait:
		f.wait = refusal.Reason
	}
	return b.Name, b.Dataset, err
}
