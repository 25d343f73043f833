package runs

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/eventing/runstorage"
)

// writeRecord writes run.json to the run's default place; a run without one keeps its status only.
func writeRecord(
	ctx context.Context, s3 settings.Store, b boxes.Buckets, run *runtimev1.PipelineRun, p *runtimev1.Pipeline,
) error {
	if p == nil || p.Spec.DefaultBox == "" {
		return nil
	}
	if len(validation.IsDNS1123Label(p.Spec.DefaultBox)) > 0 {
		return errNoPlace
	}
	bucket, err := b.Of(ctx, s3, run.Namespace, p.Spec.DefaultBox)
	if err == nil && bucket.Dataset {
		err = &boxes.Refusal{Reason: "the box " + p.Spec.DefaultBox + " is another module's dataset"}
	}
	if err != nil {
		return fmt.Errorf("writing run.json: %w", err)
	}
	place, err := plan.RecordPlace(run, p.Spec.DefaultBox)
	if err != nil {
		return fmt.Errorf("%w: %w", errNoPlace, err)
	}
	return runstorage.PutRecord(ctx, s3.Client, bucket.Name, place, run)
}
