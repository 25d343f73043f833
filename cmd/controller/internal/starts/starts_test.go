//go:build integration

package starts

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/controllertest"
	"github.com/unip-knative/unip/cmd/controller/internal/runbucket"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/start"
)

var must = controllertest.Must

func keysOf(t *testing.T, server *miniotest.Server, bucket string) []string {
	t.Helper()
	var all []string
	for o := range server.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		must(t, o.Err)
		all = append(all, o.Key)
	}
	return all
}

// newStarts is a Maker on servers of its own, with one pipeline that uploads to userdata/in/ start.
func newStarts(t testing.TB) (*Maker, *miniotest.Server) {
	t.Helper()
	_, c, server, src := controllertest.Servers(t)
	controllertest.Box(t, c, server, "userdata")
	ns := &corev1.Namespace{}
	must(t, c.Get(t.Context(), client.ObjectKey{Name: "default"}, ns))
	store, err := src.Open(http.DefaultTransport)
	must(t, err)
	must(t, runbucket.Claim(t.Context(), store, "default", string(ns.UID)))
	p := controllertest.OneStage("train", "table", "model")
	p.Namespace = "default"
	p.Spec.Stages[0].Labels = map[string]string{"team": "flora", "app.kubernetes.io/managed-by": "somebody"}
	p.Spec.OnUpload = []runtimev1.UploadRule{{Box: "userdata", Prefix: "in/", Suffix: ".csv", Input: "table",
		Outputs: []runtimev1.UploadOutput{{Variable: "model", Box: "weights", Path: "m/", Developer: true}}}}
	must(t, c.Create(t.Context(), p))
	hold(t, c, p, time.Now().Add(-24*time.Hour))
	return &Maker{Client: c, Live: c, Settings: src, Transport: http.DefaultTransport}, server
}

// hold has the rules of a pipeline hold since then.
func hold(t testing.TB, c client.Client, p *runtimev1.Pipeline, since time.Time) {
	t.Helper()
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(p), p))
	p.Status.Uploads = &runtimev1.UploadsStatus{SeenTime: metav1.NewTime(since)}
	for _, r := range rulesOf(p) {
		p.Status.Uploads.Rules = append(p.Status.Uploads.Rules,
			runtimev1.UploadRuleStatus{Rule: r.RuleID, SinceTime: metav1.NewTime(since)})
	}
	must(t, c.Status().Update(t.Context(), p))
}

func runsOf(t testing.TB, s *Maker) []runtimev1.PipelineRun {
	t.Helper()
	var l runtimev1.PipelineRunList
	must(t, s.Live.List(t.Context(), &l, client.InNamespace("default")))
	return l.Items
}

