//go:build integration

package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
)

// newServers is a real API server and a real S3 server, with the settings that name it.
func newServers(t *testing.T) (*rest.Config, client.Client, *miniotest.Server, *settings.Source) {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS must name a folder with etcd and kube-apiserver: make test-integration")
	}
	crds := []string{"../../../../config/200-databox.yaml", "../../../../config/201-runtime.yaml"}
	env := &envtest.Environment{CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true}
	cfg, err := env.Start()
	must(t, err)
	t.Cleanup(func() { _ = env.Stop() })
	scheme := runtime.NewScheme()
	must(t, errors.Join(clientgoscheme.AddToScheme(scheme), platformv1.AddToScheme(scheme),
		runtimev1.AddToScheme(scheme)))
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	must(t, err)
	server := miniotest.Start(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"unip.yaml": fmt.Sprintf("s3: {endpoint: %q}", server.Endpoint),
		"accessKeyId": miniotest.AccessKey, "secretAccessKey": miniotest.SecretKey} {
		must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	src, err := settings.Open(filepath.Join(dir, "unip.yaml"), dir)
	must(t, err)
	return cfg, c, server, src
}

// makeBox makes a box of the namespace default with its bucket, as the controller does.
func makeBox(t *testing.T, c client.Client, server *miniotest.Server, name string) string {
	t.Helper()
	ns := &corev1.Namespace{}
	must(t, c.Get(t.Context(), client.ObjectKey{Name: "default"}, ns))
	bucket := databox.BucketName("default", name)
	must(t, s3client.ClaimBucket(t.Context(), server.Client, bucket, "us-east-1",
		databox.Owner{Namespace: "default", NamespaceUID: string(ns.UID), Box: name}))
	box := &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: platformv1.DataBoxSpec{S3DefaultStorage: &platformv1.S3DefaultStorage{}}}
	must(t, c.Create(t.Context(), box))
	ready := metav1.Condition{Type: platformv1.ConditionReady, Status: metav1.ConditionTrue,
		Reason: platformv1.ReasonReady, LastTransitionTime: metav1.Now()}
	box.Status.Conditions = []metav1.Condition{ready}
	must(t, c.Status().Update(t.Context(), box))
	return bucket
}

// giveAway tags a bucket as that of a namespace of the same name with another UID: a former one, or
// one of another cluster.
func giveAway(t *testing.T, server *miniotest.Server, bucket, box string) {
	t.Helper()
	theirs, err := tags.NewTags(map[string]string{
		databox.TagNamespace: "default", databox.TagNamespaceUID: "5c5f0a3e-0000-0000-0000-000000000000",
		databox.TagBox: box,
	}, false)
	must(t, err)
	must(t, server.SetBucketTagging(t.Context(), bucket, theirs))
}

func keysOf(t *testing.T, server *miniotest.Server, bucket string) []string {
	t.Helper()
	var all []string
	for o := range server.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		must(t, o.Err)
		all = append(all, o.Key)
	}
	return all
}

// newStarts is such servers with one pipeline that uploads to userdata/in/ start.
func newStarts(t *testing.T) (*Starts, *miniotest.Server) {
	t.Helper()
	_, c, server, src := newServers(t)
	makeBox(t, c, server, "userdata")
	ns := &corev1.Namespace{}
	must(t, c.Get(t.Context(), client.ObjectKey{Name: "default"}, ns))
	store, err := openS3(src, http.DefaultTransport)
	must(t, err)
	must(t, store.claimRunBucket(t.Context(), "default", string(ns.UID)))
	p := oneStage("train", "table", "model")
	p.Namespace = "default"
	p.Spec.OnUpload = []runtimev1.UploadRule{{Box: "userdata", Prefix: "in/", Suffix: ".csv", Input: "table",
		Outputs: []runtimev1.UploadOutput{{Variable: "model", Box: "weights", Path: "m/", Developer: true}}}}
	must(t, c.Create(t.Context(), p))
	return &Starts{Client: c, Live: c, Settings: src, Transport: http.DefaultTransport}, server
}

