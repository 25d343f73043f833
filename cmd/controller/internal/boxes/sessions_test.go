package boxes

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

func box(uid string) *platformv1.DataBox {
	return &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Namespace: "pu-ann", Name: "weights", UID: types.UID(uid)}}
}

// A box has the sessions that its spec names, those of links with a full hour left whenever a link
// is signed; what it must not have is refused, and takes nothing from the others.
func TestIssues(t *testing.T) {
	t.Parallel()
	dataset := platformv1.DataBoxSpec{DatasetReference: &platformv1.DatasetReference{}}
	for name, tc := range map[string]struct {
		spec platformv1.DataBoxSpec
		want map[string]time.Duration
		err  error
	}{
		"nobody": {platformv1.DataBoxSpec{}, map[string]time.Duration{}, nil},
		"all": {platformv1.DataBoxSpec{Sessions: []platformv1.Session{
			{Use: "files"}, {Use: "put-links"}, {Use: "get-links"}, {Use: "calls"}, {Use: "calls-read"},
			{Use: "model", Object: "m"}, {Use: "model", Object: "m/"},
		}}, map[string]time.Duration{
			"weights.databox.files": time.Hour, "weights.databox.calls": time.Hour,
			"weights.databox.calls-read": time.Hour,
			"weights.databox.put-links":  2 * time.Hour, "weights.databox.get-links": 2 * time.Hour,
			"weights.databox.model-" + names.Hash("m"):  time.Hour,
			"weights.databox.model-" + names.Hash("m/"): time.Hour,
		}, nil},
		"users' files as a model": {platformv1.DataBoxSpec{Sessions: []platformv1.Session{{Use: "model",
			Object: "users/"}, {Use: "calls"}}},
			map[string]time.Duration{"weights.databox.calls": time.Hour}, databox.ErrGrant},
		"a pattern as a model": {platformv1.DataBoxSpec{Sessions: []platformv1.Session{{Use: "model", Object: "m*"}}},
			map[string]time.Duration{}, databox.ErrPattern},
		"a run's": {platformv1.DataBoxSpec{Sessions: []platformv1.Session{{Use: "read"}}},
			map[string]time.Duration{}, databox.ErrGrant},
		"a dataset": {platformv1.DataBoxSpec{DatasetReference: dataset.DatasetReference, Sessions: []platformv1.Session{
			{Use: "calls"}, {Use: "put-links"}, {Use: "files"},
		}}, map[string]time.Duration{"weights.databox.files": time.Hour}, databox.ErrGrant},
	} {
		b := box("uid")
		b.Spec = tc.spec
		all, err := issues(databox.UsualBuckets, b, Bucket{Name: "bucket"}, time.Hour)
		got := map[string]time.Duration{}
		for _, i := range all {
			got[i.secret] = i.life
		}
		if d := cmp.Diff(tc.want, got); d != "" || !errors.Is(err, tc.err) {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
	}
}

// The manifest's labels are on the Secrets; ours win, and those that steer a cluster are refused,
// for a DataBox may have been made by hand.
func TestLabelsOfSessions(t *testing.T) {
	t.Parallel()
	b := box("uid")
	b.Spec.Sessions = []platformv1.Session{{Use: "files"}}
	b.Spec.Labels = map[string]string{"team": "flora", "app.kubernetes.io/name": "other",
		"serving.knative.dev/service": "gateway"}
	all, err := issues(databox.UsualBuckets, b, Bucket{Name: "bucket"}, time.Hour)
	if err == nil || !strings.Contains(err.Error(), "serving.knative.dev/service") || len(all) != 1 {
		t.Fatalf("%v %v", all, err)
	}
	want := map[string]string{"team": "flora", "app.kubernetes.io/name": "weights", SecretLabel: "weights"}
	if d := cmp.Diff(want, all[0].labelsOf(b)); d != "" {
		t.Error(d)
	}
}

func TestSharedWith(t *testing.T) {
	t.Parallel()
	for globs, want := range map[string]bool{
		"": false, "pu-ann": true, "pu-*": true, "*": true, "pu-boris,pu-ann": true, "pu-boris  pu-a?n\n": true,
		"pu": false, "pu-ann-pa": false, "[": false, "[,pu-ann": true, "PU-ANN": false,
	} {
		if got := SharedWith(globs, "pu-ann"); got != want {
			t.Errorf("%q: %v, want %v", globs, got, want)
		}
	}
}
