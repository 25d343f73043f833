//go:build e2e

package attack

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
)

const editor = "mallory"

// asEditor is a client with Kubernetes' own role edit in both namespaces, and nothing else.
var asEditor = sync.OnceValues(func() (client.Client, error) {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	for _, ns := range []string{namespace, neighbour} {
		if _, err := cluster.Kubectl(ctx, "-n", ns, "create", "rolebinding", editor, "--clusterrole=edit",
			"--user="+editor); err != nil && !strings.Contains(err.Error(), "already exists") {
			return nil, err
		}
	}
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return nil, err
	}
	cfg.Impersonate.UserName, cfg.Impersonate.Groups = editor, []string{"system:authenticated"}
	cfg.QPS, cfg.Burst = 50, 100
	c, err := client.New(cfg, client.Options{Scheme: cluster.Scheme()})
	if err != nil {
		return nil, err
	}
	// The API server learns of a binding a moment later.
	return c, live.Await(ctx, 20*time.Second, "the editor's rights", func(ctx context.Context) error {
		return errors.Join(c.List(ctx, &runtimev1.PipelineList{}, client.InNamespace(namespace)),
			c.List(ctx, &runtimev1.PipelineList{}, client.InNamespace(neighbour)))
	})
})

func edits(t *testing.T) client.Client {
	t.Helper()
	c, err := asEditor()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// outcomeOf creates a pipeline (nil for none) and a run of it as the editor does: the API server
// refuses one of them, or the run fails before anything of it has run. What is only harmless may
// start, but does not succeed: its stage succeeds if it finds a session.
func outcomeOf(t *testing.T, w *world, name string, pipeline *runtimev1.Pipeline, run *runtimev1.PipelineRun,
	harmless bool) {
	t.Helper()
	c := edits(t)
	if pipeline != nil {
		switch err := c.Create(t.Context(), pipeline); {
		case apierrors.IsInvalid(err) || apierrors.IsForbidden(err):
			return
		case err != nil:
			t.Errorf("%s: %v", name, err)
			return
		}
	}
	if pipeline != nil {
		run.Spec.Pipeline = pipeline.Name
	}
	switch err := c.Create(t.Context(), run); {
	case apierrors.IsInvalid(err) || apierrors.IsForbidden(err):
		return
	case err != nil:
		t.Errorf("%s: %v", name, err)
		return
	}
	err := live.Await(t.Context(), 40*time.Second, "its end", func(ctx context.Context) error {
		if err := w.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil || !run.Status.State.Done() {
			return errors.Join(err, fmt.Errorf("the run is %q: %s", run.Status.State, run.Status.Message))
		}
		return nil
	})
	if harmless {
		if run.Status.State == runtimev1.Succeeded {
			t.Errorf("%s: the run succeeded", name)
		}
		return
	}
	var jobs batchv1.JobList
	if err := w.List(t.Context(), &jobs, client.InNamespace(run.Namespace),
		client.MatchingLabels{runtimev1.RunLabel: run.Name}); err != nil {
		t.Fatal(err)
	}
	if err != nil || run.Status.State != runtimev1.Failed || run.Status.Message == "" || len(jobs.Items) > 0 {
		t.Errorf("%s: %v; the run is %s with %d Jobs: %s", name, err, run.Status.State, len(jobs.Items),
			run.Status.Message)
	}
}

// findSession is Python that ends well when it finds a session.
const findSession = `
import os, sys
for top in ("/unip", "/var/run", "/proc/..data", "/etc/unip"):
    for folder, _, names in os.walk(top, followlinks=True):
        for name in names:
            try:
                if "accessKeyId" in open(os.path.join(folder, name), errors="replace").read(1 << 16):
                    sys.exit(0)
            except OSError:
                pass
sys.exit(3)
`

func pipelineOf(change func(*runtimev1.PipelineSpec)) *runtimev1.Pipeline {
	p := &runtimev1.Pipeline{
		ObjectMeta: metav1.ObjectMeta{GenerateName: "attack-", Namespace: namespace},
		Spec: runtimev1.PipelineSpec{
			Variables: []runtimev1.Variable{{Name: "in", MountFrom: &runtimev1.BoxPath{Box: "userdata",
				Path: "models/secret"}}, {Name: "res"}}, DefaultBox: "userdata",
			Stages: []runtimev1.Stage{{Name: "run", Image: image, Command: []string{"python3", "-c", findSession},
				Inputs: []string{"in"}, Outputs: []string{"res"}, TimeoutSeconds: 60}},
		},
	}
	change(&p.Spec)
	return p
}

// Pipelines past the translator: what they must not have is refused by the API server, or by the
// controller before a pod is made.
func TestEditorPipelines(t *testing.T) {
	t.Parallel()
	w := enter(t)
	secret := func(name string) func(*runtimev1.PipelineSpec) {
		return func(p *runtimev1.PipelineSpec) {
			p.Stages[0].EnvFrom = []corev1.EnvFromSource{
				{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}}
		}
	}
	mountTo := func(path string) func(*runtimev1.PipelineSpec) {
		return func(p *runtimev1.PipelineSpec) { p.Variables[0].MountTo = path }
	}
	mountFrom := func(box, path string) func(*runtimev1.PipelineSpec) {
		return func(p *runtimev1.PipelineSpec) { p.Variables[0].MountFrom = &runtimev1.BoxPath{Box: box, Path: path} }
	}
	env := func(name, value string) func(*runtimev1.PipelineSpec) {
		return func(p *runtimev1.PipelineSpec) { p.Stages[0].Env = []runtimev1.EnvVar{{Name: name, Value: value}} }
	}
	cases := []struct {
		name     string
		change   func(*runtimev1.PipelineSpec)
		harmless bool
	}{
		{"the module's key in the environment", secret("unip-module-key"), false},
		{"a box's session", secret("userdata.databox.write"), false},
		{"a box's session for links", secret("userdata.databox.put-links"), false},
		{"a run's session", secret("x.run.session"), false},
		{"/ as a mount", mountTo("/"), false}, {"/proc", mountTo("/proc"), false},
		{"/unip/session", mountTo("/unip/session"), false},
		{"/unip/session below", mountTo("/unip/session/..data"), false},
		{"/var/run/secrets", mountTo("/var/run/secrets/kubernetes.io"), false},
		{"a mount with dots", mountTo("/a/../etc"), false}, {"a relative mount", mountTo("etc"), false},
		{"a mount with a colon", mountTo("/a:b"), false},
		{"users/", mountFrom("userdata", "users/"), false},
		{"bob's file", mountFrom("userdata", "users/bob/file_groups/in/secret.csv"), false},
		{"users/ by dots", mountFrom("userdata", "models/../users/bob/"), false},
		{"a whole box", mountFrom("userdata", ""), false},
		{"no such box", mountFrom("nothing", "x"), false}, {"a box with dots", mountFrom("../userdata", "x"), false},
		{"a run bucket", mountFrom("unip-runs-"+namespace, "x"), false},
		{"a variable of the platform's", env("UNIP_PIPELINE_IN", "/etc/passwd"), true},
		{"an environment with =", env("A=B", "x"), false},
		{"an environment with a line break", env("A\nB", "x"), false},
		{"two writers", func(p *runtimev1.PipelineSpec) {
			p.Stages = append(p.Stages, runtimev1.Stage{Name: "again", Image: image, Outputs: []string{"res"},
				TimeoutSeconds: 60})
		}, false},
		{"a circle", func(p *runtimev1.PipelineSpec) { p.Stages[0].Inputs = append(p.Stages[0].Inputs, "res") }, false},
		{"an unknown variable", func(p *runtimev1.PipelineSpec) { p.Stages[0].Inputs = []string{"other"} }, false},
		{"no stages", func(p *runtimev1.PipelineSpec) { p.Stages = nil }, false},
		{"a stage with dots", func(p *runtimev1.PipelineSpec) { p.Stages[0].Name = "../x" }, false},
		{"a variable with dots", func(p *runtimev1.PipelineSpec) {
			p.Variables[0].Name, p.Stages[0].Inputs = "../x",
				[]string{"../x"}
		}, false},
		{"itself next", func(p *runtimev1.PipelineSpec) { p.ContinueWith = "../x" }, false},
		{"a negative timeout", func(p *runtimev1.PipelineSpec) { p.Stages[0].TimeoutSeconds = -1 }, false},
		{"negative memory", func(p *runtimev1.PipelineSpec) {
			p.Stages[0].Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("-1")}
		}, false},
		{"a thousand retries", func(p *runtimev1.PipelineSpec) { p.Stages[0].Retries = 1000 }, false},
		{"an image with a blank", func(p *runtimev1.PipelineSpec) { p.Stages[0].Image = "x y" }, true},
	}
	tried(t, len(cases))
	var wg sync.WaitGroup
	for _, c := range cases {
		wg.Go(func() {
			p := pipelineOf(c.change)
			outcomeOf(t, w, c.name, p, &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{GenerateName: "attack-",
				Namespace: namespace}}, c.harmless)
		})
	}
	wg.Wait()
}

