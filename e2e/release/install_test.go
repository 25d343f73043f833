//go:build e2e

package release

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"sigs.k8s.io/yaml"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

const (
	system         = "unip-system"
	demo           = "pu-ann-pa-digits"
	user, password = "ann", "s3same"
)

// An operator with a fresh cluster has the release before, and upgrades it by `unip upgrade` while runs
// are under way: each ends well, and once. Then unip is taken away, and the release installed by kubectl
// and one Secret. The demo's circle goes by its programs, and its upload by the inbox of the
// installation that was taken away.
func TestInstallation(t *testing.T) {
	c, err := live.Connect()
	if err != nil {
		t.Fatal(err)
	}
	i := &installation{T: t, Cluster: c, unip: filepath.Join(unpacked(t), "unip")}
	i.keepSettings()
	i.copyImages()
	t.Run("upgrade", i.upgrade)
	if t.Run("remove", i.remove) && t.Run("install", i.install) && t.Run("demo", i.demo) {
		t.Run("remove again", i.remove)
	}
}

// installation is what one step leaves for the next.
type installation struct {
	*testing.T
	*live.Cluster

	unip string
	// settings are the operator's Secret and ConfigMap.
	settings []byte
}

// kubectl runs it, and ends the test with its error.
func (i *installation) kubectl(t *testing.T, args ...string) string {
	t.Helper()
	out, err := i.Kubectl(t.Context(), args...)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// keepSettings takes what the cluster's maker has written for unip: where S3 is, and its keys. The
// namespace goes, so that nothing of unip is there.
func (i *installation) keepSettings() {
	for _, what := range []string{"secret/unip-s3", "configmap/unip-config"} {
		var o map[string]any
		text := i.kubectl(i.T, "-n", system, "get", what, "-o", "yaml")
		if err := yaml.Unmarshal([]byte(text), &o); err != nil {
			i.Fatal(err)
		}
		o["metadata"] = map[string]any{"namespace": system, "name": strings.Split(what, "/")[1]}
		b, err := yaml.Marshal(o)
		if err != nil {
			i.Fatal(err)
		}
		i.settings = slices.Concat(i.settings, []byte("---\n"), b)
	}
	i.kubectl(i.T, "delete", "namespace", system)
}

func (i *installation) applySettings(t *testing.T) {
	t.Helper()
	if _, err := i.Cluster.Run(t.Context(), i.settings, "kubectl", "apply", "-f", "-"); err != nil {
		t.Fatal(err)
	}
}

// copyImages brings the release's images into the cluster's registry, as skopeo does for an operator
// whose cluster reaches no other one.
func (i *installation) copyImages() {
	dir := i.TempDir()
	output(i.Context(), i.T, nil, "tar", "-xf", one(i.T, "unip-images-*.tar"), "-C", dir)
	from, err := layout.FromPath(dir)
	if err != nil {
		i.Fatal(err)
	}
	index, err := from.ImageIndex()
	if err != nil {
		i.Fatal(err)
	}
	manifest, err := index.IndexManifest()
	if err != nil {
		i.Fatal(err)
	}
	s3, err := url.Parse(os.Getenv("UNIP_S3_ENDPOINT")) // on the same machine as the registry
	if err != nil {
		i.Fatal(err)
	}
	for _, d := range manifest.Manifests {
		to := s3.Hostname() + ":5000/unip/" + d.Annotations["org.opencontainers.image.ref.name"] + ":release"
		ref, err := name.ParseReference(to, name.Insecure)
		if err != nil {
			i.Fatal(err)
		}
		if d.MediaType.IsIndex() {
			content, err := index.ImageIndex(d.Digest)
			if err != nil {
				i.Fatal(err)
			}
			err = remote.WriteIndex(ref, content, remote.WithContext(i.Context()))
			if err != nil {
				i.Fatal(err)
			}
			continue
		}
		content, err := index.Image(d.Digest)
		if err != nil {
			i.Fatal(err)
		}
		if err := remote.Write(ref, content, remote.WithContext(i.Context())); err != nil {
			i.Fatal(err)
		}
	}
}

// doctor says what it found, and whether all was well.
func (i *installation) doctor(t *testing.T) (string, error) {
	out, err := exec.CommandContext(t.Context(), i.unip, "doctor").CombinedOutput()
	return string(out), err
}

func (i *installation) install(t *testing.T) {
	said, err := i.doctor(t)
	if err == nil || !strings.Contains(said, "FAIL  unip: ") || !strings.Contains(said, "ok    Knative Serving: ") ||
		!strings.Contains(said, "cure: `unip install` of a release") {
		t.Errorf("before: %v\n%s", err, said)
	}
	begin := time.Now()
	i.kubectl(t, "apply", "-f", dist("unip.yaml"))
	i.applySettings(t)
	i.kubectl(t, "-n", system, "rollout", "status", "deploy", "--timeout=120s")
	t.Logf("installed within %.0f s", time.Since(begin).Seconds())
	if err := live.Await(t.Context(), time.Minute, "doctor", func(context.Context) error {
		said, err := i.doctor(t)
		if err != nil {
			return fmt.Errorf("%w\n%s", err, said)
		}
		return nil
	}); err != nil {
		t.Error(err)
	}
	// What kubectl has applied is what unip would.
	out := string(output(t.Context(), t, nil, i.unip, "install", "--dry-run"))
	if strings.Contains(out, " created: dry run") || strings.Contains(out, " configured: dry run") {
		t.Errorf("unip install would change what kubectl has applied:\n%s", out)
	}
}

func (i *installation) demo(t *testing.T) {
	out, err := i.Cluster.Run(t.Context(), nil, "go", "run", "./e2e/demo/cluster", "--unip", i.unip)
	t.Logf("%s", out)
	if err != nil {
		t.Fatal(err)
	}
	if err := i.Module(demo).Delete(t.Context()); err != nil {
		t.Error(err)
	}
}

// remove is the end of an installation, CRDs included.
func (i *installation) remove(t *testing.T) {
	i.kubectl(t, "delete", "-f", dist("unip.yaml"), "--timeout=120s")
	if left := i.kubectl(t, "get", "crd", "-o", "name"); strings.Contains(left, "unified-platform") {
		t.Errorf("there is still %s", left)
	}
}

// before is the folder of the release before: before.yaml, and its unip.
func before(t *testing.T) (manifest, unip string) {
	t.Helper()
	dir := os.Getenv("UNIP_BEFORE")
	if dir == "" {
		t.Fatal("UNIP_BEFORE names the folder of the release before; `make e2e-install` makes it")
	}
	return filepath.Join(dir, "unip.yaml"), filepath.Join(dir, "unip")
}

const upgraded = "pu-e2e-pa-upgraded"

// slow is a module with a pipeline whose runs take longer than an upgrade.
const slow = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: userdata, namespace: pu-e2e-pa-upgraded}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: users, namespace: pu-e2e-pa-upgraded}
stringData: {ann: s3same}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: files-api, namespace: pu-e2e-pa-upgraded}
spec: {published: true, files: {}, restfulApi: {auth: {basic: {credentials: users}}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata:
  name: copy
  namespace: pu-e2e-pa-upgraded
  annotations:
    knative.unified-platform.cs.hse.ru/on-upload: '[{"box":"userdata","prefix":"incoming/","input":"table"}]'
spec:
  vars: [{name: table}, {name: half}, {name: result}]
  stages:
    - name: first
      image: {existingImageName: 'registry.localhost:5000/e2e/echo:v1'}
      command: [sh, -ec, 'sleep 20; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_HALF/copied"']
      inputs: [{name: table}]
      outputs: [{name: half}]
    - name: second
      image: {existingImageName: 'registry.localhost:5000/e2e/echo:v1'}
      command: [sh, -ec, 'sleep 5; cp "$UNIP_PIPELINE_HALF/copied" "$UNIP_PIPELINE_RESULT/copied"']
      inputs: [{name: half}]
      outputs: [{name: result}]
  connectedBoxes: [{name: userdata, mountS3Box: {s3Path: users, mountPath: /userdata}}]
`

func (i *installation) upgrade(t *testing.T) {
	manifest, unip := before(t)
	m := i.Module(upgraded)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.Diagnose(context.Background()))
		}
		if err := m.Delete(context.Background()); err != nil {
			t.Error(err)
		}
	})
	i.kubectl(t, "apply", "-f", manifest)
	i.applySettings(t)
	i.kubectl(t, "-n", system, "rollout", "status", "deploy", "--timeout=120s")
	module := filepath.Join(t.TempDir(), "module.yaml")
	if err := os.WriteFile(module, []byte(slow), 0o600); err != nil {
		t.Fatal(err)
	}
	i.apply(t, unip, module)

	// Uploads come before the upgrade, while it goes on, and after it.
	const each = 4
	upload := func(phase string) {
		for n := range each {
			file := fmt.Sprintf("%s-%d", phase, n)
			if err := m.Upload(t.Context(), user, password, "userdata/incoming/"+file, []byte(file)); err != nil {
				t.Errorf("uploading %s: %v", file, err)
			}
		}
	}
	upload("before")
	if err := live.Await(t.Context(), time.Minute, "runs under way", func(ctx context.Context) error {
		runs, err := m.Runs(ctx)
		if err != nil {
			return err
		}
		n := 0
		for _, r := range runs {
			if r.Status.State == runtimev1.Running {
				n++
			}
		}
		if n < each {
			return fmt.Errorf("%d of %d run", n, each)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	said := string(output(t.Context(), t, nil, i.unip, "upgrade", "--check"))
	for _, want := range []string{"ok    installed: 0.1.0, and this is ", "ok    CRDs: ", "ok    runs under way: 4; ",
		"1 of 1 modules have another release's"} {
		if !strings.Contains(said, want) {
			t.Errorf("no %q in\n%s", want, said)
		}
	}
	during := make(chan struct{})
	go func() {
		defer close(during)
		upload("during")
	}()
	begin := time.Now()
	output(t.Context(), t, nil, i.unip, "upgrade")
	<-during
	t.Logf("upgraded within %.0f s", time.Since(begin).Seconds())
	upload("after") // by the gateway of the release before
	i.apply(t, i.unip, module)
	upload("again") // by this one's

	i.allEnd(t, m, 4*each)
	for _, phase := range []string{"before", "during", "after", "again"} {
		i.results(t, m, phase, each)
	}
	if said, err := i.doctor(t); err != nil {
		t.Errorf("%v\n%s", err, said)
	}
}

// apply brings a module to the cluster by somebody's unip.
func (i *installation) apply(t *testing.T, unip, module string) {
	t.Helper()
	_, err := i.Cluster.Run(t.Context(), nil, os.Getenv("CLUSTER"), "exec", "--", unip, "apply", "-f", module)
	if err != nil {
		t.Fatal(err)
	}
}

// allEnd waits until so many runs have ended, each well, and no upload has started two.
func (i *installation) allEnd(t *testing.T, m *live.Module, want int) {
	t.Helper()
	var runs []runtimev1.PipelineRun
	if err := live.Await(t.Context(), 6*time.Minute, "the runs", func(ctx context.Context) (err error) {
		if runs, err = m.Runs(ctx); err != nil {
			return err
		}
		ended := 0
		for _, r := range runs {
			if r.Status.State.Done() {
				ended++
			}
		}
		if ended < want {
			return fmt.Errorf("%d of %d have ended, %d are there", ended, want, len(runs))
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	of := map[string]string{}
	for _, r := range runs {
		if r.Status.State != runtimev1.Succeeded {
			t.Errorf("run %s is %s: %s", r.Name, r.Status.State, r.Status.Message)
		}
		table := r.Spec.Inputs["table"].Path
		if other, twice := of[table]; twice {
			t.Errorf("%s has started %s and %s", table, other, r.Name)
		}
		of[table] = r.Name
	}
	if len(runs) != want {
		t.Errorf("%d runs, not %d", len(runs), want)
	}
	i.Logf("%d runs, all succeeded", len(runs))
}

// results wants what each upload of a phase has made.
func (i *installation) results(t *testing.T, m *live.Module, phase string, each int) {
	t.Helper()
	runs, err := m.Runs(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	found := 0
	for _, r := range runs {
		_, file, ok := strings.Cut(r.Spec.Inputs["table"].Path, "incoming/")
		if !ok || !strings.HasPrefix(file, phase+"-") {
			continue
		}
		b, err := m.Download(t.Context(), user, password, r.Status.Outputs["result"]+"copied")
		if err != nil || string(b) != file {
			t.Errorf("run %s of %s has left %q, %v", r.Name, file, b, err)
		}
		found++
	}
	if found != each {
		t.Errorf("%s: %d of %d uploads have results", phase, found, each)
	}
}
