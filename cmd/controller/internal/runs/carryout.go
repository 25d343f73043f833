package runs

import (
	"context"
	"fmt"
	"slices"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/jobs"
	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/traces"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/plan"
	life "github.com/unip-knative/unip/eventing/run"
)

const (
	// publishAgain is the pause after an event could not be published.
	publishAgain = 30 * time.Second
	// quotaAgain is the pause after a Job was refused.
	quotaAgain = 10 * time.Second
	// passBudget is how much of a pass goes into actions: saving the logs of many stages takes long.
	passBudget = 20 * time.Second
	// soon is the pause before a step that the result of an action causes.
	soon = 10 * time.Millisecond
)

// carryOut does what a step wants, in its order. With the first error the rest waits for the next
// step.
func (p *pass) carryOut(actions []life.Action) error {
	for _, a := range actions {
		if time.Since(p.now) > passBudget {
			if p.hint {
				p.memory.hint(p.key)
			}
			p.lookAt(time.Now().Add(soon)) // the next step wants the rest of them again
			return nil
		}
		var err error
		switch a := a.(type) {
		case life.Announce:
			p.announce(a.Step)
		case life.StartAttempt:
			err = p.startAttempt(a)
		case life.StopAttempt:
			err = p.stopAttempt(a.Name)
		case life.DropSessions:
			p.dropSessions(p.ctx, p.run)
		case life.Record:
			err = p.record(a)
		case life.KeepHint:
			p.memory.hint(p.key)
		case life.Look:
			p.lookAt(a.At)
		default:
			err = fmt.Errorf("a step wants a %T", a)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// startAttempt makes the Job of an attempt. It may have been made by a pass that ended before it
// could say so.
func (p *pass) startAttempt(a life.StartAttempt) error {
	i := slices.IndexFunc(p.run.Status.Stages, func(s runtimev1.StageStatus) bool { return s.Name == a.Stage })
	st := &p.run.Status.Stages[i]
	if err := p.keepSessions(st, true); err != nil {
		reason, later := sessionsLater(err)
		switch {
		case modulerole.Missing(err):
			p.answer(a, life.Answer{Message: modulerole.Message(p.run.Namespace), Again: modulerole.Again})
		case later:
			p.answer(a, life.Answer{Message: "it waits: " + oneLine(reason), Again: waitAgain})
		case reason != "":
			p.answer(a, life.Answer{ForGood: true, Message: oneLine(reason)})
		default:
			return err
		}
		return nil
	}
	if a.Number > 1 && !a.Complete && p.commit(a.Stage) != life.NoCommit {
		p.lookAt(time.Now().Add(soon)) // the attempt before, taken for lost, has come back meanwhile
		return nil
	}
	c := jobs.Config{
		Image: p.Image, Buckets: p.s3.Config.S3.Buckets, Security: p.s3.Config.Security,
		Defaults: p.s3.Config.Defaults, Runs: p.s3.Config.Runs,
		TraceParent: traces.Parent(p.run, a.Stage, p.s3.Config.Tracing),
	}
	job, err := jobs.Make(p.run, st, plan.Attempt{Number: a.Number, Complete: a.Complete, Patience: a.Patience}, c)
	if err == nil {
		err = p.Client.Create(p.ctx, job, fieldOwner)
	}
	switch {
	case err == nil:
	case apierrors.IsAlreadyExists(err):
		found := &batchv1.Job{}
		if err := p.Live.Get(p.ctx, types.NamespacedName{Namespace: job.Namespace, Name: job.Name}, found); err != nil {
			return fmt.Errorf("reading Job %s: %w", job.Name, err)
		}
		if !metav1.IsControlledBy(found, p.run) {
			taken := fmt.Sprintf("a Job %s of somebody else is in the way", job.Name)
			p.answer(a, life.Answer{ForGood: true, Message: taken})
		}
		return nil
	case modulerole.Missing(err):
		p.answer(a, life.Answer{Message: modulerole.Message(p.run.Namespace), Again: modulerole.Again})
		return nil
	case apierrors.IsForbidden(err): // a quota, mostly; it may be lifted
		refused := "its Job is refused: " + oneLine(err.Error())
		p.answer(a, life.Answer{Reason: "Forbidden", Message: refused, Again: quotaAgain})
		return nil
	case job == nil || apierrors.IsInvalid(err):
		p.answer(a, life.Answer{ForGood: true, Message: oneLine(err.Error())})
		return nil
	default:
		return fmt.Errorf("making Job %s: %w", job.Name, err)
	}
	p.memory.made(p.key, a.Name, time.Now())
	ctrl.LoggerFrom(p.ctx).Info("stage started", "stage", a.Stage, "attempt", a.Number, "job", a.Name, "event", p.hint,
		"complete", a.Complete)
	return nil
}

// answer keeps why an attempt could not be made for the next step, which comes at once if that is
// news.
func (p *pass) answer(a life.StartAttempt, why life.Answer) {
	if p.memory.answer(p.key, a.Name, why) {
		p.lookAt(time.Now().Add(soon))
	}
}

// stopAttempt stops an attempt: its log is kept, then its pod gets the signal to end.
func (p *pass) stopAttempt(name string) error {
	job := &batchv1.Job{}
	err := p.Live.Get(p.ctx, types.NamespacedName{Namespace: p.run.Namespace, Name: name}, job)
	if err != nil {
		return client.IgnoreNotFound(err)
	}
	if !metav1.IsControlledBy(job, p.run) || finishedJob(job) || job.DeletionTimestamp != nil {
		return nil // a finished one stays for its time, to be looked at
	}
	if err := p.saveLogInTime(job); err != nil {
		ctrl.LoggerFrom(p.ctx).Info("the log of a stopped stage is lost", "job", name, "error", err.Error())
	}
	err = p.Client.Delete(p.ctx, job, client.PropagationPolicy(metav1.DeletePropagationBackground),
		client.Preconditions{UID: &job.UID})
	return client.IgnoreNotFound(err)
}

// stoppedLogTimeout bounds what is done for the log of an attempt that is stopped: neither a node
// that is lost nor a storage that is away may hold up what comes after it.
const stoppedLogTimeout = 10 * time.Second

func (p *pass) saveLogInTime(job *batchv1.Job) error {
	ctx, cancel := context.WithTimeout(p.ctx, stoppedLogTimeout)
	defer cancel()
	return saveLog(ctx, p.Pods, p.s3, job)
}

// announce gives an event to the Broker, unless it is on its way or was refused a moment ago.
func (p *pass) announce(s events.Step) {
	id := s.ID()
	if !p.memory.publishing(p.key, id, p.now) {
		p.lookAt(p.now.Add(publishAgain))
		return
	}
	e, err := s.Event()
	if err == nil {
		key := p.key
		err = p.Broker.Publish(p.run.Namespace, e, func(err error) {
			p.memory.publishedNow(key, id, err, time.Now())
			if !life.Waits(p.run) { // it is told anew when it is called
				p.look(key)
			}
		})
	}
	if err != nil {
		p.memory.publishedNow(p.key, id, err, p.now)
		p.lookAt(p.now.Add(publishAgain))
	}
}

// record writes run.json. Where there is no place for it, that is told once.
func (p *pass) record(a life.Record) error {
	first := &runtimev1.Pipeline{}
	if err := p.Client.Get(p.ctx, types.NamespacedName{Namespace: p.run.Namespace, Name: p.run.Spec.Pipeline},
		first); err != nil {
		first = nil
	}
	if err := writeRecord(p.ctx, p.s3, p.buckets(), p.run, first); err != nil {
		if !forGood(err) && !a.Last {
			return err
		}
		p.Events.Eventf(p.run, nil, corev1.EventTypeWarning, "NoRecord", "Reconcile", "%s", oneLine(err.Error()))
	}
	p.memory.recorded(p.key)
	p.lookAt(time.Now().Add(soon))
	return nil
}