// Runs past the gateway: nobody runs as somebody else, or on somebody else's files.
func TestEditorRuns(t *testing.T) {
	t.Parallel()
	w := enter(t)
	type in = map[string]runtimev1.InputPath
	code := func(path string) in { return in{"code": {Path: path}} }
	cases := []struct {
		name string
		spec runtimev1.PipelineRunSpec
	}{
		{"as bob", runtimev1.PipelineRunSpec{Pipeline: "stage", User: "bob", Inputs: code(bobsFile)}},
		{"as bob in capitals", runtimev1.PipelineRunSpec{Pipeline: "stage", User: "BOB", Inputs: code(bobsFile)}},
		{"as anonymous", runtimev1.PipelineRunSpec{Pipeline: "stage", User: "anonymous", Inputs: code(bobsFile)}},
		{"as the gateway", runtimev1.PipelineRunSpec{Pipeline: "stage",
			User: "system:serviceaccount:" + namespace + ":gateway", Inputs: code(bobsFile)}},
		{"from the API", runtimev1.PipelineRunSpec{Pipeline: "stage", Origin: "API",
			Inputs: code("userdata:/models/secret")}},
		{"from an upload", runtimev1.PipelineRunSpec{Pipeline: "stage", Origin: "Upload",
			Inputs: code("userdata:/models/secret")}},
		{"from a schedule", runtimev1.PipelineRunSpec{Pipeline: "stage", Origin: "Schedule",
			Inputs: code("userdata:/models/secret")}},
		{"from nowhere", runtimev1.PipelineRunSpec{Pipeline: "stage", Origin: "x",
			Inputs: code("userdata:/models/secret")}},
		{"bob's file by users/", runtimev1.PipelineRunSpec{Pipeline: "stage",
			Inputs: code("userdata:/users/bob/file_groups/in/secret.csv")}},
		{"all users", runtimev1.PipelineRunSpec{Pipeline: "stage", Inputs: code("userdata:/users/")}},
		{"all users without a slash", runtimev1.PipelineRunSpec{Pipeline: "stage", Inputs: code("userdata:/users")}},
		{"dots", runtimev1.PipelineRunSpec{Pipeline: "stage", Inputs: code("userdata:/models/../users/bob/")}},
		{"a whole box", runtimev1.PipelineRunSpec{Pipeline: "stage", Inputs: code("userdata:/")}},
		{"no user's file", runtimev1.PipelineRunSpec{Pipeline: "stage", Inputs: code(bobsFile)}},
		{"the own name, bob's file", runtimev1.PipelineRunSpec{Pipeline: "stage", User: editor,
			Inputs: code("userdata/../bob/file_groups/in/secret.csv")}},
		{"an input that is none", runtimev1.PipelineRunSpec{Pipeline: "stage", Inputs: in{"x": {Path: bobsFile}}}},
		{"an output among users", runtimev1.PipelineRunSpec{Pipeline: "stage", Inputs: code("userdata:/models/secret"),
			Outputs: map[string]string{"res": "userdata:/users/bob/file_groups/in/"}}},
		{"an output by dots", runtimev1.PipelineRunSpec{Pipeline: "stage", Inputs: code("userdata:/models/secret"),
			Outputs: map[string]string{"res": "userdata:/a/../users/"}}},
		{"a whole box as output", runtimev1.PipelineRunSpec{Pipeline: "stage", Inputs: code("userdata:/models/secret"),
			Outputs: map[string]string{"res": "userdata:/"}}},
		{"a file as output", runtimev1.PipelineRunSpec{Pipeline: "stage", Inputs: code("userdata:/models/secret"),
			Outputs: map[string]string{"res": "userdata:/x"}}},
		{"another version", runtimev1.PipelineRunSpec{Pipeline: "stage",
			Inputs: in{"code": {Path: "userdata:/models/secret", ETag: "x"}}}},
		{"no pipeline", runtimev1.PipelineRunSpec{}},
		{"../x as pipeline", runtimev1.PipelineRunSpec{Pipeline: "../x"}},
		{"a/b as pipeline", runtimev1.PipelineRunSpec{Pipeline: "a/b"}},
		{"escapes as pipeline", runtimev1.PipelineRunSpec{Pipeline: "\x1b[2J"}},
		{"200 letters as pipeline", runtimev1.PipelineRunSpec{Pipeline: strings.Repeat("x", 200)}},
	}
	tried(t, len(cases)+3)
	var wg sync.WaitGroup
	for _, c := range cases {
		wg.Go(func() {
			outcomeOf(t, w, c.name, nil, &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{GenerateName: "attack-",
				Namespace: namespace}, Spec: c.spec}, false)
		})
	}
	wg.Wait()
	// A status that is given at creation, or patched, is nobody's word.
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{GenerateName: "attack-", Namespace: namespace},
		Spec: runtimev1.PipelineRunSpec{Pipeline: "none"}}
	run.Status.State, run.Status.Outputs = runtimev1.Succeeded, map[string]string{"res": "userdata:/users/bob/"}
	if err := edits(t).Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	if run.Status.State == runtimev1.Succeeded {
		t.Error("a run came with a status of its own")
	}
	for name, patch := range map[string]string{"its user": `{"spec":{"user":"bob"}}`,
		"its pipeline": `{"spec":{"pipeline":"stage"}}`} {
		if err := edits(t).Patch(t.Context(), run.DeepCopy(),
			client.RawPatch("application/merge-patch+json", []byte(patch))); !apierrors.IsInvalid(err) &&
			!apierrors.IsForbidden(err) {
			t.Errorf("patching %s: %v", name, err)
		}
	}
}

