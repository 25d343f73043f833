package runs

import (
	"context"
	"fmt"
	"net/http"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/builder"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/controller"
	"sigs.k8s.io/controller-runtime/pkg/predicate"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// Janitor keeps the log of each stage's Job that has ended and only then lets Kubernetes remove the
// Job, after the installation's jobTTLSeconds. It works apart from the Reconciler, so that no stage
// waits for the log of another.
type Janitor struct {
	Client    client.Client
	Pods      kubernetes.Interface
	Settings  *settings.Source
	Transport http.RoundTripper
}

// SetUp adds it to the manager.
func (j Janitor) SetUp(mgr ctrl.Manager) error {
	finished := predicate.NewPredicateFuncs(func(o client.Object) bool {
		job, ok := o.(*batchv1.Job)
		return ok && finishedJob(job) && job.Spec.TTLSecondsAfterFinished == nil && job.Labels[runtimev1.RunLabel] != ""
	})
	return ctrl.NewControllerManagedBy(mgr).Named("stage-jobs").
		For(&batchv1.Job{}, builder.WithPredicates(finished)).
		WithOptions(controller.Options{MaxConcurrentReconciles: 4}).
		Complete(j)
}

// Reconcile cleans up after one Job.
func (j Janitor) Reconcile(ctx context.Context, req reconcile.Request) (reconcile.Result, error) {
	ctx, cancel := context.WithTimeout(ctx, passTimeout)
	defer cancel()
	job := &batchv1.Job{}
	if err := j.Client.Get(ctx, req.NamespacedName, job); err != nil {
		return reconcile.Result{}, client.IgnoreNotFound(err)
	}
	if !finishedJob(job) || job.Spec.TTLSecondsAfterFinished != nil || job.DeletionTimestamp != nil {
		return reconcile.Result{}, nil
	}
	run := &runtimev1.PipelineRun{}
	err := j.Client.Get(ctx, types.NamespacedName{Namespace: job.Namespace, Name: job.Labels[runtimev1.RunLabel]}, run)
	if apierrors.IsNotFound(err) {
		return reconcile.Result{}, nil // Kubernetes removes what it owned
	}
	if err != nil {
		return reconcile.Result{}, fmt.Errorf("reading the run: %w", err)
	}
	if !metav1.IsControlledBy(job, run) {
		return reconcile.Result{}, nil
	}
	for _, st := range run.Status.Stages {
		if st.Job == job.Name && st.State == runtimev1.Running {
			return reconcile.Result{RequeueAfter: 2 * time.Second}, nil // its result is not written down yet
		}
	}
	s, err := j.Settings.Open(j.Transport)
	if err != nil {
		return reconcile.Result{}, err
	}
	if err := saveLog(ctx, j.Pods, s, job); err != nil && !forGood(err) {
		return modulerole.Later(ctx, job.Namespace, err)
	}
	before := job.DeepCopy()
	job.Spec.TTLSecondsAfterFinished = new(int32(s.Config.Runs.JobTTLSeconds)) // checked to be within a week
	return modulerole.Later(ctx, job.Namespace, client.IgnoreNotFound(j.Client.Patch(ctx, job, client.MergeFrom(before),
		fieldOwner)))
}
