//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	batchv1 "k8s.io/api/batch/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
)

// stage writes one stage of a manifest: a shell script in the echo image.
func stage(name, inputs, outputs, script string, more ...string) string {
	refs := func(s string) string {
		var all []string
		for _, v := range strings.Fields(s) {
			all = append(all, "{name: "+v+"}")
		}
		return "[" + strings.Join(all, ", ") + "]"
	}
	command, _ := json.Marshal([]string{"sh", "-ec", script}) // strings always encode
	s := fmt.Sprintf(
		"    - name: %s\n      image: {existingImageName: %s}\n      command: %s\n      inputs: %s\n      outputs: %s\n", name, echoImage, command, refs(inputs), refs(outputs))
	for _, m := range more {
		s += "      " + m + "\n"
	}
	return s
}

// pipelineOf writes a pipeline with an API of its own; variables are those of its stages.
func pipelineOf(ns, name, vars, annotations string, stages ...string) string {
	var all []string
	for _, v := range strings.Fields(vars) {
		all = append(all, "{name: "+v+"}")
	}
	return fmt.Sprintf(`---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata:
  name: %[1]s
  namespace: %[2]s
  annotations: {%[3]s}
spec:
  vars: [%[4]s]
  stages:
%[5]s  connectedBoxes: [{name: userdata, mountS3Box: {s3Path: users, mountPath: /userdata}}]
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: %[1]s-api, namespace: %[2]s}
spec:
  published: true
  experimentPipeline: {name: %[1]s}
  restfulApi: {path: %[1]s, auth: {basic: {credentials: users}}}
  apiSpec: {inputs: [{name: table}], outputs: [{name: result}]}
`, name, ns, annotations, strings.Join(all, ", "), strings.Join(stages, ""))
}

const runsHead = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: userdata, namespace: NS}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: users, namespace: NS}
stringData: {ann: s3same, boris: s4same}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: files-api, namespace: NS}
spec: {published: true, files: {}, restfulApi: {auth: {basic: {credentials: users}}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: runs-api, namespace: NS}
spec: {published: true, pipelines: {}, restfulApi: {auth: {basic: {credentials: users}}}}
`

// applyRuns brings a module with pipelines onto the cluster.
func applyRuns(t *testing.T, ns string, pipelines ...string) *live.Module {
	t.Helper()
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
	dir := t.TempDir()
	text := strings.ReplaceAll(runsHead, "NS", ns) + strings.Join(pipelines, "")
	if err := os.WriteFile(filepath.Join(dir, "module.yaml"), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := m.Apply(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, m)
	return m
}

// start starts a run by the API and gives its id.
func start(t *testing.T, m *live.Module, pipeline, body, key string) string {
	t.Helper()
	h := http.Header{}
	if key != "" {
		h.Set("Idempotency-Key", key)
	}
	a, err := m.Call(t.Context(), live.Request{Method: http.MethodPost,
		Path: "/" + m.Namespace + "/" + pipeline + "/run", User: user, Password: password, Header: h,
		Body: json.RawMessage(body)})
	if err != nil {
		t.Fatal(err)
	}
	var r struct {
		ID string `json:"run_id"`
	}
	if err := json.Unmarshal(a.Body, &r); err != nil || a.Status != http.StatusAccepted || r.ID == "" {
		t.Fatalf("run answered %d: %s", a.Status, a.Body)
	}
	return r.ID
}

func upload(t *testing.T, m *live.Module, path, content string) {
	t.Helper()
	if err := m.Upload(t.Context(), user, password, path, []byte(content)); err != nil {
		t.Fatal(err)
	}
}

func awaitRun(t *testing.T, m *live.Module, id string, want runtimev1.State) *runtimev1.PipelineRun {
	t.Helper()
	run, err := m.AwaitRun(t.Context(), id, 2*time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	if run.Status.State != want {
		t.Fatalf("run %s is %s: %s", id, run.Status.State, run.Status.Message)
	}
	return run
}

func stageStatus(t *testing.T, run *runtimev1.PipelineRun, name string) runtimev1.StageStatus {
	t.Helper()
	for _, st := range run.Status.Stages {
		if st.Name == name {
			return st
		}
	}
	t.Fatalf("no stage %s", name)
	return runtimev1.StageStatus{}
}

const table = `{"inputs":{"table":"userdata/in/t.csv"}}`

func diamondOf(ns, name, sleep string) string {
	return pipelineOf(ns, name, "table prepared left right result",
		`knative.unified-platform.cs.hse.ru/on-upload: '[{"box":"userdata","prefix":"incoming/","suffix":".csv","input":"table"}]'`,
		stage("prepare", "table", "prepared",
			sleep+`; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_PREPARED/"; echo prepared from "$UNIP_PIPELINE_TABLE"`),
		stage("left", "prepared", "left", `sleep 3; cat "$UNIP_PIPELINE_PREPARED"/* > "$UNIP_PIPELINE_LEFT/l"`),
		stage("right", "prepared", "right",
			`sleep 3; mkdir "$UNIP_PIPELINE_RIGHT/sub dir"; echo right > "$UNIP_PIPELINE_RIGHT/sub dir/Ф 1"`),
		stage("join", "left right", "result",
			`cat "$UNIP_PIPELINE_LEFT/l" "$UNIP_PIPELINE_RIGHT/sub dir/Ф 1" > "$UNIP_PIPELINE_RESULT/joined.txt"; python3 -c "import os; print(sum(k.startswith('UNIP_') for k in os.environ))" > "$UNIP_PIPELINE_RESULT/variables"`))
}

