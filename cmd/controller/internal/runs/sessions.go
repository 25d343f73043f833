package runs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/plan"
	"github.com/unip-knative/unip/cmd/controller/internal/runbucket"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
)

const (
	// maxStageSession is the longest life of a stage's session. S3 takes none back: this is how
	// long one may outlive its run. The installation may say less, down to S3's minimum of 15
	// minutes.
	maxStageSession = time.Hour
	// sessionAgain is the pause after the sessions of a running stage could not be renewed.
	sessionAgain = 30 * time.Second
	// policyAnnotation on a stage's Secret is a hash of what its sessions may do.
	policyAnnotation = "knative.unified-platform.cs.hse.ru/policy"
)

func stageSessionLife(s runbucket.Store) time.Duration { return min(s.SessionLife(), maxStageSession) }

// dues remembers when the sessions of running stages are to be renewed, so that not every pass
// reads their Secret. It may be forgotten at any time.
type dues struct {
	mu sync.Mutex
	at map[stageKey]time.Time
}

type stageKey struct {
	run   types.UID
	stage string
}

func (d *dues) get(k stageKey) time.Time {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.at[k]
}

func (d *dues) set(k stageKey, due, now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.at == nil {
		d.at = map[stageKey]time.Time{}
	}
	// of runs that have ended
	maps.DeleteFunc(d.at, func(_ stageKey, t time.Time) bool { return now.After(t.Add(maxStageSession)) })
	d.at[k] = due
}

func (r *Reconciler) buckets() boxes.Buckets {
	return boxes.Buckets{Boxes: r.Client, Namespaces: r.Live}
}

// keepSessions sees to it that the Secret of a stage holds sessions with at least half of their
// life left, and says when to look again. anew is for a new attempt: it looks, whatever is
// remembered.
func (p *pass) keepSessions(st *runtimev1.StageStatus, anew bool) error {
	k := stageKey{p.run.UID, st.Name}
	if due := p.sessions.get(k); !anew && p.now.Before(due) {
		p.lookAt(due)
		return nil
	}
	due, err := p.ensureSessions(p.ctx, p.run, st, p.s3, p.now)
	if err != nil {
		return err
	}
	p.sessions.set(k, due, p.now)
	p.lookAt(due)
	return nil
}

// renewSessions does so for a stage that runs. Nothing hangs on one time: half of the life is left.
func (p *pass) renewSessions(st *runtimev1.StageStatus) {
	if err := p.keepSessions(st, false); err != nil {
		ctrl.LoggerFrom(p.ctx).Error(err, "the sessions of a running stage cannot be renewed", "stage", st.Name)
		p.lookAt(p.now.Add(sessionAgain))
	}
}

// ensureSessions reads or makes the sessions of a stage and says when they are due to be renewed.
func (r *Reconciler) ensureSessions(ctx context.Context, run *runtimev1.PipelineRun, st *runtimev1.StageStatus,
	s runbucket.Store, now time.Time) (time.Time, error) {
	wanted, err := plan.MakeSessions(run, st)
	if err != nil {
		return time.Time{}, &boxes.Refusal{Reason: err.Error()}
	}
	policies := map[string]string{}
	var all []string
	for _, file := range slices.Sorted(maps.Keys(wanted.Grants)) {
		if policies[file], err = databox.Policy(wanted.Grants[file]...); err != nil {
			return time.Time{}, &boxes.Refusal{Reason: err.Error()}
		}
		all = append(all, file, policies[file])
	}
	hash := names.Hash(append(all, s.Config.S3.Endpoint)...)
	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: run.Namespace, Name: names.StageSession(run.Name, st.Name)}
	err = r.Live.Get(ctx, key, secret)
	if client.IgnoreNotFound(err) != nil {
		return time.Time{}, fmt.Errorf("reading the stage's sessions: %w", err)
	}
	exists := err == nil
	if exists {
		if !metav1.IsControlledBy(secret, run) {
			return time.Time{}, fmt.Errorf("the Secret %s is not of this run: delete it", secret.Name)
		}
		if due := dueOf(secret, policies, hash); now.Before(due) {
			return due, nil
		}
	}
	runBucket, err := r.buckets().Runs(ctx, s.Client, run.Namespace)
	if err != nil {
		return time.Time{}, err
	}
	for _, b := range wanted.Buckets(runBucket) {
		if _, err := r.buckets().Named(ctx, s.Client, run.Namespace, b); err != nil {
			return time.Time{}, err
		}
	}
	want := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: key.Name, Namespace: run.Namespace,
			Labels: map[string]string{runtimev1.RunLabel: run.Name, "app.kubernetes.io/component": "stage",
				"app.kubernetes.io/part-of": run.Namespace, "app.kubernetes.io/managed-by": "unip"},
			Annotations: map[string]string{boxes.IssuedAnnotation: now.UTC().Format(time.RFC3339),
				policyAnnotation: hash},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(run,
				runtimev1.GroupVersion.WithKind("PipelineRun"))},
		},
		Data: map[string][]byte{},
	}
	for file, policy := range policies {
		if want.Data[file], err = session(ctx, s, policy, runBucket); err != nil {
			return time.Time{}, err
		}
	}
	if exists {
		before := secret.DeepCopy()
		secret.Data, secret.Annotations = want.Data, want.Annotations
		err = r.Client.Patch(ctx, secret, client.MergeFrom(before), fieldOwner)
	} else {
		err = r.Client.Create(ctx, want.DeepCopy(), fieldOwner)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("writing the stage's sessions: %w", err)
	}
	return dueOf(want, policies, hash), nil
}

