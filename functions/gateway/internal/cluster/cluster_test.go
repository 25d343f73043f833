//go:build integration

package cluster_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/cluster"
	"github.com/unip-knative/unip/functions/gateway/internal/runs"
)

// world is a real API server and a real S3 server, without the controller.
type world struct {
	*runs.Handler
	objects client.Client
	s3      *miniotest.Server
	bucket  string
}

func newWorld(t *testing.T) world {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS must name a folder with etcd and kube-apiserver: make test-integration")
	}
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../../../../config/201-runtime.yaml"},
		ErrorIfCRDPathMissing: true}
	cfg, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Stop() })
	w := world{s3: miniotest.Start(t)}
	w.bucket = w.s3.Bucket(t)
	session := filepath.Join(t.TempDir(), databox.SessionKey)
	b, err := json.Marshal(databox.Session{Endpoint: w.s3.Endpoint, Region: "us-east-1", Bucket: w.bucket,
		AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey})
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(session, b, 0o600); err != nil {
		t.Fatal(err)
	}
	open := func() (*s3.Box, error) { return s3.Open(session, nil) }
	store, err := cluster.New(cfg, "ns")
	if err != nil {
		t.Fatal(err)
	}
	w.Handler = &runs.Handler{
		Store: store, Base: "/ns/pipelines", Boxes: []string{"userdata"},
		Open: func(string) (*s3.Box, error) { return open() }, KeptLogs: open,
	}
	scheme := runtime.NewScheme()
	if err := runtimev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	if w.objects, err = client.New(cfg, client.Options{Scheme: scheme}); err != nil {
		t.Fatal(err)
	}
	namespace(t, cfg, "ns")
	return w
}

func namespace(t *testing.T, cfg *rest.Config, name string) {
	t.Helper()
	k, err := kubernetes.NewForConfig(cfg)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := k.CoreV1().Namespaces().Create(t.Context(),
		&corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}, metav1.CreateOptions{}); err != nil {
		t.Fatal(err)
	}
}

var spec = routes.Spec{
	Inputs:  []routes.Variable{{Name: "table", Required: true}, {Name: "extra"}},
	Outputs: []routes.Variable{{Name: "model"}},
}

func (w world) start(t *testing.T, user, body, key string) (int, map[string]any, http.Header) {
	t.Helper()
	r := httptest.NewRequest(http.MethodPost, "/ns/train/run", strings.NewReader(body))
	if key != "" {
		r.Header.Set("Idempotency-Key", key)
	}
	rec := httptest.NewRecorder()
	w.Start(rec, r, user, routes.API{Target: "train", Spec: spec, IdentityPassThrough: user == "ann"})
	return rec.Code, decode(t, rec), rec.Header()
}

func decode(t *testing.T, rec *httptest.ResponseRecorder) map[string]any {
	t.Helper()
	var m map[string]any
	if err := json.Unmarshal(rec.Body.Bytes(), &m); err != nil {
		t.Fatalf("%d %s: %v", rec.Code, rec.Body, err)
	}
	return m
}

// get calls one of the handler's methods.
func get(t *testing.T, do func(http.ResponseWriter, *http.Request), query string) (int, map[string]any) {
	t.Helper()
	rec := httptest.NewRecorder()
	do(rec, httptest.NewRequest(http.MethodGet, "/x?"+query, nil))
	return rec.Code, decode(t, rec)
}

