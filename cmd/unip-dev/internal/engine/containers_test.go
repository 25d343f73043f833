//go:build integration

package engine

import (
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/run"
)

const image = "localhost/unip-dev-engine-test:1"

// makeImage makes an image of this machine's shell, without a registry.
func makeImage(t *testing.T) {
	t.Helper()
	root := t.TempDir()
	do := func(name string, args ...string) string {
		t.Helper()
		out, err := exec.CommandContext(t.Context(), name, args...).CombinedOutput()
		if err != nil {
			t.Fatalf("%s %s: %v %s", name, strings.Join(args, " "), err, out)
		}
		return string(out)
	}
	for _, program := range []string{"/bin/sh", "/bin/cat", "/bin/sleep"} {
		for _, file := range append(regexp.MustCompile(`/lib\S+`).FindAllString(do("ldd", program), -1), program) {
			to := filepath.Join(root, file)
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				t.Fatal(err)
			}
			do("cp", "-L", file, to)
		}
	}
	archive := filepath.Join(t.TempDir(), "root.tar")
	do("tar", "-C", root, "-cf", archive, ".")
	do("podman", "import", "--quiet", "--change",
		`ENTRYPOINT ["/bin/sh","-euc","cat \"$UNIP_PIPELINE_TABLE\" > \"$UNIP_PIPELINE_MODEL/m\"; echo own"]`, archive, image)
}

// What lies below a mountPath lies there in an image as well, whatever it is called.
func TestNamesOfFilesInImages(t *testing.T) {
	makeImage(t)
	p := pipe("train", line("fit: table -> model", `cat "$UNIP_PIPELINE_TABLE" > "$UNIP_PIPELINE_MODEL/m"`,
		func(s *runtimev1.Stage) { s.Image = image }))
	p.Spec.Mounts = []runtimev1.Mount{{Box: "userdata", Path: "users", MountPath: "/tables"}}
	w := newWorld(t, p)
	w.options.Containers = "podman"
	w.options.ContainerFlags = []string{"--runtime", "runc", "--ulimit", "nofile=1024:1024",
		"--ulimit", "nproc=1000:1000", "--network", "none"}
	e, _ := w.open()
	for _, name := range []string{"in/t.csv", "in/a, b.csv", `in/a "b".csv`, "in,src=/etc/hostname"} {
		w.put(key(name), name)
		r := w.until(e, w.begin(e, "train", func(r *runtimev1.PipelineRun) {
			r.Spec.Inputs["table"] = runtimev1.InputPath{Path: "userdata/" + name}
		}), done)
		st := stageOf(r, "fit")
		if r.Status.State != runtimev1.Succeeded || !strings.HasPrefix(st.Inputs[0].Path, "/tables/") {
			t.Errorf("%s: %s: %s", name, st.Inputs[0].Path, r.Status.Message)
		} else if got := w.get(w.bucket, key("train/"+r.Name+"/model/m")); got != name {
			t.Errorf("%s: %q", name, got)
		}
	}
}

// With --engine podman a stage runs in its image, with the variables where a cluster has them, and
// fails as there.
func TestStagesInTheirImages(t *testing.T) {
	makeImage(t)
	in := func(s *runtimev1.Stage) { s.Image = image }
	own := func(s *runtimev1.Stage) { s.Image, s.Command = image, nil }
	small := func(s *runtimev1.Stage) {
		s.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("32Mi")}
	}
	const grow = `x=a; i=0; while [ $i -lt 28 ]; do x=$x$x; i=$((i+1)); done`
	const none = "localhost/unip-dev-engine-test:none"
	cases := []struct {
		stage           runtimev1.Stage
		reason, message string
		left            string
	}{
		{line("fit: table -> model", "", own), "", "", "1,2\n"},
		{line("fit: table -> model", `cat /unip/data/table/t.csv > /srv/models/m
			echo $UNIP_PIPELINE_MODEL $UNIP_USER >> /srv/models/m`, in), "", "", "1,2\n/srv/models ann\n"},
		{line("fit: table -> model", "echo no rows; exit 7", in), run.ReasonError, "exit code 7: no rows", ""},
		{line("fit: table -> model", grow, in, small), run.ReasonOOMKilled, "its limit of 32Mi", ""},
		{line("fit: table -> model", "sleep 1000", in, func(s *runtimev1.Stage) { s.TimeoutSeconds = 2 }),
			run.ReasonDeadlineExceeded, "timeout of 2s", ""},
		{line("fit: table -> model", "true", func(s *runtimev1.Stage) { s.Image = none }),
			run.ReasonImagePull, none + " cannot be had", ""},
	}
	w := newWorld(t)
	for i, c := range cases {
		p := pipe(fmt.Sprintf("p%d", i), c.stage)
		if i == 1 {
			p.Spec.Variables[1].MountTo = "/srv/models"
		}
		w.options.Module.Pipelines = append(w.options.Module.Pipelines, p)
	}
	w.options.Containers = "podman"
	w.options.ContainerFlags = []string{"--runtime", "runc", "--ulimit", "nofile=1024:1024",
		"--ulimit", "nproc=1000:1000", "--network", "none"}
	e, stop := w.open()
	for i, c := range cases {
		r := w.begin(e, fmt.Sprintf("p%d", i), func(r *runtimev1.PipelineRun) { r.Spec.IdentityPassThrough = true })
		r = w.until(e, r, done)
		st := stageOf(r, "fit")
		if st.Reason != c.reason || !strings.Contains(st.Message, c.message) {
			t.Errorf("case %d: %s %s", i, st.Reason, st.Message)
		} else if c.left != "" {
			if got := w.get(w.bucket, key(r.Spec.Pipeline+"/"+r.Name+"/model/m")); got != c.left {
				t.Errorf("case %d: %q", i, got)
			}
		}
	}
	r := w.until(e, w.begin(e, "p4"), func(r *runtimev1.PipelineRun) bool { return stageOf(r, "fit").StartTime != nil })
	st := stageOf(r, "fit")
	log, err := e.Log(t.Context(), r, &st, true)
	w.must(err)
	w.must(e.Cancel(t.Context(), r))
	if _, err := io.Copy(io.Discard, log); err != nil {
		t.Error(err)
	}
	w.until(e, r, done)
	stop()
	out, err := e.ask(t.Context(), "ps", "--all", "--quiet", "--filter", "label="+folderLabel+"="+e.Dir)
	if err != nil || out != "" {
		t.Errorf("containers are left: %s %v", out, err)
	}
}
