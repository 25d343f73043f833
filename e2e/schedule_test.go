//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// scheduledOf is a module with one pipeline that needs nobody.
func scheduledOf(ns, annotations string) string {
	return fmt.Sprintf(`apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: results, namespace: %[1]s}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata: {name: ticks, namespace: %[1]s, annotations: {%[2]s}}
spec:
  vars: [{name: result}]
  stages:
%[3]s`, ns, annotations, stage("tick", "", "result", `echo tick > "$UNIP_PIPELINE_RESULT/said"`))
}

// A schedule starts one run a minute by real pings, with nobody's name, into the developer's area;
// without the annotation its PingSource goes.
func TestSchedule(t *testing.T) {
	t.Parallel()
	ns := "pu-e2e-pa-schedule"
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
	file := filepath.Join(t.TempDir(), "module.yaml")
	apply := func(annotations string) string {
		t.Helper()
		if err := os.WriteFile(file, []byte(scheduledOf(ns, annotations)), 0o600); err != nil {
			t.Fatal(err)
		}
		return unip(t, m, 0, "apply", "-f", file)
	}
	if out := apply(`knative.unified-platform.cs.hse.ru/schedule: "* * * * *"`); !strings.Contains(out,
		"pingsource.sources.knative.dev/ticks-schedule created") {
		t.Errorf("apply says\n%s", out)
	}
	if got := unip(t, m, 0, "diff", "-f", file); got != "" {
		t.Errorf("after apply there is a difference:\n%s", got)
	}

	due := func(run *runtimev1.PipelineRun) time.Time {
		t.Helper()
		at, err := time.Parse(time.RFC3339, strings.TrimPrefix(run.Spec.IdempotencyKey, "schedule/"))
		if err != nil {
			t.Fatal(err)
		}
		return at
	}
	var runs []runtimev1.PipelineRun
	for n := 1; n <= 2; n++ {
		err := live.Await(t.Context(), 75*time.Second, fmt.Sprintf("run %d of the schedule", n),
			func(ctx ctx) (err error) {
				if runs, err = m.Runs(ctx); err != nil || len(runs) < n {
					return errors.Join(err, fmt.Errorf("%d runs", len(runs)))
				}
				return nil
			})
		if err != nil {
			t.Fatal(err)
		}
	}
	installed, err := cluster.Installation(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	slices.SortFunc(runs, func(a, b runtimev1.PipelineRun) int { return due(&a).Compare(due(&b)) })
	for i := range runs {
		at := due(&runs[i])
		late := runs[i].CreationTimestamp.Sub(at)
		// Of the first, the ping may have been missed: what sends pings is only now started by
		// Knative. What is later than the grace period was not begun by its ping.
		if late < 0 || (i > 0 && late >= installed.Runs.Grace()) || at.Second() != 0 {
			t.Errorf("the run that was due at %s was made %s later", at, late)
		}
		if i > 0 && at.Sub(due(&runs[i-1])) != time.Minute {
			t.Errorf("runs are due at %s and at %s", due(&runs[i-1]), at)
		}
	}
	p := &runtimev1.Pipeline{}
	if err := m.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "ticks"}, p); err != nil {
		t.Fatal(err)
	}
	if c := meta.FindStatusCondition(p.Status.Conditions, "Scheduled"); c == nil || c.Reason != "Scheduled" {
		t.Errorf("the pipeline did not go by its pings: %+v", c)
	}
	t.Run("result", func(t *testing.T) { scheduledResult(t, m, runs[0].Name) })

	if out := apply(""); !strings.Contains(out, "pingsource.sources.knative.dev/ticks-schedule deleted") {
		t.Errorf("apply says\n%s", out)
	}
	for kind, no := range map[string]string{"pingsources": "ticks-schedule", "triggers": "dev.knative.sources.ping"} {
		if out, err := m.Kubectl(t.Context(), "-n", ns, "get", kind, "-o", "yaml"); err != nil ||
			strings.Contains(out, no) {
			t.Errorf("%s without a schedule: %s %v", kind, out, err)
		}
	}
	err = live.Await(t.Context(), 15*time.Second, "the end of the schedule", func(ctx ctx) error {
		again := &runtimev1.Pipeline{}
		if err := m.Get(ctx, client.ObjectKey{Namespace: ns, Name: "ticks"}, again); err != nil ||
			again.Status.Schedule != nil {
			return errors.Join(err, fmt.Errorf("status %+v", again.Status.Schedule))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// scheduledResult looks at what a scheduled run leaves, as a developer with kubectl can.
func scheduledResult(t *testing.T, m *live.Module, id string) {
	run := awaitRun(t, m, id, runtimev1.Succeeded)
	if run.Spec.User != "" || run.Spec.Origin != "Schedule" ||
		run.Status.Outputs["result"] != "results:/ticks/"+id+"/result/" {
		t.Errorf("spec %+v, outputs %v", run.Spec, run.Status.Outputs)
	}
	s3, session, err := m.Bucket(t.Context(), "results")
	if err != nil {
		t.Fatal(err)
	}
	read := func(ctx ctx, key string) (string, error) {
		o, err := s3.GetObject(ctx, session.Bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return "", err
		}
		defer o.Close()
		b, err := io.ReadAll(io.LimitReader(o, 1<<20))
		return string(b), err
	}
	if said, err := read(t.Context(), "ticks/"+id+"/result/said"); err != nil || said != "tick\n" {
		t.Errorf("its result: %q %v", said, err)
	}
	err = live.Await(t.Context(), 15*time.Second, "run.json", func(ctx ctx) error {
		text, err := read(ctx, "ticks/"+id+"/run.json")
		if err != nil {
			return err
		}
		var r struct{ Status, Origin, User string }
		if err := json.Unmarshal([]byte(text), &r); err != nil || r.Status != "Succeeded" || r.Origin != "Schedule" ||
			r.User != "" {
			return errors.Join(err, errors.New(text))
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	for o := range s3.ListObjects(t.Context(), session.Bucket,
		minio.ListObjectsOptions{Prefix: "users/", Recursive: true}) {
		t.Errorf("among users' files: %s %v", o.Key, o.Err)
	}
}
