package boxes

import (
	"encoding/json"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func box(uid string) *platformv1.DataBox {
	return &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Namespace: "pu-ann", Name: "weights", UID: types.UID(uid)}}
}

func secretOf(t *testing.T, b *platformv1.DataBox, s databox.Session, issued time.Time) *corev1.Secret {
	t.Helper()
	j, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.Namespace, Name: databox.GetLinks.Secret(b.Name, ""),
			Labels: map[string]string{SecretLabel: b.Name},
			Annotations: map[string]string{IssuedAnnotation: issued.Format(time.RFC3339),
				PolicyAnnotation: names.Hash("policy")},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(b,
				platformv1.GroupVersion.WithKind("DataBox"))},
		},
		Data: map[string][]byte{databox.SessionKey: j},
	}
}

func TestJudge(t *testing.T) {
	t.Parallel()
	want := databox.Session{Endpoint: "http://s3", PublicEndpoint: "http://public", Region: "r", Bucket: "b"}
	session := want
	session.AccessKeyID, session.SecretAccessKey, session.SessionToken = "a", "s", "t"
	session.Expiration = now.Add(12 * time.Hour)
	for name, tc := range map[string]struct {
		change func(*corev1.Secret, *databox.Session)
		at     time.Duration
		why    string
	}{
		"fresh":                {nil, time.Minute, ""},
		"just before its time": {nil, 4 * time.Hour, ""},
		"half of its life":     {nil, 6 * time.Hour, "half of its life has passed"},
		"expired":              {nil, 13 * time.Hour, "half of its life has passed"},
		"another endpoint": {func(_ *corev1.Secret, s *databox.Session) { s.Endpoint = "http://other" }, 0,
			"the session was of another S3 server or bucket"},
		"another public endpoint": {func(_ *corev1.Secret, s *databox.Session) { s.PublicEndpoint = "x" }, 0,
			"the session was of another S3 server or bucket"},
		"another bucket": {func(_ *corev1.Secret, s *databox.Session) { s.Bucket = "x" }, 0,
			"the session was of another S3 server or bucket"},
		"no keys": {func(_ *corev1.Secret, s *databox.Session) { s.AccessKeyID = "" }, 0,
			"the Secret held no session"},
		"no data": {func(s *corev1.Secret, _ *databox.Session) { s.Data = nil }, 0,
			"the Secret held no session"},
		"no label": {func(s *corev1.Secret, _ *databox.Session) { s.Labels = nil }, 0,
			"the Secret was changed by somebody"},
		"no owner": {func(s *corev1.Secret, _ *databox.Session) { s.OwnerReferences = nil }, 0,
			"the Secret was changed by somebody"},
		"of an earlier box": {func(s *corev1.Secret, _ *databox.Session) { s.OwnerReferences[0].UID = "x" }, 0,
			"the Secret was changed by somebody"},
		"no date": {func(s *corev1.Secret,
			_ *databox.Session) {
			delete(s.Annotations, IssuedAnnotation)
		}, 0, "the Secret did not say when it was made"},
		"of other rights": {func(s *corev1.Secret,
			_ *databox.Session) {
			s.Annotations[PolicyAnnotation] = "other"
		}, 0, "the session was for other rights"},
		"a date in the future": {func(s *corev1.Secret,
			_ *databox.Session) {
			s.Annotations[IssuedAnnotation] = "2026-05-01T18:00:00Z"
		}, 0, "the Secret did not say when it was made"},
		"a date after the end of it": {func(_ *corev1.Secret,
			s *databox.Session) {
			s.Expiration = now.Add(-time.Second)
		}, 0, "the Secret did not say when it was made"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			b, s := box("uid"), session
			if tc.change != nil {
				tc.change(&corev1.Secret{ObjectMeta: metav1.ObjectMeta{OwnerReferences: make([]metav1.OwnerReference,
					1), Annotations: map[string]string{}}}, &s)
			}
			secret := secretOf(t, b, s, now)
			if tc.change != nil {
				tc.change(secret, &s)
			}
			got, h, why := judge(secret, b, want, "policy", now.Add(tc.at))
			if why != tc.why {
				t.Fatalf("%q, want %q", why, tc.why)
			}
			if why == "" && (got != session || !h.expires.Equal(session.Expiration)) {
				t.Errorf("session %v, held %+v", got, h)
			}
		})
	}
}

// Sessions of different boxes are due at different times, always between 40 and 45 % of their life,
// and always at the same for one.
func TestDueSpreads(t *testing.T) {
	t.Parallel()
	seen := map[time.Time]bool{}
	for i := range 200 {
		b := box(fmt.Sprintf("uid-%d", i))
		d := due(b, "weights.databox.files", now, now.Add(100*time.Hour))
		if d.Before(now.Add(40*time.Hour)) || d.After(now.Add(45*time.Hour)) {
			t.Fatalf("due after %v", d.Sub(now))
		}
		if !d.Equal(due(b, "weights.databox.files", now, now.Add(100*time.Hour))) {
			t.Fatal("due is not always the same")
		}
		seen[d] = true
	}
	if len(seen) < 100 {
		t.Errorf("only %d different times for 200 boxes", len(seen))
	}
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
		all, err := issues(b, "bucket", time.Hour)
		got := map[string]time.Duration{}
		for _, i := range all {
			got[i.secret] = i.life
		}
		if d := cmp.Diff(tc.want, got); d != "" || !errors.Is(err, tc.err) {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
	}
	for range 100 {
		if left := now.Add(linkLife).Sub(due(box("uid"), "x", now, now.Add(linkLife))); left < 65*time.Minute {
			t.Fatalf("%v are left when the session is due", left)
		}
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
