//go:build e2e

package e2e

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/e2e/live"
)

// A module that kustomize has prefixed and moved to another namespace does all its work there:
// files, an upload that starts a run, the run's result in a box, predict with a model of a box.
func TestKustomizedModule(t *testing.T) {
	t.Parallel()
	const written, ns = "pu-e2e-pa-written", "pu-e2e-pa-moved"
	m := cluster.Module(ns)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.Diagnose(context.Background()))
		}
		if err := m.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := m.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	c := echo("echo:model_text")
	c.Model = "model.txt"
	manifests := write(t, written, c)
	_, secret, _ := strings.Cut(runsHead, "---\n")
	secret, _, _ = strings.Cut(secret, "---\n") // write has one of that name
	more := strings.ReplaceAll(strings.Replace(runsHead, "---\n"+secret, "", 1), "NS", written) +
		pipelineOf(written, "copy", "table result",
			`knative.unified-platform.cs.hse.ru/on-upload: '[{"box":"userdata","prefix":"incoming/","input":"table","outputs":{"result":"userdata:/results/"}}]'`,
			stage("copy", "table", "result", `cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_RESULT/copied"`))
	if err := os.WriteFile(filepath.Join(manifests, "more.yaml"), []byte(more), 0o600); err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if _, err := m.Run(t.Context(), nil, filepath.Join(m.Root, "bin", "unip"), "translate", "--images=ko", "-f",
		manifests, "-o", "dir="+filepath.Join(dir, "base")); err != nil {
		t.Fatal(err)
	}
	overlay := filepath.Join(dir, "overlay")
	if err := os.Mkdir(overlay, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(overlay, "kustomization.yaml"),
		[]byte("resources: [../base]\nnamePrefix: stage-\nnamespace: "+ns+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	objects, err := m.Run(t.Context(), nil, "kubectl", "kustomize", overlay)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Run(t.Context(), objects, os.Getenv("CLUSTER"), "exec", "--", "ko", "apply", "--sbom=none", "-f",
		"-"); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, m)

	if err := m.Put(t.Context(), "stage-weights", "model.txt", []byte("the weights")); err != nil {
		t.Fatal(err)
	}
	wantText(t, m, "the weights", 90*time.Second)

	if err := m.Upload(t.Context(), user, password, "stage-userdata/incoming/a.csv", []byte("1,2\n")); err != nil {
		t.Fatal(err)
	}
	var run string
	err = live.Await(t.Context(), time.Minute, "a run", func(ctx context.Context) error {
		runs, err := m.Runs(ctx)
		if err == nil && len(runs) == 0 {
			return os.ErrNotExist
		}
		if err == nil {
			run = runs[0].Name
		}
		return err
	})
	if err != nil {
		t.Fatalf("%v\n%s", err, m.Diagnose(t.Context()))
	}
	r, err := m.AwaitRun(t.Context(), run, time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	if r.Status.State != "Succeeded" {
		t.Fatalf("the run is %s: %s", r.Status.State, r.Status.Message)
	}
	box, s, err := m.Bucket(t.Context(), "stage-userdata")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := box.StatObject(t.Context(), s.Bucket, "results/copied", minio.StatObjectOptions{}); err != nil {
		t.Errorf("the run's result: %v", err)
	}
}
