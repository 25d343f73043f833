//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// placedOf is a pipeline whose boxes say where its variables lie, with constant data, and with places
// of its own for what it leaves.
func placedOf(ns string) string {
	return fmt.Sprintf(`---
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: weights, namespace: %[1]s}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata: {name: place, namespace: %[1]s}
spec:
  vars:
    - {name: table}
    - {name: base, mountFrom: {box: weights, path: base/resnet.pt}}
    - {name: model, mountFrom: {box: weights, path: models/}}
    - {name: log, mountFrom: {box: userdata, path: users/logs/}}
    - {name: paths}
  stages:
%[2]s  connectedBoxes:
    - {name: userdata, mountS3Box: {s3Path: users, mountPath: /visitors}}
    - {name: weights, mountS3Box: {s3Path: /, mountPath: /weights}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: place-api, namespace: %[1]s}
spec:
  published: true
  experimentPipeline: {name: place}
  restfulApi: {path: place, auth: {basic: {credentials: users}}}
  apiSpec:
    inputs: [{name: table, type: {datatypes: [FILE], content_types: [text/csv]}}]
    outputs: [{name: model}, {name: log}, {name: paths}]
`, ns, stage("fit", "table base", "model log paths", `
cat /visitors/incoming/*.csv /weights/base/resnet.pt > "$UNIP_PIPELINE_MODEL/m" ||
	cat "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_BASE" > "$UNIP_PIPELINE_MODEL/m"
echo log > "$UNIP_PIPELINE_LOG/l"
ls -A /weights > "$UNIP_PIPELINE_PATHS/weights"
printf '%s\n' "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_BASE" "$UNIP_PIPELINE_MODEL" \
	"$UNIP_PIPELINE_LOG" > "$UNIP_PIPELINE_PATHS/paths"`))
}

// Variables lie where connectedBoxes have their files, and outputs go where the pipeline says: to the
// developer's area, and among the caller's own files. What no container can have keeps its own
// folder, and the run says so.
func TestDefaultPlaces(t *testing.T) {
	t.Parallel()
	ns := "pu-e2e-pa-places"
	m := applyRuns(t, ns, placedOf(ns))
	if err := m.Put(t.Context(), "weights", "base/resnet.pt", []byte("base\n")); err != nil {
		t.Fatal(err)
	}
	if err := m.Put(t.Context(), "weights", "secret", []byte("not of this stage\n")); err != nil {
		t.Fatal(err)
	}
	upload(t, m, "userdata/incoming/t.csv", "rows\n")
	upload(t, m, "userdata/12%3A30/t.csv", "rows\n")

	id := start(t, m, "place", `{"inputs":{"table":"userdata/incoming/t.csv"}}`, "")
	run := awaitRun(t, m, id, runtimev1.Succeeded)
	if run.Status.Outputs["model"] != "weights:/models/" || run.Status.Outputs["log"] != "userdata/logs/" {
		t.Errorf("outputs %v", run.Status.Outputs)
	}
	weights, session, err := m.Bucket(t.Context(), "weights")
	if err != nil {
		t.Fatal(err)
	}
	if got := objectAt(t, weights, session.Bucket, "models/m"); got != "rows\nbase\n" {
		t.Errorf("the model is %q", got)
	}
	if got := resultFiles(t, m, "userdata/logs/"); got["l"] != "log\n" {
		t.Errorf("the caller's logs are %q", got)
	}
	got := resultFiles(t, m, run.Status.Outputs["paths"])
	want := "/visitors/incoming/t.csv\n/weights/base/resnet.pt\n/weights/models\n/visitors/logs\n"
	if got["paths"] != want {
		t.Errorf("paths %q, want %q", got["paths"], want)
	}
	if got["weights"] != "base\nmodels\n" {
		t.Errorf("beside what the stage names there is in /weights: %q", got["weights"])
	}
	if c := meta.FindStatusCondition(run.Status.Conditions, runtimev1.ConditionPlaced); c != nil {
		t.Errorf("condition %+v", c)
	}

	id = start(t, m, "place", `{"inputs":{"table":"userdata/12:30/t.csv"},"outputs":{"model":"userdata/mine/"}}`, "")
	run = awaitRun(t, m, id, runtimev1.Succeeded)
	if got := resultFiles(t, m, "userdata/mine/"); got["m"] != "rows\nbase\n" {
		t.Errorf("the place that a caller names: %q", got)
	}
	c := meta.FindStatusCondition(run.Status.Conditions, runtimev1.ConditionPlaced)
	if c == nil || !strings.Contains(c.Message, "table lies at /unip/data/table/t.csv") ||
		!strings.Contains(c.Message, "colon") {
		t.Errorf("a colon in a path: condition %+v", c)
	}

	upload(t, m, "userdata/incoming/t.png", "no table")
	a, err := m.Call(t.Context(), live.Request{Method: "POST", Path: "/" + ns + "/place/run", User: user,
		Password: password,
		Body:     map[string]any{"inputs": map[string]string{"table": "userdata/incoming/t.png"}}})
	if err != nil || a.Status != 400 || !strings.Contains(string(a.Body), "/inputs/table") ||
		!strings.Contains(string(a.Body), "image/png") {
		t.Errorf("a picture for a table: %d %s %v", a.Status, a.Body, err)
	}
}

