//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/databox"
)

const (
	herbarium = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: pressed, namespace: NS, annotations: {knative.unified-platform.cs.hse.ru/shared-with: pu-e2e-pa-mounts}}
spec: {s3DefaultStorage: {}}
`
	mounting = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: tables, namespace: NS}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: results, namespace: NS}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: herbarium, namespace: NS}
spec: {datasetReference: {datasetComponentRef: {name: pressed, namespace: pu-e2e-pa-pressed}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: model, namespace: NS}
spec:
  image: {existingImageName: IMAGE}
  env: [{name: MOUNTS, value: /tables /results /herbarium /visitors}]
  mlService: {inference: 'echo:mounted', modelBox: tables, modelPath: /tables/v1/model.txt}
  connectedBoxes:
    - {name: tables, mountS3Box: {s3Path: /constant, mountPath: /tables, readOnly: true}}
    - {name: results, mountS3Box: {mountPath: /results}}
    - {name: herbarium, mountDataset: {mountPath: /herbarium}}
    - {name: tables, mountS3Box: {s3Path: users, mountPath: /visitors}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: model-api, namespace: NS}
spec:
  published: true
  mlComponent: {name: model}
  restfulApi: {path: model, auth: {basic: {credentials: users}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: files-api, namespace: NS}
spec:
  published: true
  files: {}
  restfulApi: {auth: {basic: {credentials: users}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: users, namespace: NS}
stringData: {ann: s3same}
`
)

// applyText brings a module of this text onto the cluster.
func applyText(t *testing.T, namespace, text string) *live.Module {
	t.Helper()
	m := cleared(t, namespace)
	dir := t.TempDir()
	text = strings.NewReplacer("namespace: NS", "namespace: "+namespace, "IMAGE", echoImage).Replace(text)
	if err := os.WriteFile(filepath.Join(dir, "module.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	return m
}

// The files of boxes lie at the mountPaths of a component when its function is imported: of a folder that
// is only read, of a dataset, and of a box that calls write to, which has what they wrote when they are
// answered. users/ is never among them.
func TestMounts(t *testing.T) {
	t.Parallel()
	const anns = "users/ann/file_groups/g/f"
	owner := applyText(t, "pu-e2e-pa-pressed", herbarium)
	m := applyText(t, "pu-e2e-pa-mounts", mounting)
	put := func(m *live.Module, box, key string) {
		t.Helper()
		if err := live.Await(t.Context(), 2*time.Minute, "putting "+key, func(ctx context.Context) error {
			return m.Put(ctx, box, key, []byte("content of "+key))
		}); err != nil {
			t.Fatal(err)
		}
	}
	for _, x := range []struct {
		m        *live.Module
		box, key string
	}{
		{owner, "pressed", "elm/leaf"}, {owner, "pressed", anns},
		{m, "tables", "constant/names"}, {m, "tables", "constant/v1/model.txt"}, {m, "tables", "other"},
		{m, "tables", anns},
		{m, "results", "old"}, {m, "results", anns},
	} {
		put(x.m, x.box, x.key)
	}
	awaitReady(t, m)
	// A pod that started before the files were put has not got them.
	if err := m.AwaitZero(t.Context(), 2*time.Minute, "model", "gateway"); err != nil {
		t.Fatal(err)
	}
	if err := m.AwaitGone(t.Context(), 2*time.Minute); err != nil {
		t.Fatal(err)
	}

	var imported, now, failed map[string]string
	call := func(inputs ...string) {
		t.Helper()
		var all []live.Variable
		for _, s := range inputs {
			all = append(all, text(s))
		}
		a := predict(t, m, http.StatusOK, all...)
		imported, now, failed = nil, nil, nil
		for name, into := range map[string]any{"imported": &imported, "now": &now, "failed": &failed} {
			if err := a.Output(name, into); err != nil {
				t.Fatal(err)
			}
		}
	}
	call("/results/day/1=first", "/results/old=changed", "/tables/new=x", "/herbarium/new=x")
	want := map[string]string{
		"/tables/names": "content of constant/names", "/tables/v1/model.txt": "content of constant/v1/model.txt",
		"/results/old": "content of old", "/herbarium/elm/leaf": "content of elm/leaf",
	}
	for path, content := range want {
		if imported[path] != content {
			t.Errorf("at the import %s has %q, want %q", path, imported[path], content)
		}
	}
	if len(imported) != len(want) {
		t.Errorf("at the import there are %v", imported)
	}
	for _, path := range []string{"/tables/new", "/herbarium/new"} {
		if !strings.Contains(failed[path], "Read-only file system") {
			t.Errorf("writing %s: %q", path, failed[path])
		}
	}
	if now["/results/day/1"] != "first" {
		t.Errorf("now there are %v", now)
	}
	stored := func(key string) string {
		t.Helper()
		c, s, err := m.Bucket(t.Context(), "results")
		if err != nil {
			t.Fatal(err)
		}
		o, err := c.GetObject(t.Context(), s.Bucket, key, minio.GetObjectOptions{})
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(o)
		if err != nil {
			return err.Error()
		}
		return string(b)
	}
	if a, b := stored("day/1"), stored("old"); a != "first" || b != "changed" {
		t.Errorf("stored are %q and %q", a, b)
	}

	// What only the function's user may read is stored as well.
	call("private:/results/private/f=for its owner")
	if got := stored("private/f"); got != "for its owner" {
		t.Errorf("stored is %q", got)
	}

	// What must not be stored is a 500 that names the path, and is not there.
	for write, path := range map[string]string{
		"/results/users/ann/file_groups/g/f=spoilt": "/results/users/ann/file_groups/g/f",
		"link:/results/link=/etc/passwd":            "/results/link",
	} {
		a := predict(t, m, http.StatusInternalServerError, text(write))
		if problemType(t, a) != "invalid-result" || !strings.Contains(string(a.Body), path) {
			t.Errorf("%s: %s", write, a.Body)
		}
	}
	if got := stored(anns); got != "content of "+anns {
		t.Errorf("ann's file has %q", got)
	}
	call("/results/day/2=second") // the next one is not told of it
	if got := stored("day/2"); got != "second" {
		t.Errorf("stored is %q", got)
	}

	// FILE values come from the box whose entry mounts nothing.
	a, err := m.Predict(t.Context(), "model", user, password, live.Variable{Name: "text", Datatype: "FILE",
		Data: json.RawMessage(`"tables/g/f"`)})
	if err != nil {
		t.Fatal(err)
	}
	if a.Status != http.StatusOK {
		t.Errorf("a FILE value of the box: %d %s", a.Status, a.Body)
	}

	// The session that stores has no more than that.
	c, s, err := m.Box(t.Context(), "results", databox.MountWrite, databox.Root)
	if err != nil {
		t.Fatal(err)
	}
	_, err = c.PutObject(t.Context(), s.Bucket, anns, strings.NewReader("x"), 1, minio.PutObjectOptions{})
	if err == nil {
		t.Error("the session that stores what calls write writes a user's file")
	}
}
