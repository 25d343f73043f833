package runs

import (
	"context"
	"errors"
	"maps"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/sessions"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/plan"
)

const (
	// maxStageSession is the longest life of a stage's session. S3 takes none back: this is how
	// long one may outlive its run. The installation may say less, down to S3's minimum of 15
	// minutes.
	maxStageSession = time.Hour
	// sessionAgain is the pause after the sessions of a running stage could not be renewed.
	sessionAgain = 30 * time.Second
)

func stageSessionLife(s settings.Store) time.Duration { return min(s.SessionLife(), maxStageSession) }

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

// forget has all sessions be looked at again.
func (d *dues) forget() {
	d.mu.Lock()
	defer d.mu.Unlock()
	clear(d.at)
}

// KeysChanged has the runs of a namespace that are under way take up the operator's keys.
func (r *Reconciler) KeysChanged(ctx context.Context, namespace string) {
	var all runtimev1.PipelineRunList
	if err := r.Client.List(ctx, &all, client.InNamespace(namespace)); err != nil {
		return // the next look comes by itself
	}
	r.sessions.forget()
	for i := range all.Items {
		if goesOn(&all.Items[i]) {
			r.look(client.ObjectKeyFromObject(&all.Items[i]))
		}
	}
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
func (r *Reconciler) ensureSessions(
	ctx context.Context, run *runtimev1.PipelineRun, st *runtimev1.StageStatus, s settings.Store,
	now time.Time,
) (time.Time, error) {
	wanted, err := plan.MakeSessions(s.Config.S3.Buckets, run, st)
	if err != nil {
		return time.Time{}, &boxes.Refusal{Reason: err.Error()}
	}
	labels, err := plan.Labels(st)
	if err != nil {
		return time.Time{}, &boxes.Refusal{Reason: err.Error()}
	}
	labels[runtimev1.RunLabel] = run.Name
	told := databox.Session{
		Endpoint: s.Config.S3.Endpoint, Region: s.Config.S3.Region, Bucket: s.Config.S3.Buckets.Runs(run.Namespace),
	}
	files := map[string]sessions.Session{}
	for file, grants := range wanted.Grants {
		policy, err := databox.Policy(grants...)
		if err != nil {
			return time.Time{}, &boxes.Refusal{Reason: err.Error()}
		}
		files[file] = sessions.Session{Policy: policy, Told: told, Pair: sessions.Pair{Secret: names.RunKeys}}
	}
	k := sessions.Keeper{Client: r.Client, Live: r.Live, Store: s}
	held, err := k.Ensure(ctx, sessions.Secret{
		Name: names.StageSession(run.Name, st.Name), Component: "stage", Owner: ownerOf(run), Files: files,
		Life: stageSessionLife(s), Labels: labels,
		// The buckets are the module's still.
		Before: func(ctx context.Context) error {
			runBucket, err := r.buckets().Runs(ctx, s, run.Namespace)
			if err != nil {
				return err
			}
			for b, paths := range wanted.Paths(runBucket, s.Config.S3.Buckets.System()) {
				if err := r.buckets().Named(ctx, s, run.Namespace, b, paths...); err != nil {
					return err
				}
			}
			return nil
		},
	}, now)
	return held.Due, err
}

func ownerOf(run *runtimev1.PipelineRun) sessions.Owner {
	return sessions.Owner{Object: run, Kind: runtimev1.GroupVersion.WithKind("PipelineRun")}
}

// dropSessions takes the sessions away once nothing of the run needs them. It may fail: they go
// with the run, and end soon by themselves.
func (r *Reconciler) dropSessions(ctx context.Context, run *runtimev1.PipelineRun) {
	k := sessions.Keeper{Client: r.Client, Live: r.Live}
	if err := k.Drop(ctx, ownerOf(run), runtimev1.RunLabel, run.Name); err != nil {
		ctrl.LoggerFrom(ctx).Info("the sessions of a run that has ended stay until the run is removed",
			"error", err.Error())
	}
}

// sessionsLater reports an error of sessions that may be another tomorrow, and in words what is
// waited for.
func sessionsLater(err error) (string, bool) {
	var refusal *boxes.Refusal
	switch {
	case errors.As(err, &refusal):
		return refusal.Reason, refusal.Wait
	case errors.Is(err, sessions.ErrSecret), errors.Is(err, sessions.ErrKeys):
		return err.Error(), true
	case modulerole.Missing(err):
		return "", false // the pass says so
	case apierrors.IsForbidden(err):
		return "the controller may not write the run's sessions into this namespace: apply the module again (" +
			oneLine(err.Error()) + ")", true
	}
	return "", false
}