// session makes one session, as its file has it.
func session(ctx context.Context, s runbucket.Store, policy, bucket string) ([]byte, error) {
	hc := &http.Client{Transport: s.Transport}
	got, err := s3client.AssumeRole(ctx, hc, s.Config.S3.Endpoint, s.Config.S3.Region, s.Keys, policy,
		stageSessionLife(s))
	if err != nil {
		return nil, err
	}
	got.Endpoint, got.Region, got.Bucket = s.Config.S3.Endpoint, s.Config.S3.Region, bucket
	return json.Marshal(got)
}

// dueOf is when the first of a Secret's sessions has lived half of its life; never when the Secret
// holds other sessions than those that are wanted.
func dueOf(secret *corev1.Secret, policies map[string]string, hash string) time.Time {
	issued, err := time.Parse(time.RFC3339, secret.Annotations[boxes.IssuedAnnotation])
	if err != nil || secret.Annotations[policyAnnotation] != hash || len(secret.Data) != len(policies) {
		return time.Time{}
	}
	due := issued.Add(maxStageSession)
	for file := range policies {
		s, err := databox.ParseSession(secret.Data[file])
		if err != nil {
			return time.Time{}
		}
		if half := issued.Add(s.Expiration.Sub(issued) / 2); half.Before(due) {
			due = half
		}
	}
	return due
}

// dropSessions takes the sessions away once nothing of the run needs them. It may fail: they go
// with the run, and end soon by themselves.
func (r *Reconciler) dropSessions(ctx context.Context, run *runtimev1.PipelineRun) {
	var all corev1.SecretList
	err := r.Live.List(ctx, &all, client.InNamespace(run.Namespace),
		client.MatchingLabels{runtimev1.RunLabel: run.Name})
	errs := []error{err}
	for i := range all.Items {
		s := &all.Items[i]
		if metav1.IsControlledBy(s, run) {
			errs = append(errs, client.IgnoreNotFound(r.Client.Delete(ctx, s, client.Preconditions{UID: &s.UID})))
		}
	}
	if err := errors.Join(errs...); err != nil {
		ctrl.LoggerFrom(ctx).Info("the sessions of a run that has ended stay until the run is removed", "error",
			err.Error())
	}
}

// sessionsLater reports an error of sessions that may be another tomorrow, and in words what is
// waited for.
func sessionsLater(err error) (string, bool) {
	var refusal *boxes.Refusal
	switch {
	case errors.As(err, &refusal):
		return refusal.Reason, refusal.Wait
	case modulerole.Missing(err):
		return "", false // the pass says so
	case apierrors.IsForbidden(err):
		return "the controller may not write the run's sessions into this namespace: apply the module again (" +
			oneLine(err.Error()) + ")", true
	}
	return "", false
}
