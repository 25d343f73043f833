//go:build integration

package modules

import (
	"net/http"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/controllertest"
	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
)

// ruled is a module with a pipeline train that has on-upload rules.
type ruled struct {
	Pipelines
	s3 *miniotest.Server
}

func newRuled(t *testing.T) *ruled {
	t.Helper()
	_, c, server, src := controllertest.Servers(t)
	controllertest.Box(t, c, server, "userdata")
	return &ruled{s3: server, Pipelines: Pipelines{
		Client: c, Live: c, Settings: src, Transport: http.DefaultTransport,
		Starts: &starts.Maker{Client: c, Live: c, Settings: src, Transport: http.DefaultTransport},
	}}
}

// look looks at the pipeline as the controller does, and reads it again.
func (r *ruled) look(t *testing.T, p *runtimev1.Pipeline) {
	t.Helper()
	_, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(p)})
	must(t, err)
	must(t, r.Live.Get(t.Context(), client.ObjectKeyFromObject(p), p))
}

// since is since when a rule holds.
func since(t *testing.T, p *runtimev1.Pipeline, rule runtimev1.UploadRule) time.Time {
	t.Helper()
	at, ok := p.Status.Uploads.Since(rule.ID())
	if !ok {
		t.Fatalf("rule %+v is not in the status %+v", rule, p.Status.Uploads)
	}
	return at
}

// back sets since when all rules hold back by an hour, as if they had stood there.
func (r *ruled) back(t *testing.T, p *runtimev1.Pipeline) {
	t.Helper()
	for i := range p.Status.Uploads.Rules {
		at := &p.Status.Uploads.Rules[i].SinceTime
		*at = metav1.NewTime(at.Add(-time.Hour))
	}
	must(t, r.Client.Status().Update(t.Context(), p, uploadsOwner))
}

func near(at, want time.Time) bool { return at.Sub(want).Abs() < time.Minute }

func TestRulesHoldFromWhenTheyAreSeen(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	a := runtimev1.UploadRule{Box: "userdata", Prefix: "a/", Input: "table"}
	b := runtimev1.UploadRule{Box: "userdata", Prefix: "b/", Input: "table"}
	p := controllertest.OneStage("train", "table", "model")
	p.Namespace, p.Spec.OnUpload = "default", []runtimev1.UploadRule{a, a} // the same twice is one
	must(t, r.Client.Create(t.Context(), p))
	began := time.Now()
	r.look(t, p)
	if at := since(t, p, a); !near(at, began) || len(p.Status.Uploads.Rules) != 1 ||
		p.Status.Uploads.Upgraded || p.Status.Address == nil {
		t.Fatalf("the status is %+v", p.Status)
	}
	r.back(t, p)
	version := p.ResourceVersion
	if r.look(t, p); p.ResourceVersion != version {
		t.Error("the status of rules that stand was written again")
	}

	// Another one comes before it: each keeps its own time.
	p.Spec.OnUpload = []runtimev1.UploadRule{b, a}
	must(t, r.Client.Update(t.Context(), p))
	r.look(t, p)
	if !near(since(t, p, a), began.Add(-time.Hour)) || !near(since(t, p, b), began) {
		t.Errorf("%+v", p.Status.Uploads)
	}
	// One goes, and comes back: it holds from then on.
	p.Spec.OnUpload = []runtimev1.UploadRule{b}
	must(t, r.Client.Update(t.Context(), p))
	r.look(t, p)
	if _, ok := p.Status.Uploads.Since(a.ID()); ok || len(p.Status.Uploads.Rules) != 1 {
		t.Errorf("%+v", p.Status.Uploads)
	}
	p.Spec.OnUpload = []runtimev1.UploadRule{b, a}
	must(t, r.Client.Update(t.Context(), p))
	r.look(t, p)
	if !near(since(t, p, a), began) {
		t.Errorf("%+v", p.Status.Uploads)
	}
	// So does the only one.
	p.Spec.OnUpload = nil
	must(t, r.Client.Update(t.Context(), p))
	r.look(t, p)
	p.Spec.OnUpload = []runtimev1.UploadRule{a}
	must(t, r.Client.Update(t.Context(), p))
	r.look(t, p)
	if !near(since(t, p, a), began) || p.Status.Uploads.Upgraded {
		t.Errorf("%+v", p.Status.Uploads)
	}
}

// A rule that stood before the upgrade holds from its newest start record; one without any from now.
func TestRulesOfTheReleaseBefore(t *testing.T) {
	t.Parallel()
	r := newRuled(t)
	a := runtimev1.UploadRule{Box: "userdata", Prefix: "a/", Input: "table"}
	b := runtimev1.UploadRule{Box: "userdata", Prefix: "b/", Input: "table"}
	p := controllertest.OneStage("train", "table", "model")
	p.Namespace, p.Spec.OnUpload = "default", []runtimev1.UploadRule{a, b}
	must(t, r.Client.Create(t.Context(), p))
	p.Status.ObservedGeneration = 1
	must(t, r.Client.Status().Update(t.Context(), p))
	ns := &corev1.Namespace{}
	must(t, r.Live.Get(t.Context(), client.ObjectKey{Name: "default"}, ns))
	controllertest.Claim(t, r.s3, databox.UsualBuckets.Runs("default"), databox.RunsBox, ns)
	began := time.Now()
	for key, ago := range map[string]time.Duration{"aaaaaaaaaa": 3 * time.Hour, "bbbbbbbbbb": 2 * time.Hour} {
		r.s3.PutAt(t, databox.UsualBuckets.Runs("default"), "starts/"+key, `{"pipeline":"train","run":"train-`+key+
			`","created":true,"spec":{"pipeline":"train","origin":"Upload","user":"ann","inputs":{"table":`+
			`{"path":"userdata/a/1.csv","etag":"x"}}}}`, began.Add(-ago), nil)
	}
	r.look(t, p)
	if !near(since(t, p, a), began.Add(-2*time.Hour)) || !near(since(t, p, b), began) {
		t.Errorf("%+v", p.Status.Uploads)
	}
	if u := p.Status.Uploads; !u.Upgraded || !near(u.SeenTime.Time, began) {
		t.Errorf("%+v", u)
	}
}
