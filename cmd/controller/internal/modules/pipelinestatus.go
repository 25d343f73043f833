package modules

import (
	"context"
	"fmt"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/names"
)

// The status of a Pipeline has three writers, each with fields and a condition of its own.
const (
	pipelinesOwner = client.FieldOwner(names.Controller + "/pipelines") // ObservedGeneration, Address, condition Ready
	uploadsOwner   = client.FieldOwner(names.Controller + "/uploads")   // Uploads
	schedulesOwner = client.FieldOwner(names.Controller + "/schedules") // Schedule, condition Scheduled
)

// applyStatus applies the owner's fields of a Pipeline's status: those that are set in s, and the
// condition of that type among the Pipeline's. What the owner has applied before and does not now
// goes. A Pipeline that is not there any more, or that is another one of its name, is left alone.
func applyStatus(
	ctx context.Context, c client.Client, owner client.FieldOwner, p *runtimev1.Pipeline, s runtimev1.PipelineStatus,
	condition string,
) error {
	s.Conditions = nil
	if own := meta.FindStatusCondition(p.Status.Conditions, condition); own != nil {
		s.Conditions = []metav1.Condition{*own}
	}
	status, err := runtime.DefaultUnstructuredConverter.ToUnstructured(&s)
	if err != nil {
		return fmt.Errorf("the status of pipeline %s: %w", p.Name, err)
	}
	if len(status) == 0 { // the API server takes no status that is null
		status["conditions"] = []any{}
	}
	u := &unstructured.Unstructured{Object: map[string]any{"status": status}}
	u.SetGroupVersionKind(runtimev1.GroupVersion.WithKind("Pipeline"))
	u.SetNamespace(p.Namespace)
	u.SetName(p.Name)
	u.SetUID(p.UID)
	err = c.Status().Apply(ctx, client.ApplyConfigurationFromUnstructured(u), owner, client.ForceOwnership)
	if err != nil {
		return client.IgnoreNotFound(err) // the callers tell conflicts apart
	}
	return nil
}