func TestRuns(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.s3.Put(t, w.bucket, "users/ann/file_groups/in/т 1.csv", "1")
	w.s3.Put(t, w.bucket, "users/boris/file_groups/in/b.csv", "1")
	good := `{"inputs":{"table":"userdata/in/т 1.csv"},"outputs":[{"name":"model","path":"userdata/models/"}]}`

	t.Run("wrong bodies", func(t *testing.T) {
		for body, want := range map[string]string{
			`nonsense`:                 "not JSON",
			`{"inputs":{"table":1}}`:   "not a path in a string",
			``:                         "the input table is needed",
			`{"inputs":{"tabel":"a"}}`: "table is needed",
			`{"inputs":{"table":"userdata/in/т 1.csv","x":"userdata/a/b"}}`:                          `no variable "x"`,
			`{"inputs":{"table":"userdata/in/gone.csv"}}`:                                            "there is nothing at",
			`{"inputs":{"table":"userdata/none/"}}`:                                                  "there is nothing at",
			`{"inputs":{"table":"userdata/in/b.csv"}}`:                                               "there is nothing at",
			`{"inputs":{"table":"userdata:/users/boris/file_groups/in/b.csv"}}`:                      "developer's area",
			`{"inputs":{"table":"userdata/../boris/in/b.csv"}}`:                                      "segment",
			`{"inputs":{"table":"nothing/in/b.csv"}}`:                                                "no box",
			`{"inputs":{"table":"userdata/b.csv"}}`:                                                  "a file is in a group",
			`{"inputs":{"table":"userdata/in/т 1.csv"},"outputs":{"model":"userdata/a/b"}}`:          "an output is a folder",
			`{"inputs":{"table":"userdata/in/т 1.csv"},"outputs":{"report":"userdata/a/"}}`:          `no variable "report"`,
			`{"inputs":[{"name":"table","path":"userdata/in/т 1.csv"},{"name":"table","path":"a"}]}`: "there twice",
			`{"inputs":{"table":"` + strings.Repeat("x", 2<<20) +
				`"}}`: "larger than",
			`{"inputs":{"table":"userdata/in/т 1.csv"},"outputs":{"model":"userdata:/models/"}}`: "developer's area",
			`{"inputs":{"table":"userdata/in/т 1.csv","extra":"userdata/in/` + "\\u0000" +
				`"}}`: "control character",
			`{"inputs":{"table":"userdata/in/т 1.csv"},"outputs":{"model":"userdata/models/../../boris/"}}`: "segment",
		} {
			code, m, _ := w.start(t, "ann", body, "")
			if code < 400 || code >= 500 || !strings.Contains(m["detail"].(string), want) {
				t.Errorf("%.80s: %d %v, want %q", body, code, m, want)
			}
		}
	})

	code, m, h := w.start(t, "ann", good, "once")
	id, _ := m["run_id"].(string)
	if code != http.StatusAccepted || m["status"] != "Pending" || h.Get("Location") != "/ns/pipelines/runs/"+id {
		t.Fatalf("%d %v %v", code, m, h)
	}
	var run runtimev1.PipelineRun
	if err := w.objects.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: id}, &run); err != nil {
		t.Fatal(err)
	}
	if run.Spec.User != "ann" || !run.Spec.IdentityPassThrough || run.Spec.Origin != "API" ||
		run.Spec.Inputs["table"].ETag == "" || run.Spec.Outputs["model"] != "userdata/models/" {
		t.Errorf("%+v", run.Spec)
	}
	t.Run("idempotency", func(t *testing.T) {
		w.s3.Put(t, w.bucket, "users/ann/file_groups/in/т 1.csv", "changed meanwhile")
		if code, m, _ := w.start(t, "ann", good, "once"); code != http.StatusAccepted || m["run_id"] != id {
			t.Errorf("the same again: %d %v", code, m)
		}
		if code, m, _ := w.start(t, "ann", strings.Replace(good, "models", "others", 1),
			"once"); code != http.StatusUnprocessableEntity {
			t.Errorf("another run with the key: %d %v", code, m)
		}
		if code, m, _ := w.start(t, "ann", good, "twice"); code != http.StatusAccepted || m["run_id"] == id {
			t.Errorf("another key: %d %v", code, m)
		}
	})
	t.Run("only one's own", func(t *testing.T) {
		for _, user := range []string{"boris", "", "ANN"} {
			if code, m := get(t, func(w2 http.ResponseWriter, r *http.Request) { w.Get(w2, r, user, id) },
				""); code != http.StatusNotFound {
				t.Errorf("%q sees the run: %d %v", user, code, m)
			}
			if code, m := get(t, func(w2 http.ResponseWriter, r *http.Request) { w.Cancel(w2, r, user, id) },
				""); code != http.StatusNotFound {
				t.Errorf("%q cancels the run: %d %v", user, code, m)
			}
			if code, m := get(t, func(w2 http.ResponseWriter, r *http.Request) { w.List(w2, r, user) },
				""); code != http.StatusOK || len(m["runs"].([]any)) != 0 {
				t.Errorf("%q lists: %d %v", user, code, m)
			}
		}
	})
	t.Run("pages", func(t *testing.T) {
		list := func(query string) map[string]any {
			_, m := get(t, func(w2 http.ResponseWriter, r *http.Request) { w.List(w2, r, "ann") }, query)
			return m
		}
		first := list("limit=1")
		next, _ := first["next"].(string)
		second := list("limit=1&continue=" + next)
		a, b := first["runs"].([]any)[0].(map[string]any)["run_id"],
			second["runs"].([]any)[0].(map[string]any)["run_id"]
		if next == "" || a == b || second["next"] != nil {
			t.Errorf("%v, then %v", first, second)
		}
		if m := list("pipeline=other"); m["status"] != float64(http.StatusNotFound) {
			t.Errorf("of a pipeline that is not there: %v", m)
		}
	})
	t.Run("events", func(t *testing.T) {
		ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
		defer stop()
		rec := httptest.NewRecorder()
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			w.Events(rec, httptest.NewRequest(http.MethodGet, "/x", nil).WithContext(ctx), "ann", id)
		}()
		run.Status.State = runtimev1.Succeeded
		if err := w.objects.Status().Update(ctx, &run); err != nil {
			t.Fatal(err)
		}
		<-ended
		if got := rec.Body.String(); !strings.Contains(got, "event: run\n") ||
			!strings.Contains(got, `"status":"Succeeded"`) {
			t.Errorf("%s", got)
		}
	})
	t.Run("cancel", func(t *testing.T) {
		_, m, _ := w.start(t, "ann", good, "")
		other := m["run_id"].(string)
		for _, want := range []int{http.StatusAccepted, http.StatusOK} {
			if code, m := get(t, func(w2 http.ResponseWriter, r *http.Request) { w.Cancel(w2, r, "ann", other) },
				""); code != want {
				t.Errorf("%d %v, want %d", code, m, want)
			}
		}
		var x runtimev1.PipelineRun
		if err := w.objects.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: other}, &x); err != nil ||
			!x.Spec.Cancel {
			t.Errorf("%+v %v", x.Spec, err)
		}
		x.Spec.Cancel = false
		if err := w.objects.Update(t.Context(), &x); err == nil {
			t.Error("a cancelled run can be revived")
		}
		x.Spec.Cancel, x.Spec.User = true, "boris"
		if err := w.objects.Update(t.Context(), &x); err == nil {
			t.Error("a run can be given to another user")
		}
	})
}

