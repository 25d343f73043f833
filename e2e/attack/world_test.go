//go:build e2e

package attack

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/e2e/attack/inputs"
	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

const (
	image                = "registry.localhost:5000/e2e/attack:v1"
	namespace, neighbour = "pu-attack-pa-a", "pu-attack-pa-b"
	// wantInputs is how many inputs a whole run must have tried.
	wantInputs = 250
)

// passwords of the module's users. eve's and dan's are for those tests after which they may have to
// wait.
var passwords = map[string]string{
	"ann": "pw-of-ann", "bob": "pw-of-bob", "eve": "pw-of-eve", "dan": "pw-of-dan", "": "",
}

// Files that lie there before the first attack, and what they hold: no answer to anybody else may
// have it.
const (
	bobsFile, bobsSecret      = "userdata/in/secret.csv", "BOBS-SECRET-7f3a"
	annsFile, annsSecret      = "userdata/in/diary.txt", "ANNS-SECRET-91c2"
	modelsKey, modelsSecret   = "models/secret", "MODELS-SECRET-c40d"
	formerKey, formersSecret  = "data/former.txt", "FORMERS-SECRET-05be"
	neighboursPasswordForAnn  = "chosen-by-the-neighbour"
	setupTime, teardownBudget = 4 * time.Minute, 4 * time.Minute
)

// world is what all tests attack: a module, and a neighbour whose function does what its caller
// says.
type world struct {
	*live.Module // under attack
	neighbour    *live.Module
	host         string // of its gateway
	issuer       inputs.Issuer
	s3           *minio.Client
}

var (
	cluster *live.Cluster
	theOne  = sync.OnceValues(build)

	countMu sync.Mutex
	counts  = map[string]int{} // tried, by top test
)

func TestMain(m *testing.M) {
	var err error
	if cluster, err = live.Connect(); err != nil {
		fmt.Fprintln(os.Stderr, "e2e/attack:", err)
		os.Exit(1)
	}
	start := time.Now()
	code := m.Run()
	for _, ns := range []string{namespace, neighbour} {
		if os.Getenv("UNIP_KEEP") == "" { // for looking at what a failed test left
			if err := remove(ns); err != nil {
				fmt.Fprintln(os.Stderr, err)
				code = 1
			}
		}
	}
	sum := 0
	for _, name := range slices.Sorted(maps.Keys(counts)) {
		fmt.Printf("%5d  %s\n", counts[name], name)
		sum += counts[name]
	}
	fmt.Printf("%5d  inputs in %s\n", sum, time.Since(start).Round(time.Second))
	if whole := !slices.ContainsFunc(os.Args, func(a string) bool {
		return strings.HasPrefix(a, "-test.run") ||
			strings.HasPrefix(a, "-test.list")
	}); whole && sum < wantInputs {
		fmt.Printf("a whole run tries %d inputs at least\n", wantInputs)
		code = 1
	}
	os.Exit(code)
}

func remove(ns string) error {
	ctx, cancel := context.WithTimeout(context.Background(), teardownBudget)
	defer cancel()
	return cluster.Module(ns).Delete(ctx)
}

// tried counts inputs.
func tried(t *testing.T, n int) {
	top, _, _ := strings.Cut(t.Name(), "/")
	countMu.Lock()
	defer countMu.Unlock()
	counts[top] += n
}

// enter gives the world, which the first test builds.
func enter(t *testing.T) *world {
	t.Helper()
	w, err := theOne()
	if err != nil {
		t.Fatal(err)
	}
	return w
}

func build() (*world, error) {
	ctx, cancel := context.WithTimeout(context.Background(), setupTime)
	defer cancel()
	w := &world{Module: cluster.Module(namespace), neighbour: cluster.Module(neighbour)}
	dir, err := os.MkdirTemp("", "attack-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	if os.Getenv("UNIP_KEEP") == "" {
		for _, ns := range []string{namespace, neighbour} {
			if err := remove(ns); err != nil {
				return nil, err
			}
		}
	}
	if w.s3, err = w.storage(ctx); err != nil {
		return nil, err
	}
	var address string
	if w.issuer, address, err = startIssuer(); err != nil {
		return nil, err
	}
	words := strings.NewReplacer("NEIGHBOUR", neighbour, "NS", namespace, "IMAGE", image, "ISSUER", w.issuer.URL)
	for file, m := range map[string]*live.Module{"module.yaml": w.Module, "neighbour.yaml": w.neighbour} {
		text, err := os.ReadFile(filepath.Join("testdata", file))
		if err != nil {
			return nil, err
		}
		path := filepath.Join(dir, file)
		if err := os.WriteFile(path, []byte(words.Replace(string(text))), 0o600); err != nil {
			return nil, err
		}
		if err := m.Apply(ctx, path); err != nil {
			return nil, err
		}
	}
	if err := w.nameIssuer(ctx, address); err != nil {
		return nil, err
	}
	for _, m := range []*live.Module{w.Module, w.neighbour} {
		if err := m.AwaitReady(ctx, setupTime); err != nil {
			return nil, err
		}
	}
	if w.host, err = w.Host(ctx); err != nil {
		return nil, err
	}
	for _, box := range []string{"userdata", "weights"} {
		if err := w.putKey(ctx, databox.UsualBuckets.Box(namespace, box), modelsKey, modelsSecret); err != nil {
			return nil, err
		}
	}
	return w, errors.Join(
		w.Upload(ctx, "bob", passwords["bob"], bobsFile, []byte(bobsSecret)),
		w.Upload(ctx, "ann", passwords["ann"], annsFile, []byte(annsSecret)),
	)
}

