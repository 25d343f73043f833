//go:build e2e

// Package long_test has tests that take longer than anybody waits for: `make e2e-long`.
package long_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

const (
	namespace = "pu-e2e-pa-long"
	// session is the shortest that S3 servers give; the stage works longer than one.
	session = "900"
)

const manifests = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: data, namespace: NAMESPACE}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata: {name: work, namespace: NAMESPACE}
spec:
  vars: [{name: table, mountFrom: {box: data, path: in/table.csv}}, {name: result}, {name: copy}]
  stages:
    - name: works
      image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}
      command: [sh, -ec, 'sleep 1080; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_RESULT/f"']
      inputs: [{name: table}]
      outputs: [{name: result}]
    - name: after
      image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}
      command: [sh, -ec, 'cp "$UNIP_PIPELINE_RESULT/f" "$UNIP_PIPELINE_COPY/f"']
      inputs: [{name: result}]
      outputs: [{name: copy}]
`

// A stage that works longer than its sessions live publishes its outputs, at its first attempt, and
// the next stage reads them.
func TestAStageThatOutlivesItsSession(t *testing.T) {
	t.Parallel()
	cluster, err := live.Connect()
	if err != nil {
		t.Fatal(err)
	}
	shortSessions(t, cluster)
	m, end, err := cluster.Begin(t.Context(), namespace, manifests)
	must(t, err)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.Diagnose(context.WithoutCancel(t.Context())))
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	must(t, m.Put(t.Context(), "data", "in/table.csv", []byte("kept")))
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Name: "long", Namespace: namespace}}
	run.Spec = runtimev1.PipelineRunSpec{Pipeline: "work", Inputs: map[string]runtimev1.InputPath{},
		Outputs: map[string]string{"result": "data:/result/", "copy": "data:/copy/"}}
	must(t, m.Create(t.Context(), run))
	outlived := expires(t, m, run.Name)
	ended, err := m.AwaitRun(t.Context(), run.Name, 25*time.Minute, func(st runtimev1.StageStatus) {
		t.Logf("%s is %s", st.Name, st.State)
	})
	must(t, err)
	if ended.Status.State != runtimev1.Succeeded {
		t.Fatalf("the run is %s: %s", ended.Status.State, ended.Status.Message)
	}
	for _, st := range ended.Status.Stages {
		if st.Attempt != 1 {
			t.Errorf("stage %s took %d attempts: %s", st.Name, st.Attempt, st.Message)
		}
	}
	if end := ended.Status.Stages[0].CompletionTime; end == nil || end.Time.Before(outlived) {
		t.Errorf("the stage ended at %v, and its first sessions at %s", end, outlived)
	}
	s3, opened, err := m.Bucket(t.Context(), "data")
	must(t, err)
	for _, key := range []string{"result/f", "copy/f"} {
		info, err := s3.StatObject(t.Context(), opened.Bucket, key, minio.StatObjectOptions{})
		if err != nil || info.Size != 4 {
			t.Errorf("%s has %d bytes, %v", key, info.Size, err)
		}
	}
}

// shortSessions gives the installation short sessions for the time of the test.
func shortSessions(t *testing.T, c *live.Cluster) {
	t.Helper()
	config := &corev1.ConfigMap{}
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: names.SystemNamespace, Name: "unip-config"}, config))
	before := config.Data["unip.yaml"]
	set := func(ctx context.Context, text string) error {
		config.Data["unip.yaml"] = text
		if err := c.Update(ctx, config); err != nil {
			return err
		}
		deploy := "deploy/" + names.Controller
		if _, err := c.Kubectl(ctx, "-n", names.SystemNamespace, "rollout", "restart", deploy); err != nil {
			return err
		}
		_, err := c.Kubectl(ctx, "-n", names.SystemNamespace, "rollout", "status", deploy, "--timeout=2m")
		return err
	}
	short := strings.Replace(before, "s3:\n", "s3:\n  sessionSeconds: "+session+"\n", 1)
	if short == before || strings.Contains(before, "sessionSeconds") {
		t.Fatalf("this configuration cannot be given short sessions:\n%s", before)
	}
	t.Cleanup(func() {
		if err := set(context.WithoutCancel(t.Context()), before); err != nil {
			t.Error(err)
		}
	})
	must(t, set(t.Context(), short))
}

// expires is when the first session ends with which the stage's outputs may be published.
func expires(t *testing.T, m *live.Module, run string) (at time.Time) {
	t.Helper()
	must(t, live.Await(t.Context(), time.Minute, "the sessions of the stage", func(ctx context.Context) error {
		var secret corev1.Secret
		key := client.ObjectKey{Namespace: namespace, Name: names.StageSession(run, "works")}
		if err := m.Get(ctx, key, &secret); err != nil {
			return err
		}
		s, err := databox.ParseSession(secret.Data["publish-0.json"])
		at = s.Expiration
		return err
	}))
	return at
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