// oneStage is a pipeline of the stage fit, which reads a variable, if one is named, and writes
// another.
func oneStage(name, input, output string) *runtimev1.Pipeline {
	fit := runtimev1.Stage{Name: "fit", Image: "image/fit", Outputs: []string{output}, TimeoutSeconds: 60}
	p := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.DefaultBox, p.Spec.Variables = "userdata", []runtimev1.Variable{{Name: output}}
	if input != "" {
		fit.Inputs = []string{input}
		p.Spec.Variables = append(p.Spec.Variables, runtimev1.Variable{Name: input})
	}
	p.Spec.Stages = []runtimev1.Stage{fit}
	return p
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func runsOf(t *testing.T, s *Starts) []runtimev1.PipelineRun {
	t.Helper()
	var l runtimev1.PipelineRunList
	must(t, s.Live.List(t.Context(), &l, client.InNamespace("default")))
	return l.Items
}

func TestOneUploadStartsOneRun(t *testing.T) {
	t.Parallel()
	s, server := newStarts(t)
	bucket := databox.BucketName("default", "userdata")
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
	must(t, s.Client.Delete(t.Context(), &runs[0]))
	must(t, s.Upload(t.Context(), "default", "train", 0, "ann", "in/a.csv"))
	if n := len(runsOf(t, s)); n != 0 {
		t.Errorf("%d runs after the first was deleted", n)
	}
	for o := range server.ListObjects(t.Context(), databox.RunBucketName("default"),
		minio.ListObjectsOptions{Prefix: "pending/"}) {
		t.Errorf("%s is left: %v", o.Key, o.Err)
	}
}

// An upload is looked for in buckets of the module only, and start records are kept in no other.
func TestUploadsOpenNoBucketOfOthers(t *testing.T) {
	t.Parallel()
	s, server := newStarts(t)
	userdata, runBucket := databox.BucketName("default", "userdata"), databox.RunBucketName("default")
	server.Put(t, userdata, "users/ann/file_groups/in/a.csv", "1")
	giveAway(t, server, runBucket, databox.RunsBox)
	if err := s.Upload(t.Context(), "default", "train", 0, "ann", "in/a.csv"); err == nil {
		t.Error("a start record was written into somebody else's bucket")
	}
	if err := s.Complete(t.Context(), "default"); err == nil {
		t.Error("start records of somebody else were read")
	}
	giveAway(t, server, userdata, "userdata")
	must(t, s.Upload(t.Context(), "default", "train", 0, "ann", "in/a.csv")) // told once is enough
	if n := len(runsOf(t, s)); n != 0 {
		t.Errorf("%d runs", n)
	}
	if keys := keysOf(t, server, runBucket); len(keys) != 0 {
		t.Errorf("in the run bucket of somebody else: %v", keys)
	}
}

// A controller that dies between the record and the run leaves a start that is completed by whoever
// hears of the upload again.
func TestABrokenStartIsCompleted(t *testing.T) {
	t.Parallel()
	s, server := newStarts(t)
	x := start{Pipeline: "train", Run: "train-x", Spec: runtimev1.PipelineRunSpec{Pipeline: "train", User: "ann",
		Origin: runtimev1.OriginUpload, Inputs: map[string]runtimev1.InputPath{"table": {Path: "userdata/in/a.csv"}}}}
	b, err := json.Marshal(x)
	must(t, err)
	for _, key := range []string{"pending/k", "starts/k"} {
		server.Put(t, databox.RunBucketName("default"), key, string(b))
	}
	store, err := openS3(s.Settings, s.Transport)
	must(t, err)
	for range 2 { // the second finds it done
		must(t, s.once(t.Context(), store, "default", "k", x))
		if runs := runsOf(t, s); len(runs) != 1 || runs[0].Name != "train-x" {
			t.Fatalf("%+v", runs)
		}
	}
	if got, err := read(t.Context(), store, databox.RunBucketName("default"), "starts/k"); err != nil || !got.Created {
		t.Errorf("%+v %v", got, err)
	}
	if got, err := read(t.Context(), store, databox.RunBucketName("default"), "pending/k"); err != nil || got != nil {
		t.Errorf("pending is left: %+v %v", got, err)
	}
}

// A run that ended long ago goes; one that ended lately stays, and is looked at again when its time
// has come.
func TestRunsAreKeptForAWhile(t *testing.T) {
	t.Parallel()
	s, _ := newStarts(t)
	c := s.Client
	r := &Reconciler{Client: c, Live: c, Settings: s.Settings, Transport: http.DefaultTransport, memory: newMemory()}
	for name, age := range map[string]time.Duration{"old": 30*24*time.Hour + time.Minute,
		"young": 29 * 24 * time.Hour} {
		run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
			Spec: runtimev1.PipelineRunSpec{Pipeline: "train"}}
		must(t, c.Create(t.Context(), run))
		run.Status = runtimev1.PipelineRunStatus{State: runtimev1.Succeeded, Recorded: true,
			CompletionTime: &metav1.Time{Time: time.Now().Add(-age)}}
		must(t, c.Status().Update(t.Context(), run))
		got, err := r.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(run)})
		must(t, err)
		if again := got.RequeueAfter.Round(time.Minute); (name == "young") != (again == 24*time.Hour) {
			t.Errorf("%s is looked at again after %s", name, again)
		}
	}
	if runs := runsOf(t, s); len(runs) != 1 || runs[0].Name != "young" {
		t.Errorf("left: %+v", runs)
	}
}
