//go:build integration

package runs

import (
	"net/http"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/controllertest"
	"github.com/unip-knative/unip/cmd/controller/internal/outage"
	"github.com/unip-knative/unip/cmd/controller/internal/runbucket"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/plan"
	life "github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
)

// Whether a stage has a commit is asked of the module's own bucket, and right before a further
// attempt is made: one that would run the user's container is not made where a commit has come
// meanwhile.
func TestALateCommitIsSeenBeforeAnAttemptIsMade(t *testing.T) {
	t.Parallel()
	_, c, server, src := controllertest.Servers(t)
	bucket := controllertest.Box(t, c, server, "userdata")
	ns := &corev1.Namespace{}
	must(t, c.Get(t.Context(), client.ObjectKey{Name: "default"}, ns))
	away := outage.New(http.DefaultTransport)
	store, err := src.Open(away)
	must(t, err)
	must(t, runbucket.Claim(t.Context(), store, "default", string(ns.UID)))
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "run-1", Namespace: "default"}}
	run.Spec = runtimev1.PipelineRunSpec{Pipeline: "train"}
	must(t, c.Create(t.Context(), run))
	chain := []pipeline.Pipeline{{Name: "train", Spec: &controllertest.OneStage("train", "", "model").Spec}}
	pl, err := plan.Make(run, chain, pipeline.Whole,
		func(string) (plan.Box, error) { return plan.Box{Bucket: bucket}, nil })
	must(t, err)
	run.Status.Stages = pl.Stages
	p := &pass{
		Reconciler: &Reconciler{Client: c, Live: c, Settings: src, Transport: away, StorageAway: away.Since,
			memory: newMemory(), Image: "stage"},
		ctx: t.Context(), key: client.ObjectKeyFromObject(run), run: run, s3: store, now: time.Now(),
	}
	runs, key := databox.UsualBuckets.Runs("default"), stage.CommitKey(run.Name, "fit")
	made := func(number int, complete bool) bool {
		t.Helper()
		name := plan.AttemptName(run, "fit", number)
		run.Status.Stages[0].Attempt, run.Status.Stages[0].Job = number, name
		must(t, p.startAttempt(life.StartAttempt{Stage: "fit", Number: number, Name: name, Complete: complete}))
		err := c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: name}, &batchv1.Job{})
		must(t, client.IgnoreNotFound(err))
		return err == nil
	}

	if got := p.commit("fit"); got != life.NoCommit {
		t.Errorf("without a commit: %v", got)
	}
	if !made(2, false) {
		t.Error("without a commit no further attempt is made")
	}
	server.Put(t, runs, key, `{"attempt":1}`)
	if got := p.commit("fit"); got != life.Committed {
		t.Errorf("with a commit: %v", got)
	}
	if got := p.closeCommit("fit"); got != life.Committed {
		t.Errorf("a commit that is there is closed: %v", got)
	}
	for range 2 { // by another leader, or after a crash
		if got := p.closeCommit("later"); got != life.NoCommit {
			t.Errorf("a stage without a commit is not closed: %v", got)
		}
	}
	if made(3, false) {
		t.Error("the user's container runs again where there is a commit")
	}
	if p.after != soon {
		t.Errorf("the next step comes after %s", p.after)
	}
	if !made(4, true) {
		t.Error("no attempt completes the commit")
	}

	back := server.Away(t)
	began := time.Now()
	got := p.commit("fit")
	if took := time.Since(began); got != life.Unknown || took > 3*commitTimeout || away.Since().IsZero() {
		t.Errorf("without an answer: %v after %s, away since %v", got, took, away.Since())
	}
	if got := p.closeCommit("later"); got != life.Unknown {
		t.Errorf("closing without an answer: %v", got)
	}
	back()
	if got := p.commit("fit"); got != life.Committed || !away.Since().IsZero() {
		t.Errorf("storage is back: %v, away since %v", got, away.Since())
	}
	controllertest.GiveAway(t, server, runs, databox.RunsBox)
	if got := p.commit("fit"); got != life.NoCommit {
		t.Errorf("in a bucket of somebody else: %v", got)
	}
}