// storage is the S3 server with the installation's own key.
func (w *world) storage(ctx context.Context) (*minio.Client, error) {
	var secret corev1.Secret
	if err := w.Get(ctx, types.NamespacedName{Namespace: names.SystemNamespace, Name: "unip-s3"}, &secret); err != nil {
		return nil, err
	}
	u, err := url.Parse(os.Getenv("UNIP_S3_ENDPOINT"))
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("UNIP_S3_ENDPOINT must be the storage's URL: %w", err)
	}
	return minio.New(u.Host, &minio.Options{
		Creds:  credentials.NewStaticV4(string(secret.Data["accessKeyId"]), string(secret.Data["secretAccessKey"]), ""),
		Secure: u.Scheme == "https", Region: "us-east-1",
	})
}

func (w *world) putKey(ctx context.Context, bucket, key, content string) error {
	_, err := w.s3.PutObject(ctx, bucket, key, strings.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{})
	return err
}

// call calls the module's API as a user ("" for nobody).
func (w *world) call(t *testing.T, method, user, path string, body any, header ...string) *live.Answer {
	t.Helper()
	h := http.Header{}
	for i := 0; i < len(header); i += 2 {
		h.Add(header[i], header[i+1])
	}
	a, err := w.Call(t.Context(), live.Request{Method: method, Path: "/" + namespace + "/" + path, User: user,
		Password: passwords[user], Header: h, Body: body})
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return a
}

// secrets are the contents that nobody but their owner may see.
var secrets = []string{bobsSecret, modelsSecret, formersSecret}

// betrays reports which secret a text holds.
func betrays(text string) string {
	for _, s := range secrets {
		if strings.Contains(text, s) {
			return s
		}
	}
	return ""
}

// check wants one of the statuses, and nothing secret.
func check(t *testing.T, what string, status int, body string, want ...int) {
	t.Helper()
	if !slices.Contains(want, status) {
		t.Errorf("%s: %d, want %v: %.300s", what, status, want, body)
	}
	if s := betrays(body); s != "" {
		t.Errorf("%s: the answer holds %s", what, s)
	}
}

// exchange sends bytes to a host as they are and reads one answer; status 0 says that the
// connection ended without one.
func exchange(t *testing.T, address, request string) (status int, header http.Header, body string) {
	t.Helper()
	c, err := (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", address)
	for tries := 0; err != nil && tries < 2; tries++ { // nothing was said yet; the local cluster loses some
		c, err = (&net.Dialer{Timeout: 10 * time.Second}).DialContext(t.Context(), "tcp", address)
	}
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(30 * time.Second))
	go func() { _, _ = io.WriteString(c, request) }() // a server may answer before it has read all
	r, err := http.ReadResponse(bufio.NewReader(c), nil)
	if err != nil {
		return 0, nil, ""
	}
	defer r.Body.Close()
	b, _ := io.ReadAll(io.LimitReader(r.Body, 1<<20)) // what comes of it
	return r.StatusCode, r.Header, string(b)
}

// raw sends a request of one line and a few headers to the module's gateway.
func (w *world) raw(t *testing.T, line string, lines ...string) (int, http.Header, string) {
	t.Helper()
	return exchange(t, strings.TrimPrefix(w.Ingress, "http://"),
		line+" HTTP/1.1\r\nHost: "+w.host+"\r\nConnection: close\r\n"+strings.Join(append(lines, "\r\n"), "\r\n"))
}

// python runs code inside the function of a module: given is what the code finds under that name,
// and answer is decoded into out.
func python(t *testing.T, m *live.Module, path, user, code string, given, out any, more ...live.Variable) {
	t.Helper()
	a := execute(t, m, path, user, code, given, more...)
	if a.Status != http.StatusOK {
		t.Fatalf("the function answered %d: %.2000s", a.Status, a.Body)
	}
	var answer string
	if err := a.Output("answer", &answer); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal([]byte(answer), out); err != nil {
		t.Fatalf("%v: %.300s", err, answer)
	}
}

func execute(t *testing.T, m *live.Module, path, user, code string, given any, more ...live.Variable) *live.Answer {
	t.Helper()
	text := func(name string, v any) live.Variable {
		data, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return live.Variable{Name: name, Datatype: "str", Data: data}
	}
	g, err := json.Marshal(given)
	if err != nil {
		t.Fatal(err)
	}
	a, err := m.Predict(t.Context(), path, user, passwords[user],
		append(more, text("code", code), text("given", string(g)))...)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

// inside is a call that a pod makes, and what came of it.
type inside struct {
	Method  string            `json:"method,omitempty"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    *string           `json:"body,omitempty"`
	Timeout int               `json:"timeout,omitempty"`
}

type outcome struct {
	Status int
	Body   string
}

func (o *outcome) UnmarshalJSON(b []byte) error {
	d := json.NewDecoder(bytes.NewReader(b))
	pair := []any{&o.Status, &o.Body}
	return d.Decode(&pair)
}

// fromNeighbour makes calls from a pod of the other module, some at a time.
func (w *world) fromNeighbour(t *testing.T, calls []inside) []outcome {
	t.Helper()
	var out []outcome
	python(t, w.neighbour, "evil", "", "answer = calls(given)", calls, &out)
	if len(out) != len(calls) {
		t.Fatalf("%d of %d calls came back", len(out), len(calls))
	}
	return out
}