// runOfUpload waits for the run that an upload starts in a module without others.
func runOfUpload(t *testing.T, m *live.Module) (id string) {
	t.Helper()
	err := live.Await(t.Context(), time.Minute, "the upload's run", func(ctx ctx) error {
		runs, err := m.Runs(ctx)
		if err != nil || len(runs) == 0 {
			return errors.Join(err, errors.New("no run yet"))
		}
		id = runs[0].Name
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// An upload starts one run, whatever the name of the file and however often it is told; its result
// and its run are its user's alone.
func TestUploadStartsOneRun(t *testing.T) {
	t.Parallel()
	ns := "pu-e2e-pa-upload"
	m := applyRuns(t, ns, diamondOf(ns, "join", "true"))
	upload(t, m, "userdata/incoming/%D0%A4%20%24%28HOME%29%201.csv", "rows\n")
	id := runOfUpload(t, m)
	run := awaitRun(t, m, id, runtimev1.Succeeded)
	if run.Spec.User != user || run.Spec.Origin != "Upload" {
		t.Errorf("spec %+v", run.Spec)
	}
	left, right := stageStatus(t, run, "left"), stageStatus(t, run, "right")
	if !left.StartTime.Before(right.CompletionTime) || !right.StartTime.Before(left.CompletionTime) {
		t.Errorf("left %v to %v and right %v to %v do not overlap", left.StartTime, left.CompletionTime,
			right.StartTime, right.CompletionTime)
	}
	for _, c := range run.Status.Conditions {
		if c.Type == "EventsLost" {
			t.Errorf("the run did not go by its events: %s", c.Message)
		}
	}
	for file, want := range map[string]string{"joined.txt": "rows\nright\n", "variables": "3\n"} {
		if b, err := m.Download(t.Context(), user, password, run.Status.Outputs["result"]+file); err != nil ||
			string(b) != want {
			t.Errorf("%s: %q %v, want %q", file, b, err, want)
		}
	}
	if b, err := m.Download(t.Context(), user, password, "userdata/join/"+id+"/run.json"); err != nil ||
		!strings.Contains(string(b), `"Succeeded"`) {
		t.Errorf("run.json: %s %v", b, err)
	}
	for path, want := range map[string]int{"pipelines/runs/" + id: 404, "files/userdata/incoming/": 200,
		"files/userdata/" + run.Status.Outputs["result"][len("userdata/"):] + "joined.txt": 404} {
		a, err := m.Call(t.Context(), live.Request{Method: http.MethodGet, Path: "/" + ns + "/" + path, User: "boris",
			Password: "s4same"})
		if err != nil || a.Status != want || strings.Contains(string(a.Body), "csv") {
			t.Errorf("another user gets %s: %d %s %v", path, a.Status, a.Body, err)
		}
	}
	t.Run("commands", func(t *testing.T) { commands(t, m, id) })
	t.Run("told again", func(t *testing.T) { toldAgain(t, m, run) })
}

// commands does by unip what a user without access to the cluster can do.
func commands(t *testing.T, m *live.Module, id string) {
	host, err := m.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	unip := func(want string, args ...string) {
		t.Helper()
		env := []string{"UNIP_URL=" + m.Ingress + "/" + m.Namespace, "UNIP_HOST=" + host, "UNIP_USER=" + user,
			"UNIP_PASSWORD=" + password, filepath.Join(m.Root, "bin", "unip")}
		out, err := m.Run(t.Context(), nil, "env", append(env, args...)...)
		if err != nil || !strings.Contains(string(out), want) {
			t.Errorf("unip %v: %v\n%s\nwant %q", args, err, out, want)
		}
	}
	file := filepath.Join(t.TempDir(), "rows.csv")
	if err := os.WriteFile(file, []byte("more rows\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	unip("Ф $(HOME) 1.csv", "files", "ls", "userdata/incoming/")
	unip("", "files", "put", file, "userdata/other/")
	unip("", "files", "get", "userdata/other/rows.csv", file+".back")
	if b, err := os.ReadFile(file + ".back"); err != nil || string(b) != "more rows\n" {
		t.Errorf("what came back: %q %v", b, err)
	}
	unip(id, "runs")
	unip("+ join", "runs", id)
	unip(`"status": "Succeeded"`, "runs", id, "-o", "json")
	unip("prepared from /userdata/incoming/", "logs", id, "--stage", "prepare")
	unip("already", "cancel", id)
	unip("join  Succeeded", "run", "join", "--input", "table=userdata/other/rows.csv", "--output-to",
		"result=userdata/results/", "--idempotency-key", "by hand", "--wait")
	unip("joined.txt", "files", "ls", "userdata/results/")
	unip("", "files", "rm", "userdata/results/")
	runs, err := m.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	for i := range runs {
		if runs[i].Name != id {
			if err := m.Cluster.Delete(t.Context(), &runs[i]); err != nil {
				t.Error(err)
			}
		}
	}
}

// toldAgain posts what anybody in the cluster could, by the Broker, and what only Eventing could,
// past the controller's NetworkPolicy: the upload's event again, before and after the run is
// deleted, and events about others' files, unknown runs and finished stages.
func toldAgain(t *testing.T, m *live.Module, run *runtimev1.PipelineRun) {
	script := `
import sys, time, urllib.request, urllib.parse
ns, run, n = sys.argv[1], sys.argv[2], int(sys.argv[3])
p = "ru.hse.cs.unified-platform."
file = urllib.parse.quote("incoming/Ф $(HOME) 1.csv")
def post(url, type, **ext):
    h = {"Ce-Specversion": "1.0", "Ce-Id": "x", "Ce-Source": "/forged", "Ce-Type": p + type}
    h.update({"Ce-" + k: v for k, v in ext.items()})
    until = time.monotonic() + 60
    while True:
        try:
            return urllib.request.urlopen(urllib.request.Request(url, b"", h))
        except OSError as e:
            # Who publishes tries again, and so does Eventing.
            if getattr(e, "code", 599) < 500 or time.monotonic() > until:
                raise
            time.sleep(0.2)
controller = "http://unip-events.unip-system.svc.cluster.local/namespaces/%s/pipelines/join" % ns
broker = "http://broker-ingress.knative-eventing.svc.cluster.local/%s/default" % ns
for i in range(n):
    post(controller + "/uploads/0", "databox.object.created.v1", box="userdata", user="ann", subject=file)
post(broker, "databox.object.created.v1", box="userdata", user="boris", subject=file)
post(broker, "databox.object.created.v1", box="userdata", user="../ann", subject=file)
post(broker, "pipeline.run.requested.v1", pipeline="join", run="unknown")
post(broker, "pipeline.stage.succeeded.v1", pipeline="join", run=run, stage="prepare")
post(broker, "pipeline.stage.failed.v1", pipeline="join", run=run, stage="join")
`
	tell := func(n string) {
		t.Helper()
		_, err := m.RunPod(t.Context(), "knative-eventing", m.Namespace+"-tell-"+n, echoImage, "", "python3", "-c",
			script, m.Namespace, run.Name, n)
		if err != nil {
			t.Fatal(err)
		}
	}
	tell("5")
	again := &runtimev1.PipelineRun{}
	if err := m.Get(t.Context(), client.ObjectKeyFromObject(run), again); err != nil {
		t.Fatal(err)
	}
	if again.ResourceVersion != run.ResourceVersion && again.Status.State != run.Status.State {
		t.Errorf("the run became %s", again.Status.State)
	}
	if runs, err := m.Runs(t.Context()); err != nil || len(runs) != 1 {
		t.Errorf("%d runs, want 1: %v", len(runs), err)
	}
	if err := m.Cluster.Delete(t.Context(), run); err != nil {
		t.Fatal(err)
	}
	err := live.Await(t.Context(), time.Minute, "the run to go with its Jobs", func(ctx ctx) error {
		var jobs batchv1.JobList
		if err := m.List(ctx, &jobs, client.InNamespace(m.Namespace)); err != nil || len(jobs.Items) > 0 {
			return errors.Join(err, fmt.Errorf("%d Jobs are left", len(jobs.Items)))
		}
		if err := m.Get(ctx, client.ObjectKeyFromObject(run), again); !apierrors.IsNotFound(err) {
			return fmt.Errorf("the run is still there: %w", err)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	tell("1")
	if runs, err := m.Runs(t.Context()); err != nil || len(runs) != 0 {
		t.Errorf("%d runs after the first was deleted, want none: %v", len(runs), err)
	}
}

// What goes wrong in a stage ends the run with that reason, soon, and no later stage begins.
func TestFailingStages(t *testing.T) {
	t.Parallel()
	ns := "pu-e2e-pa-fails"
	then := func() string { return stage("later", "middle", "result", "true") }
	one := func(name, script string, more ...string) string {
		return pipelineOf(ns, name, "table middle result", "", stage("first", "table", "middle", script, more...),
			then())
	}
	m := applyRuns(t, ns,
		one("exits", `echo "no rows in the table" >&2; exit 3`),
		one("eats", `python3 -c "x = bytearray(300 << 20)"`, "resourceLimits: {memory: 64Mi}"),
		strings.Replace(one("missing", "true"), echoImage, "registry.localhost:5000/e2e/nothing:v1", 1),
		one("slow", "sleep 60", "timeout: 2s"),
		one("links", `ln -s /proc/self/environ "$UNIP_PIPELINE_MIDDLE/env"`),
		one("steals", `ln -s /unip/session/publish-0.json "$UNIP_PIPELINE_MIDDLE/key"`),
		one("replaces", `rmdir "$UNIP_PIPELINE_MIDDLE"; ln -s /unip/session "$UNIP_PIPELINE_MIDDLE"`),
		one("pipes", `rmdir "$UNIP_PIPELINE_MIDDLE"; mkfifo "$UNIP_PIPELINE_MIDDLE"`),
		one("paints", `printf '\033[2Jboo' > "$UNIP_PIPELINE_MIDDLE/$(printf 'a\nb')"`),
		one("chats", "exec python3 -c \"\nfor i in range(20000): print(i)\nraise KeyError('price')\n\""),
		one("fine", `echo 1 > "$UNIP_PIPELINE_MIDDLE/a"`),
		one("again", `test -e /nothing || { echo "$RANDOM" > "$UNIP_PIPELINE_MIDDLE/part"; exit 1; }`, "retries: 1"),
	)
	upload(t, m, "userdata/in/t.csv", "1")
	cases := map[string]struct {
		reason, message string
		takes           time.Duration // what it waits for before it can end
		attempts        int
	}{
		"exits":   {"Error", "exit code 3: no rows in the table", 0, 1},
		"chats":   {"Error", "exit code 1: KeyError: 'price'", 0, 1},
		"eats":    {"OOMKilled", "needed more memory than its limit of 64Mi", 0, 1},
		"missing": {"ImagePull", "registry.localhost:5000/e2e/nothing:v1 cannot be had", 20 * time.Second, 1},
		"slow":    {"DeadlineExceeded", "longer than its timeout of 2s", 2 * time.Second, 1},
		"links":   {"InvalidOutput", `"env" is a symbolic link to "/proc/self/environ", which is outside`, 0, 1},
		"steals":  {"InvalidOutput", `"key" is a symbolic link to "/unip/session/`, 0, 1},
		"again":   {"Error", "exit code 1", 0, 2},

		"replaces": {"InvalidOutput", `"middle" is a symbolic link`, 0, 1},
		"pipes":    {"InvalidOutput", `"middle" is a named pipe`, 0, 1},
		"paints":   {"InvalidOutput", `"a\nb" cannot be a file's name`, 0, 1},
	}
	ids := map[string]string{}
	for name := range cases {
		ids[name] = start(t, m, name, table, "")
	}
	// How long is soon, is what a run of as many stages needs at the same time, and not a matter of how
	// much else the machine has to do.
	took := func(r *runtimev1.PipelineRun) time.Duration {
		return r.Status.CompletionTime.Sub(r.CreationTimestamp.Time)
	}
	soon := 3 * took(awaitRun(t, m, start(t, m, "fine", table, ""), runtimev1.Succeeded))
	for name, c := range cases {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			run := awaitRun(t, m, ids[name], runtimev1.Failed)
			first, later := stageStatus(t, run, "first"), stageStatus(t, run, "later")
			if first.Reason != c.reason || !strings.Contains(first.Message, c.message) ||
				!strings.Contains(run.Status.Message, c.message) || first.Attempt != c.attempts {
				t.Errorf("stage: %s %q in attempt %d; run: %q", first.Reason, first.Message, first.Attempt,
					run.Status.Message)
			}
			if later.State != runtimev1.Skipped || later.Job != "" {
				t.Errorf("the later stage: %s %s", later.State, later.Job)
			}
			if n := took(run); n > c.takes+soon {
				t.Errorf("it took %s, more than %s", n, c.takes+soon)
			}
		})
	}
}

// What a trainer leaves arrives in the next stage, wherever that sees it: links, a file of two names,
// folders without files. The user's copies are files.
func TestLinksAndEmptyFolders(t *testing.T) {
	t.Parallel()
	ns := "pu-e2e-pa-links"
	m := applyRuns(t, ns, strings.Replace(pipelineOf(ns, "train", "table model result", "",
		stage("fit", "table", "model", `cd "$UNIP_PIPELINE_MODEL"
mkdir -p epoch-3 logs checkpoints/epoch-1
echo weights > epoch-3/model
ln -s epoch-3 last
ln -s "$UNIP_PIPELINE_MODEL/last/model" best
ln -s /unip/data/model/logs logs-now
ln epoch-3/model same`),
		stage("use", "model", "result", `cd "$UNIP_PIPELINE_MODEL"
for d in logs logs-now checkpoints/epoch-1 last; do test -d "$d"; done
for f in epoch-3/model last/model best same; do cat "$f" > "$UNIP_PIPELINE_RESULT/$(echo "$f" | tr / -)"; done
mkdir "$UNIP_PIPELINE_RESULT/nothing"
ln -s best "$UNIP_PIPELINE_RESULT/again"`)), "{name: model}", "{name: model, mountTo: /work/model}", 1))
	upload(t, m, "userdata/in/t.csv", "1")
	run := awaitRun(t, m, start(t, m, "train", table, ""), runtimev1.Succeeded)
	want := map[string]string{}
	for _, name := range []string{"epoch-3-model", "last-model", "best", "same", "again"} {
		want[name] = "weights\n"
	}
	if got := resultFiles(t, m, run.Status.Outputs["result"]); !maps.Equal(got, want) {
		t.Errorf("the result is %q, want %q", got, want)
	}
}

// Python's files in an image are compiled when it is built, and not at every start.
func TestImagesAreCompiled(t *testing.T) {
	t.Parallel()
	ns := "pu-e2e-pa-compiled"
	m := applyRuns(t, ns, pipelineOf(ns, "look", "table result", "", stage("look", "table", "result",
		`python3 -c 'import os, http.client, json.decoder
for m in http.client, json.decoder: assert os.path.exists(m.__cached__), m.__cached__'`)))
	upload(t, m, "userdata/in/t.csv", "1")
	awaitRun(t, m, start(t, m, "look", table, ""), runtimev1.Succeeded)
}

// A second attempt leaves its own files only, and runs of a pipeline with max-parallel-runs take
// turns.
func TestRetriesAndTurns(t *testing.T) {
	t.Parallel()
	ns := "pu-e2e-pa-turns"
	m := applyRuns(t, ns,
		pipelineOf(ns, "retries", "table result", "",
			stage("fit", "table", "result",
				`case $(cat /etc/hostname) in *-1-?????) echo 1 > "$UNIP_PIPELINE_RESULT/part"; echo 1 > "$UNIP_PIPELINE_RESULT/model"; exit 1;; esac; echo 2 > "$UNIP_PIPELINE_RESULT/model"`, "retries: 1")),
		pipelineOf(ns, "turns", "table result", `knative.unified-platform.cs.hse.ru/max-parallel-runs: "1"`,
			stage("work", "table", "result",
				`date +%s.%N > "$UNIP_PIPELINE_RESULT/from"; sleep 1; date +%s.%N > "$UNIP_PIPELINE_RESULT/to"`)))
	upload(t, m, "userdata/in/t.csv", "1")
	retried := start(t, m, "retries", table, "")
	var ids []string
	for range 3 {
		ids = append(ids, start(t, m, "turns", table, ""))
	}

	run := awaitRun(t, m, retried, runtimev1.Succeeded)
	if st := stageStatus(t, run, "fit"); st.Attempt != 2 {
		t.Errorf("it took %d attempts, want 2", st.Attempt)
	}
	if got := resultFiles(t, m, run.Status.Outputs["result"]); !maps.Equal(got, map[string]string{"model": "2\n"}) {
		t.Errorf("the result is %q, want the second attempt's model only", got)
	}

	type span struct{ from, to string }
	var spans []span
	for _, id := range ids {
		f := resultFiles(t, m, awaitRun(t, m, id, runtimev1.Succeeded).Status.Outputs["result"])
		// as text they sort as numbers: so many digits for the next 250 years
		spans = append(spans, span{f["from"], f["to"]})
	}
	slices.SortFunc(spans, func(a, b span) int { return strings.Compare(a.from, b.from) })
	for i := 1; i < len(spans); i++ {
		if spans[i].from < spans[i-1].to {
			t.Errorf("two runs at once: %q", spans)
		}
	}
}

// resultFiles are all objects below a place of the user's area, by their path below it.
func resultFiles(t *testing.T, m *live.Module, place string) map[string]string {
	t.Helper()
	pl, err := databox.ParsePlace(place)
	if err != nil {
		t.Fatal(err)
	}
	s3, session, err := m.Bucket(t.Context(), pl.Box)
	if err != nil {
		t.Fatal(err)
	}
	files, prefix := map[string]string{}, databox.UserPrefix(user)+pl.Path
	for o := range s3.ListObjects(t.Context(), session.Bucket,
		minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		b, err := m.Download(t.Context(), user, password, pl.Box+"/"+strings.TrimPrefix(o.Key,
			databox.UserPrefix(user)))
		if err != nil {
			t.Fatal(err)
		}
		files[strings.TrimPrefix(o.Key, prefix)] = string(b)
	}
	return files
}