// What a variable of an API takes is looked at before a run is made: file or folder, and the media types
// by what S3 tells and by names.
func TestTypesOfInputs(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for key, stored := range map[string]string{"in/t.csv": "", "in/t": "text/csv; charset=utf-8", "in/t.png": "",
		"in/lie.csv": "image/png", "tables/a.csv": "", "tables/deep/b.csv": "", "tables/c": "text/csv",
		"mixed/a.csv": "",
		"mixed/b.png": "", "unknown/a": ""} {
		_, err := w.s3.PutObject(t.Context(), w.bucket, "users/ann/file_groups/"+key, strings.NewReader("x"), 1,
			minio.PutObjectOptions{ContentType: stored})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 40 { // more than the storage is asked about
		_, err := w.s3.PutObject(t.Context(), w.bucket, fmt.Sprintf("users/ann/file_groups/many/%d", i),
			strings.NewReader("x"), 1, minio.PutObjectOptions{ContentType: "text/csv"})
		if err != nil {
			t.Fatal(err)
		}
	}
	for i := range 1000 { // marks of folders count as well: no listing goes on for ever
		w.s3.Put(t, w.bucket, fmt.Sprintf("users/ann/file_groups/marks/%04d/", i), "")
	}
	w.s3.Put(t, w.bucket, "users/ann/file_groups/marks/z.png", "x")
	try := func(path string, v routes.Variable) (int, map[string]any) {
		t.Helper()
		v.Name = "table"
		body := `{"inputs":{"table":"userdata/` + path + `"}}`
		rec := httptest.NewRecorder()
		w.Start(rec, httptest.NewRequest(http.MethodPost, "/ns/train/run", strings.NewReader(body)), "ann",
			routes.API{Target: "train", Spec: routes.Spec{Inputs: []routes.Variable{v}}})
		return rec.Code, decode(t, rec)
	}
	csv := routes.Variable{ContentTypes: []string{"text/csv"}}
	for _, c := range []struct {
		path string
		v    routes.Variable
		want string // "" is taken
	}{
		{"in/t.csv", csv, ""}, {"in/t", csv, ""}, {"in/lie.csv", csv, "is of type image/png"},
		{"in/t.png", csv, "userdata/in/t.png is of type image/png; it takes text/csv"},
		{"tables/", csv, ""}, {"many/", csv, ""}, {"marks/", csv, ""},
		{"mixed/", csv, "b.png in it is of type image/png; it takes text/csv"},
		{"unknown/", csv, "a in it is of type application/octet-stream"}, {"unknown/", routes.Variable{}, ""},
		{"in/t.png", routes.Variable{ContentTypes: []string{"text/csv", "image/*"}}, ""},
		{"in/t.csv", routes.Variable{Datatypes: []string{"FOLDER"}}, "is a file; it takes FOLDER"},
		{"in/", routes.Variable{Datatypes: []string{"FILE"}}, "is a folder, for it ends in /; it takes FILE"},
		{"in/", routes.Variable{Datatypes: []string{"FILE", "FOLDER"}}, ""}, {"in/", routes.Variable{}, ""},
	} {
		code, m := try(c.path, c.v)
		if c.want == "" {
			if code != http.StatusAccepted {
				t.Errorf("%s %+v: %d %v", c.path, c.v, code, m)
			}
			continue
		}
		errs, _ := m["errors"].([]any)
		if code != http.StatusBadRequest || !strings.Contains(fmt.Sprint(m["detail"]), c.want) || len(errs) != 1 ||
			errs[0].(map[string]any)["pointer"] != "/inputs/table" {
			t.Errorf("%s %+v: %d %v, want %q", c.path, c.v, code, m, c.want)
		}
	}
}
