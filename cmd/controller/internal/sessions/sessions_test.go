package sessions

import (
	"encoding/json"
	"fmt"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
)

const ofBox = "of"

var now = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func box(uid string) *platformv1.DataBox {
	return &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Namespace: "pu-ann", Name: "weights", UID: types.UID(uid)}}
}

func wantOf(b *platformv1.DataBox, told databox.Session) Secret {
	return Secret{
		Name: "weights.databox.files", Owner: Owner{b, platformv1.GroupVersion.WithKind("DataBox")},
		Labels: map[string]string{ofBox: "weights"},
		Files:  map[string]Session{databox.SessionKey: {Policy: "policy", Told: told}},
	}
}

func secretOf(t *testing.T, b *platformv1.DataBox, s databox.Session, issued time.Time) *corev1.Secret {
	t.Helper()
	j, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Namespace: b.Namespace, Name: "weights.databox.files",
			Labels: wantOf(b, s).labels(),
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
		"no date": {func(s *corev1.Secret, _ *databox.Session) {
			delete(s.Annotations, IssuedAnnotation)
		}, 0, "the Secret did not say when it was made"},
		"of other rights": {func(s *corev1.Secret, _ *databox.Session) {
			s.Annotations[PolicyAnnotation] = "other"
		}, 0, "the session was for other rights"},
		"a date in the future": {func(s *corev1.Secret, _ *databox.Session) {
			s.Annotations[IssuedAnnotation] = "2026-05-01T18:00:00Z"
		}, 0, "the Secret did not say when it was made"},
		"a date after the end of it": {func(_ *corev1.Secret, s *databox.Session) {
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
			h, why := judge(secret, wantOf(b, want), now.Add(tc.at))
			if why != tc.why {
				t.Fatalf("%q, want %q", why, tc.why)
			}
			if why == "" && !h.Expires.Equal(session.Expiration) {
				t.Errorf("held %+v", h)
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
		d := due(wantOf(b, databox.Session{}), now, now.Add(100*time.Hour))
		if d.Before(now.Add(40*time.Hour)) || d.After(now.Add(45*time.Hour)) {
			t.Fatalf("due after %v", d.Sub(now))
		}
		if !d.Equal(due(wantOf(b, databox.Session{}), now, now.Add(100*time.Hour))) {
			t.Fatal("due is not always the same")
		}
		seen[d] = true
	}
	if len(seen) < 100 {
		t.Errorf("only %d different times for 200 boxes", len(seen))
	}
}

// A Secret is ours by its label or by its owner; somebody who takes one of them away does not make it
// another's.
func TestOurs(t *testing.T) {
	t.Parallel()
	b := box("uid")
	for name, tc := range map[string]struct {
		change func(*corev1.Secret)
		want   bool
	}{
		"as made":           {func(*corev1.Secret) {}, true},
		"without its owner": {func(s *corev1.Secret) { s.OwnerReferences = nil }, true},
		"without labels":    {func(s *corev1.Secret) { s.Labels = nil }, true},
		"somebody else's":   {func(s *corev1.Secret) { s.Labels, s.OwnerReferences = nil, nil }, false},
		"of another manager": {func(s *corev1.Secret) {
			s.Labels, s.OwnerReferences = map[string]string{label.ManagedBy: "Helm"}, nil
		}, false},
	} {
		s := secretOf(t, b, databox.Session{}, now)
		if tc.change(s); ours(s, wantOf(b, databox.Session{})) != tc.want {
			t.Error(name)
		}
	}
}

// Of a session that signs links for an hour and lives two there is more than an hour left when it is
// due.
func TestLinksHaveTheirHour(t *testing.T) {
	t.Parallel()
	const life = 2 * time.Hour
	for i := range 100 {
		w := wantOf(box(fmt.Sprint(i)), databox.Session{})
		if left := now.Add(life).Sub(due(w, now, now.Add(life))); left < 65*time.Minute {
			t.Fatalf("%v are left when the session is due", left)
		}
	}
}
