//go:build integration

package runs

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/controllertest"
	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
	"github.com/unip-knative/unip/cmd/controller/internal/runbucket"
	"github.com/unip-knative/unip/cmd/controller/internal/sessions"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/plan"
)

// The sessions of a stage live an hour at the most, are renewed before half of that, and are never made
// for a bucket that is not the module's any more.
func TestSessionsOfAStage(t *testing.T) {
	t.Parallel()
	cfg, c, minio, src := controllertest.Servers(t)
	bucket := controllertest.Box(t, c, minio, "userdata")
	ns := &corev1.Namespace{}
	must(t, c.Get(t.Context(), client.ObjectKey{Name: "default"}, ns))
	store, err := src.Open(http.DefaultTransport)
	must(t, err)
	must(t, runbucket.Claim(t.Context(), store, "default", string(ns.UID)))
	r := &Reconciler{Client: c, Live: c, Settings: src, Transport: http.DefaultTransport, memory: newMemory()}
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "run-1", Namespace: "default"}}
	run.Spec = runtimev1.PipelineRunSpec{
		Pipeline: "train", User: "ann", Origin: runtimev1.OriginAPI,
		Inputs: map[string]runtimev1.InputPath{"table": {Path: "userdata/incoming/Таблица 1.csv"}},
	}
	must(t, c.Create(t.Context(), run))
	chain := []pipeline.Pipeline{{Name: "train", Spec: &controllertest.OneStage("train", "table", "model").Spec}}
	pl, err := plan.Make(run, chain, pipeline.Whole,
		func(string) (plan.Box, error) { return plan.Box{Bucket: bucket}, nil })
	must(t, err)
	run.Status.Stages = pl.Stages
	st := &run.Status.Stages[0]

	secret := &corev1.Secret{}
	key := client.ObjectKey{Namespace: "default", Name: names.StageSession(run.Name, st.Name)}
	now := time.Now()
	ensure := func(at time.Time) (due time.Time, changed bool) {
		t.Helper()
		before := secret.ResourceVersion
		due, err := r.ensureSessions(t.Context(), run, st, store, at)
		must(t, err)
		must(t, c.Get(t.Context(), key, secret))
		return due, secret.ResourceVersion != before
	}
	due, _ := ensure(now)
	if left := due.Sub(now); left < 23*time.Minute || left > 28*time.Minute {
		t.Errorf("due in %v", left)
	}
	if files := slices.Sorted(maps.Keys(secret.Data)); !slices.Equal(files,
		[]string{"fetch-0.json", "publish-0.json"}) {
		t.Errorf("files %v", files)
	}
	for file, b := range secret.Data {
		s, err := databox.ParseSession(b)
		must(t, err)
		if left := time.Until(s.Expiration); left > time.Hour || left < 59*time.Minute {
			t.Errorf("%s lives %v", file, left)
		}
	}
	if !metav1.IsControlledBy(secret, run) {
		t.Error("the Secret does not go with its run")
	}
	if _, changed := ensure(now.Add(20 * time.Minute)); changed {
		t.Error("renewed before its time")
	}
	if _, changed := ensure(due.Add(time.Second)); !changed {
		t.Error("not renewed before half of its life")
	}
	secret.Data["fetch-0.json"] = []byte("{}")
	must(t, c.Update(t.Context(), secret))
	if _, changed := ensure(now); !changed {
		t.Error("a Secret that somebody has changed stays")
	}

	// What somebody else has put under the name keeps its content and gets no owner.
	must(t, c.Delete(t.Context(), secret))
	theirs := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: key.Namespace, Name: key.Name},
		Data: map[string][]byte{"password": []byte("theirs")}}
	must(t, c.Create(t.Context(), theirs))
	_, err = r.ensureSessions(t.Context(), run, st, store, now)
	if reason, later := sessionsLater(err); !errors.Is(err, sessions.ErrSecret) || !later ||
		!strings.Contains(reason, "delete Secret "+key.Name) {
		t.Errorf("somebody else's Secret: %v", err)
	}
	must(t, c.Get(t.Context(), key, secret))
	if len(secret.Data) != 1 || len(secret.OwnerReferences) != 0 {
		t.Errorf("somebody else's Secret was taken: %+v", secret.ObjectMeta)
	}
	must(t, c.Delete(t.Context(), secret))
	ensure(now)

	// Without the right on Secrets the pass says what is missing, and a run that has ended is not
	// held up.
	stranger := rest.CopyConfig(cfg)
	stranger.Impersonate = rest.ImpersonationConfig{UserName: "nobody"}
	powerless, err := client.New(stranger, client.Options{Scheme: c.Scheme()})
	must(t, err)
	p := &Reconciler{Client: powerless, Live: powerless, Settings: src, Transport: http.DefaultTransport,
		memory: newMemory()}
	_, err = p.ensureSessions(t.Context(), run, st, store, now)
	if reason, later := sessionsLater(err); !modulerole.Missing(err) || reason != "" || later {
		t.Errorf("without rights: %v", err)
	}
	p.dropSessions(t.Context(), run)

	controllertest.GiveAway(t, minio, bucket, "userdata")
	_, err = r.ensureSessions(t.Context(), run, st, store, now.Add(2*time.Hour))
	var refusal *boxes.Refusal
	if !errors.As(err, &refusal) || refusal.Wait {
		t.Errorf("a session for somebody else's bucket: %v", err)
	}

	foreign := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: "foreign",
		Labels: map[string]string{runtimev1.RunLabel: run.Name}}}
	must(t, c.Create(t.Context(), foreign))
	r.dropSessions(t.Context(), run)
	if err := c.Get(t.Context(), key, secret); !apierrors.IsNotFound(err) {
		t.Errorf("the sessions of a run that has ended: %v", err)
	}
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(foreign), foreign))
}