func TestOneUploadStartsOneRun(t *testing.T) {
	t.Parallel()
	s, server := newStarts(t)
	bucket := databox.UsualBuckets.Box("default", "userdata")
	server.Put(t, bucket, "users/ann/file_groups/in/a.csv", "1")
	server.Put(t, bucket, "users/ann/file_groups/in/a.txt", "1")
	server.Put(t, bucket, "users/ann/file_groups/out/a.csv", "1")

	// What the rule is not about, what is not there, and what nobody can have put there.
	for _, c := range []struct {
		pipeline   string
		rule       int
		user, file string
	}{
		{"train", 0, "ann", "in/a.txt"}, {"train", 0, "ann", "out/a.csv"}, {"train", 0, "boris", "in/a.csv"},
		{"train", 0, "", "in/a.csv"}, {"train", 1, "ann", "in/a.csv"},
		{"train", -1, "ann", "in/a.csv"}, {"gone", 0, "ann", "in/a.csv"}, {"train", 0, "ann", "in/../in/a.csv"},
		{"train", 0, "../users/ann", "in/a.csv"}, {"train", 0, "ann", "in/\x00.csv"},
	} {
		if err := s.Upload(t.Context(), "default", c.pipeline, c.rule, c.user, c.file); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
	if n := len(runsOf(t, s)); n != 0 {
		t.Fatalf("%d runs of nothing", n)
	}

	results := make(chan error)
	for range 5 { // told five times at once
		go func() { results <- s.Upload(t.Context(), "default", "train", 0, "ann", "in/a.csv") }()
	}
	for range 5 {
		must(t, <-results)
	}
	runs := runsOf(t, s)
	if len(runs) != 1 || runs[0].Spec.User != "ann" || runs[0].Spec.Origin != runtimev1.OriginUpload ||
		runs[0].Spec.Inputs["table"].ETag == "" || runs[0].Spec.Outputs["model"] != "weights:/m/" {
		t.Fatalf("%+v", runs)
	}
	if want := map[string]string{"team": "flora", runtimev1.PipelineLabel: "train"}; !maps.Equal(runs[0].Labels, want) {
		t.Errorf("labels %v, want %v", runs[0].Labels, want)
	}
	must(t, s.Client.Delete(t.Context(), &runs[0]))
	must(t, s.Upload(t.Context(), "default", "train", 0, "ann", "in/a.csv"))
	if n := len(runsOf(t, s)); n != 0 {
		t.Errorf("%d runs after the first was deleted", n)
	}
	for o := range server.ListObjects(t.Context(), databox.UsualBuckets.Runs("default"),
		minio.ListObjectsOptions{Prefix: "pending/"}) {
		t.Errorf("%s is left: %v", o.Key, o.Err)
	}
}

// An upload is looked for in buckets of the module only, and start records are kept in no other.
func TestUploadsOpenNoBucketOfOthers(t *testing.T) {
	t.Parallel()
	s, server := newStarts(t)
	userdata, runBucket := databox.UsualBuckets.Box("default", "userdata"), databox.UsualBuckets.Runs("default")
	server.Put(t, userdata, "users/ann/file_groups/in/a.csv", "1")
	controllertest.GiveAway(t, server, runBucket, databox.RunsBox)
	if err := s.Upload(t.Context(), "default", "train", 0, "ann", "in/a.csv"); err == nil {
		t.Error("a start record was written into somebody else's bucket")
	}
	if err := s.Complete(t.Context(), "default"); err == nil {
		t.Error("start records of somebody else were read")
	}
	controllertest.GiveAway(t, server, userdata, "userdata")
	must(t, s.Upload(t.Context(), "default", "train", 0, "ann", "in/a.csv")) // told once is enough
	if n := len(runsOf(t, s)); n != 0 {
		t.Errorf("%d runs", n)
	}
	if keys := keysOf(t, server, runBucket); len(keys) != 0 {
		t.Errorf("in the run bucket of somebody else: %v", keys)
	}
}

// A controller of an earlier release that died between its record and the run has left a start that
// is completed.
func TestABrokenStartIsCompleted(t *testing.T) {
	t.Parallel()
	s, server := newStarts(t)
	x := start.Record{Pipeline: "train", Run: "train-x", Spec: runtimev1.PipelineRunSpec{Pipeline: "train", User: "ann",
		Origin: runtimev1.OriginUpload, Inputs: map[string]runtimev1.InputPath{"table": {Path: "userdata/in/a.csv"}}}}
	b, err := json.Marshal(x)
	must(t, err)
	runBucket := databox.UsualBuckets.Runs("default")
	for _, key := range []string{"pending/k", "starts/k"} {
		server.Put(t, runBucket, key, string(b))
	}
	for range 2 { // the second finds it done
		must(t, s.Complete(t.Context(), "default"))
		if runs := runsOf(t, s); len(runs) != 1 || runs[0].Name != "train-x" {
			t.Fatalf("%+v", runs)
		}
	}
	got, err := s.recordOf(t, "k")
	if err != nil || !got.Created {
		t.Errorf("%+v %v", got, err)
	}
	if keys := keysOf(t, server, runBucket); !slices.Equal(keys, []string{"starts/k"}) {
		t.Errorf("the run bucket holds %v", keys)
	}
}

func (s *Maker) recordOf(t *testing.T, key string) (*draft, error) {
	t.Helper()
	store, err := s.Settings.Open(s.Transport)
	must(t, err)
	at, err := s.module(t.Context(), store, "default")
	must(t, err)
	return at.record(t.Context(), key)
}

// A run without its record, which a controller that died has left, is not made twice.
func TestARunWithoutItsRecord(t *testing.T) {
	t.Parallel()
	s, server := newStarts(t)
	server.Put(t, databox.UsualBuckets.Box("default", "userdata"), "users/ann/file_groups/in/a.csv", "1")
	must(t, s.Upload(t.Context(), "default", "train", 0, "ann", "in/a.csv"))
	runBucket := databox.UsualBuckets.Runs("default")
	keys := keysOf(t, server, runBucket)
	must(t, server.RemoveObject(t.Context(), runBucket, keys[0], minio.RemoveObjectOptions{}))
	must(t, s.Told(t.Context(), File{Namespace: "default", Box: "userdata", User: "ann", Path: "in/a.csv"}))
	if n, now := len(runsOf(t, s)), keysOf(t, server, runBucket); n != 1 || !slices.Equal(now, keys) {
		t.Errorf("%d runs, records %v", n, now)
	}
}

// An upload about which no rule is costs nothing more than the look into the cache, whatever S3
// does.
func TestUploadsOfStrangersCostNothing(t *testing.T) {
	t.Parallel()
	s, _ := newStarts(t)
	s.Live = failing{}
	for _, c := range []struct {
		pipeline string
		rule     int
		file     string
	}{{"none", 0, "in/a.csv"}, {"train", 7, "in/a.csv"}, {"train", -1, "in/a.csv"}, {"train", 0, "out/a.csv"},
		{"train", 0, "in/../a.csv"}} {
		if err := s.Upload(t.Context(), "default", c.pipeline, c.rule, "ann", c.file); err != nil {
			t.Errorf("%+v: %v", c, err)
		}
	}
}

// failing is a reader of an API server that must not be asked.
type failing struct{ client.Reader }

// The stages of a run that an upload starts may know whose file it was where the pipeline says so.
// Whose it is stands in the key of the object.
func TestTheOwnerOfAnUploadIsKnownWhereThePipelineSaysSo(t *testing.T) {
	t.Parallel()
	s, server := newStarts(t)
	bucket := databox.UsualBuckets.Box("default", "userdata")
	told := func(user string) map[string]bool {
		t.Helper()
		server.Put(t, bucket, "users/"+user+"/file_groups/in/a.csv", "1")
		must(t, s.Upload(t.Context(), "default", "train", 0, user, "in/a.csv"))
		known := map[string]bool{}
		for _, r := range runsOf(t, s) {
			known[r.Spec.User] = r.Spec.IdentityPassThrough
		}
		return known
	}
	if known := told("ann"); !maps.Equal(known, map[string]bool{"ann": false}) {
		t.Errorf("%v", known)
	}
	p := &runtimev1.Pipeline{}
	must(t, s.Client.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "train"}, p))
	p.Spec.IdentityPassThrough = true
	must(t, s.Client.Update(t.Context(), p))
	if known := told("boris"); !maps.Equal(known, map[string]bool{"ann": false, "boris": true}) {
		t.Errorf("%v", known)
	}
	// A run says once and for all who may know.
	for _, r := range runsOf(t, s) {
		r.Spec.IdentityPassThrough = !r.Spec.IdentityPassThrough
		if err := s.Client.Update(t.Context(), &r); err == nil {
			t.Errorf("the run of %s was changed", r.Spec.User)
		}
	}
}