const readerHead = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: herbarium, namespace: %[1]s}
spec: {datasetReference: {datasetComponentRef: {name: pressed, namespace: %[2]s}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: results, namespace: %[1]s}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata: {name: count, namespace: %[1]s, labels: {team: flora}}
spec:
  vars: [{name: leaves}, {name: result, mountFrom: {box: results, path: counts/}}]
  stages:
%[3]s  connectedBoxes: [{name: herbarium, mountDataset: {mountPath: /herbarium}}]
`

const sharerHead = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: sheets, namespace: %[1]s}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: DatasetComponent
metadata:
  name: pressed
  namespace: %[1]s
  annotations: {knative.unified-platform.cs.hse.ru/shared-with: %[2]q}
spec: {box: sheets, path: leaves/pressed, license: CC-BY}
`

// A module reads the dataset of another one, all of it and nothing beside it, as long as its owner
// shares it.
func TestDatasetOfAnotherModule(t *testing.T) {
	t.Parallel()
	owner, reader := cleared(t, "pu-e2e-pa-herbarium"), cleared(t, "pu-e2e-pa-reader")
	apply := func(m *live.Module, text string) {
		t.Helper()
		if err := m.ApplyText(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	apply(owner, fmt.Sprintf(sharerHead, owner.Namespace, "pu-e2e-pa-reader"))
	awaitReady(t, owner)
	for key, content := range map[string]string{"leaves/pressed/oak.csv": "oak\n",
		"leaves/pressed/sub/elm.csv": "elm\n",
		"leaves/pressed-not/x.csv":   "secret\n", "other.csv": "secret\n"} {
		if err := owner.Put(t.Context(), "sheets", key, []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	apply(reader, fmt.Sprintf(readerHead, reader.Namespace, owner.Namespace,
		stage("count", "leaves", "result", `
python3 -c 'import os, sys; print("\n".join(sorted({os.path.join(d, f) for a in sys.argv[1:]
	for d, _, all in os.walk(a) for f in all})))' /herbarium "$UNIP_PIPELINE_LEAVES" > "$UNIP_PIPELINE_RESULT/files"
cat /herbarium/*.csv /herbarium/sub/*.csv > "$UNIP_PIPELINE_RESULT/leaves"`)))
	awaitReady(t, reader)
	begin := func() *runtimev1.PipelineRun {
		t.Helper()
		run := &runtimev1.PipelineRun{}
		run.GenerateName, run.Namespace = "count-", reader.Namespace
		run.Labels = map[string]string{runtimev1.PipelineLabel: "count"}
		run.Spec.Pipeline = "count"
		if err := cluster.Create(t.Context(), run); err != nil {
			t.Fatal(err)
		}
		return run
	}
	counted := begin().Name
	awaitRun(t, reader, counted, runtimev1.Succeeded)
	var jobs batchv1.JobList // labels of the manifest are theirs and their pods'
	if err := cluster.List(t.Context(), &jobs, client.InNamespace(reader.Namespace),
		client.MatchingLabels{runtimev1.RunLabel: counted, "team": "flora"}); err != nil || len(jobs.Items) != 1 ||
		jobs.Items[0].Spec.Template.Labels["team"] != "flora" {
		t.Errorf("%v %+v", err, jobs.Items)
	}
	results, session, err := reader.Bucket(t.Context(), "results")
	if err != nil {
		t.Fatal(err)
	}
	saw := objectAt(t, results, session.Bucket, "counts/files")
	if saw != "/herbarium/oak.csv\n/herbarium/sub/elm.csv\n" {
		t.Errorf("the stage saw %q", saw)
	}
	if got := objectAt(t, results, session.Bucket, "counts/leaves"); got != "oak\nelm\n" {
		t.Errorf("the dataset is %q", got)
	}

	// The DataBox of the dataset's name, shared as well, is no way around its owner's taking it back.
	apply(owner, fmt.Sprintf(sharerHead, owner.Namespace, "nobody")+fmt.Sprintf(`---
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: pressed, namespace: %s,
  annotations: {knative.unified-platform.cs.hse.ru/shared-with: pu-e2e-pa-reader}}
spec: {s3DefaultStorage: {}}
`, owner.Namespace))
	err = live.Await(t.Context(), 30*time.Second, "the end of sharing", func(ctx context.Context) error {
		box := &platformv1.DataBox{}
		err := cluster.Get(ctx, client.ObjectKey{Namespace: reader.Namespace, Name: "herbarium"}, box)
		if c := meta.FindStatusCondition(box.Status.Conditions, platformv1.ConditionReady); err == nil &&
			(c == nil || c.Reason != platformv1.ReasonNotShared) {
			err = errors.New("the box is still ready")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	run := awaitRun(t, reader, begin().Name, runtimev1.Failed)
	if !strings.Contains(run.Status.Message, "not shared") || len(run.Status.Stages) != 0 {
		t.Errorf("%s with %d stages", run.Status.Message, len(run.Status.Stages))
	}
}

const movingReader = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: herbarium, namespace: %[1]s}
spec: {datasetReference: {datasetComponentRef: {name: pressed, namespace: %[2]s}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: files, namespace: %[1]s}
spec: {published: true, files: {}, restfulApi: {auth: {basic: {credentials: users}}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: users, namespace: %[1]s}
stringData: {ann: s3same}
`

// A dataset that becomes another folder is read as that by a gateway that runs already.
func TestADatasetThatMoves(t *testing.T) {
	t.Parallel()
	owner, reader := cleared(t, "pu-e2e-pa-moving"), cleared(t, "pu-e2e-pa-follower")
	apply := func(m *live.Module, text string) {
		t.Helper()
		if err := m.ApplyText(t.Context(), text); err != nil {
			t.Fatal(err)
		}
	}
	shared := fmt.Sprintf(sharerHead, owner.Namespace, reader.Namespace)
	apply(owner, shared)
	awaitReady(t, owner)
	for _, key := range []string{"leaves/pressed/oak/1", "leaves/dried/elm/1"} {
		if err := owner.Put(t.Context(), "sheets", key, []byte(key)); err != nil {
			t.Fatal(err)
		}
	}
	apply(reader, fmt.Sprintf(movingReader, reader.Namespace, owner.Namespace))
	awaitReady(t, reader)
	shows := func(path string) error {
		a, err := reader.Call(t.Context(), live.Request{Method: http.MethodGet,
			Path: "/" + reader.Namespace + "/files/herbarium/" + path, User: "ann", Password: "s3same"})
		if err == nil && a.Status != http.StatusOK {
			err = fmt.Errorf("%s: %d %s", path, a.Status, a.Body)
		}
		return err
	}
	await := func(path string) {
		t.Helper()
		if err := live.Await(t.Context(), 3*time.Minute, path, func(context.Context) error {
			return shows(path)
		}); err != nil {
			t.Fatal(err)
		}
	}
	gateway := func() (all []string) {
		t.Helper()
		var pods corev1.PodList
		if err := cluster.List(t.Context(), &pods, client.InNamespace(reader.Namespace),
			client.MatchingLabels{"serving.knative.dev/service": "gateway"}); err != nil {
			t.Fatal(err)
		}
		for _, p := range pods.Items {
			for _, c := range p.Status.ContainerStatuses {
				all = append(all, p.Name+" "+c.ContainerID)
			}
		}
		return all
	}
	await("oak/1")
	before := gateway()
	apply(owner, strings.Replace(shared, "leaves/pressed", "leaves/dried", 1))
	await("elm/1")
	if shows("oak/1") == nil {
		t.Error("the folder of before is still shown")
	}
	if after := gateway(); !slices.Equal(before, after) {
		t.Errorf("not the same pods: %v, before %v", after, before)
	}
}

// objectAt is what an object holds.
func objectAt(t *testing.T, s3 *minio.Client, bucket, key string) string {
	t.Helper()
	o, err := s3.GetObject(t.Context(), bucket, key, minio.GetObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	b, err := io.ReadAll(o)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