// The controller posts events to the Broker that the module's own objects name, not wherever an
// editor's object says.
func TestEditorBrokers(t *testing.T) {
	t.Parallel()
	w := enter(t)
	host, _, _ := strings.Cut(os.Getenv("UNIP_OUTSIDE"), ",")
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	var posts atomic.Int32
	count := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { posts.Add(1) })
	s := &httptest.Server{Listener: l, Config: &http.Server{Handler: count, ReadHeaderTimeout: time.Second}}
	s.Start()
	t.Cleanup(s.Close)
	broker := &unstructured.Unstructured{}
	broker.SetGroupVersionKind(schema.GroupVersionKind{Group: "eventing.knative.dev", Version: "v1", Kind: "Broker"})
	broker.SetName("aaa")
	broker.SetNamespace(neighbour)
	broker.SetLabels(map[string]string{"app.kubernetes.io/managed-by": "unip", "app.kubernetes.io/part-of": neighbour})
	broker.SetAnnotations(map[string]string{"eventing.knative.dev/broker.class": "nobody"})
	admin := w.WithWatch // an editor may where Knative's own roles are bound
	if err := admin.Create(t.Context(), broker); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := admin.Delete(context.Background(), broker); err != nil {
			t.Error(err)
		}
	})
	status := map[string]any{"address": map[string]any{"url": s.URL + "/latest/meta-data?x="},
		"conditions": []any{map[string]any{"type": "Ready", "status": "True",
			"lastTransitionTime": "2026-01-01T00:00:00Z"}}}
	if err := unstructured.SetNestedMap(broker.Object, status, "status"); err != nil {
		t.Fatal(err)
	}
	if err := admin.Status().Update(t.Context(), broker); err != nil {
		t.Fatal(err)
	}
	tried(t, 1)
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{GenerateName: "broker-", Namespace: neighbour},
		Spec: runtimev1.PipelineRunSpec{Pipeline: "nothing"}}
	if err := admin.Create(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	// All events of the run have been taken by somebody once they stand in its status.
	err = live.Await(t.Context(), 90*time.Second, "the run's events", func(ctx context.Context) error {
		if err := w.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil {
			return err
		}
		if !run.Status.State.Done() || len(run.Status.Published) < 3 {
			return fmt.Errorf("it is %s, its events: %v", run.Status.State, run.Status.Published)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	if n := posts.Load(); n > 0 {
		t.Errorf("the controller sent %d requests to an address that an editor had written", n)
	}
}

// A bucket whose tags name another namespace is not used, by nothing that a run does: what is in it
// is a former owner's.
func TestEditorTakesAFormersBucket(t *testing.T) {
	t.Parallel()
	w := enter(t)
	c := edits(t)
	const box = "former"
	bucket := databox.UsualBuckets.Box(namespace, box)
	if err := w.s3.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}); err != nil &&
		minio.ToErrorResponse(err).Code != "BucketAlreadyOwnedByYou" {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx := context.Background()
		for o := range w.s3.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true}) {
			_ = w.s3.RemoveObject(ctx, bucket, o.Key, minio.RemoveObjectOptions{})
		}
		if err := w.s3.RemoveBucket(ctx, bucket); err != nil {
			t.Error(err)
		}
	})
	former, err := tags.MapToBucketTags(map[string]string{databox.TagNamespace: namespace,
		databox.TagNamespaceUID: "00000000-0000-0000-0000-000000000000", databox.TagBox: box})
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(w.s3.SetBucketTagging(t.Context(), bucket, former),
		w.putKey(t.Context(), bucket, formerKey, formersSecret)); err != nil {
		t.Fatal(err)
	}
	b := &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Name: box, Namespace: namespace}}
	b.Spec.S3DefaultStorage = &platformv1.S3DefaultStorage{}
	if err := c.Create(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Delete(context.Background(), b) })
	err = live.Await(t.Context(), 30*time.Second, "BucketNotOurs", func(ctx context.Context) error {
		if err := w.Get(ctx, client.ObjectKeyFromObject(b), b); err != nil {
			return err
		}
		for _, c := range b.Status.Conditions {
			if c.Reason == "BucketNotOurs" {
				return nil
			}
		}
		return fmt.Errorf("%v", b.Status.Conditions)
	})
	if err != nil {
		t.Fatal(err)
	}
	from := func(path string) *runtimev1.Pipeline {
		return pipelineOf(func(p *runtimev1.PipelineSpec) {
			p.DefaultBox, p.Variables[0].MountFrom = box, &runtimev1.BoxPath{Box: box, Path: path}
			p.Stages[0].Command = []string{"sh", "-c",
				"cat $UNIP_PIPELINE_IN $UNIP_PIPELINE_IN/*; echo defaced > $UNIP_PIPELINE_RES/f"}
		})
	}
	cases := map[string]*runtimev1.Pipeline{"a file": from(formerKey), "a folder": from("data/"),
		"as default": pipelineOf(func(p *runtimev1.PipelineSpec) { p.DefaultBox = box })}
	tried(t, len(cases)+1)
	var wg sync.WaitGroup
	for name, p := range cases {
		wg.Go(func() {
			if err := c.Create(t.Context(), p); err != nil {
				t.Error(err)
				return
			}
			run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{GenerateName: p.Name + "-",
				Namespace: namespace}, Spec: runtimev1.PipelineRunSpec{Pipeline: p.Name}}
			if err := c.Create(t.Context(), run); err != nil {
				t.Error(err)
				return
			}
			// It fails, or waits for a box that is the module's: no stage of it is given the
			// bucket.
			_ = live.Await(t.Context(), 25*time.Second, "the end", func(ctx context.Context) error {
				if err := w.Get(ctx, client.ObjectKeyFromObject(run), run); err != nil ||
					(!run.Status.State.Done() && len(run.Status.Stages) == 0) {
					return errors.Join(err, errors.New("not yet"))
				}
				return nil
			})
			for _, s := range run.Status.Stages {
				for _, in := range s.Inputs {
					if in.Bucket == bucket {
						t.Errorf("%s: stage %s is to read the former owner's bucket", name, s.Name)
					}
				}
				for _, out := range s.Outputs {
					if out.Bucket == bucket {
						t.Errorf("%s: stage %s is to write the former owner's bucket", name, s.Name)
					}
				}
			}
		})
	}
	wg.Wait()
	var keys []string
	for o := range w.s3.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		keys = append(keys, o.Key)
	}
	if len(keys) != 1 {
		t.Errorf("the former owner's bucket now holds %v", keys)
	}
	a := w.call(t, http.MethodGet, "ann", "files/"+box+"/data/former.txt", nil)
	check(t, "the box in the file API", a.Status, string(a.Body), 404, 503)
}
