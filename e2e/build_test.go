//go:build e2e

package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/live"
)

// repository is examples/digits as an author has it: a git repository, with the base of its
// Dockerfile in the storage of an engine of its own.
type repository struct {
	dir string
	env []string
}

func newRepository(t *testing.T, m *live.Module, image string) *repository {
	t.Helper()
	r := &repository{dir: t.TempDir()}
	storage := t.TempDir()
	conf := filepath.Join(storage, "storage.conf")
	text := fmt.Sprintf("[storage]\ndriver = \"vfs\"\ngraphroot = %q\nrunroot = %q\n", storage+"/root", storage+"/run")
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	r.env = append(os.Environ(), "CONTAINERS_STORAGE_CONF="+conf, "BUILDAH_ISOLATION=chroot")
	r.run(t, "cp", "-r", filepath.Join(m.Root, "examples", "digits")+"/.", r.dir)
	manifests, err := filepath.Glob(filepath.Join(r.dir, "manifests", "*.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range manifests {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		out := strings.ReplaceAll(strings.ReplaceAll(string(b), digitsImage, image), "pu-ann-pa-digits", m.Namespace)
		if err := os.WriteFile(file, []byte(out), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	r.run(t, "git", "init", "-q")
	r.run(t, "git", "add", ".")
	r.run(t, "git", "-c", "user.name=ann", "-c", "user.email=ann@example.org", "commit", "-qm", "an example")
	// The base is the cluster's own image of Debian's packages, with a pip. What the Dockerfile wants to
	// install is there: pip has but to be allowed to see that.
	pip := filepath.Join(storage, "pip")
	const script = "#!/bin/sh\nexec python3 \"$(echo /usr/share/python-wheels/pip-*.whl)/pip\" \"$@\"\n"
	if err := os.WriteFile(pip, []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	r.run(t, "buildah", "from", "--quiet", "--tls-verify=false", "--name", "base", digitsImage)
	r.run(t, "buildah", "copy", "--quiet", "--chmod", "755", "base", pip, "/usr/local/bin/pip")
	r.run(t, "buildah", "config", "--env", "PIP_BREAK_SYSTEM_PACKAGES=1", "--user", "0", "base")
	r.run(t, "buildah", "commit", "--quiet", "base", "docker.io/library/python:3.11-slim")
	return r
}

// run runs a command in the repository, where the registry has its name.
func (r *repository) run(t *testing.T, name string, args ...string) string {
	t.Helper()
	c := exec.CommandContext(t.Context(), os.Getenv("CLUSTER"), append([]string{"exec", "--", name}, args...)...)
	c.Dir, c.Env = r.dir, r.env
	out, err := c.Output()
	if err != nil {
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			err = fmt.Errorf("%w\n%s", err, exit.Stderr)
		}
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// An author's repository becomes an image by its own Dockerfile and a real engine, the module runs
// with it, and nothing that need not be in it is found.
func TestImagesAreBuilt(t *testing.T) {
	t.Parallel()
	m := cleared(t, "pu-e2e-pa-built")
	const image = "registry.localhost:5000/e2e/built/digits"
	r := newRepository(t, m, image+":v0")
	program := filepath.Join(m.Root, "bin", "unip")
	commit := strings.TrimSpace(r.run(t, "git", "rev-parse", "--short", "HEAD"))

	r.run(t, program, "apply", "--build", "--engine", "buildah", "--engine-flag=--pull-never", "-f", "manifests/",
		"--wait=false")
	deployed, err := m.Kubectl(t.Context(), "-n", m.Namespace, "get", "ksvc", "digits", "-o",
		`jsonpath={.spec.template.spec.containers[?(@.name=="function")].image}`)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(deployed, image+":"+commit+"@sha256:") && !strings.HasPrefix(deployed, image+"@sha256:") {
		t.Errorf("the component runs %q", deployed)
	}
	var platforms []struct {
		Layers   int
		Findings []struct{ Path string }
	}
	found := r.run(t, program, "doctor", "--image", deployed, "-o", "json")
	if err := json.Unmarshal([]byte(found), &platforms); err != nil {
		t.Fatal(err)
	}
	if len(platforms) != 1 || platforms[0].Layers == 0 || len(platforms[0].Findings) > 0 {
		t.Errorf("%+v", platforms)
	}
	if _, err := m.Kubectl(t.Context(), "-n", m.Namespace, "run", "built", "--image="+deployed, "--restart=Never",
		"--command", "--", "python3", "-c", "import digits.serve, sklearn"); err != nil {
		t.Fatal(err)
	}
	if err := live.Await(t.Context(), 2*time.Minute, "the image's own program", func(ctx context.Context) error {
		phase, err := m.Kubectl(ctx, "-n", m.Namespace, "get", "pod", "built", "-o", "jsonpath={.status.phase}")
		if err == nil && phase != "Succeeded" {
			err = errors.New(phase)
		}
		return err
	}); err != nil {
		t.Error(err)
	}
}
