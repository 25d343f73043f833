package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/pipeline"
)

// folderLabel is on every container: whose engine's it is.
const folderLabel = "unip-dev"

// engineTimeout bounds what is asked of a container engine, but for pulling and running images.
const engineTimeout = 20 * time.Second

// engineFailed is podman's and docker's exit code when it was not the container that failed.
const engineFailed = 125

// containerOf has a command run in the stage's image, with the variables where a cluster has them.
func (e *Engine) containerOf(st *runtimev1.StageStatus, dir string, env environment) command {
	name := filepath.Base(dir)
	args := []string{e.Containers, "run", "--name", name, "--label", folderLabel + "=" + e.Dir, "--pull", "never",
		"--env", markEnv + "=" + dir}
	args = append(args, e.ContainerFlags...)
	mount := func(from, to string) {
		// Names of files are uploaders', and a comma would begin another option. A path has no colon.
		if strings.ContainsAny(from+to, `,"`) {
			args = append(args, "--volume", from+":"+to)
			return
		}
		args = append(args, "--mount", "type=bind,src="+from+",dst="+to)
	}
	data := filepath.Join(dir, dataDir)
	mount(data, pipeline.DataDir)
	v := viewOf(st, data)
	for _, at := range v.Covers {
		if !v.has(at) {
			args = append(args, "--mount", "type=tmpfs,dst="+at)
		}
	}
	for _, b := range v.Binds {
		mount(b.From, b.To)
	}
	limits := e.Defaults.Resources(st.Spec.Resources.Limits).Limits
	if q, ok := limits[corev1.ResourceMemory]; ok {
		args = append(args, "--memory", fmt.Sprint(q.Value()), "--memory-swap", fmt.Sprint(q.Value()))
	}
	if q, ok := limits[corev1.ResourceCPU]; ok {
		args = append(args, "--cpus", fmt.Sprint(q.AsApproximateFloat64()))
	}
	_, bounded := limits[corev1.ResourceMemory]
	c := command{bounded: bounded, path: e.Containers, dir: filepath.Join(dir, workDir), env: os.Environ(),
		container: name, image: st.Spec.Image}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		if _, taken := os.LookupEnv(name); taken { // by the engine itself
			args = append(args, "--env", name+"="+env[name])
			continue
		}
		args, c.env = append(args, "--env", name), append(c.env, name+"="+env[name])
	}
	rest := st.Spec.Args
	if len(st.Spec.Command) > 0 {
		args = append(args, "--entrypoint", st.Spec.Command[0])
		rest = slices.Concat(st.Spec.Command[1:], rest)
	}
	c.args = slices.Concat(args, []string{st.Spec.Image}, rest)
	if found, err := exec.LookPath(e.Containers); err == nil {
		c.path = found
	}
	return c
}

// ask runs a command of the container engine.
func (e *Engine) ask(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, e.Containers, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("%s %s: %w %s", e.Containers, args[0], err, strings.Join(strings.Fields(stderr.String()), " "))
	}
	return strings.TrimSpace(string(out)), err
}

// pull has an image be here.
func (e *Engine) pull(ctx context.Context, image string) error {
	if _, err := e.ask(ctx, "image", "inspect", "--format", "{{.Id}}", image); err == nil {
		return nil
	}
	_, err := e.ask(ctx, "pull", "--quiet", image)
	return err
}

// outOfMemory asks whether a container that has ended needed more memory than it may.
func (e *Engine) outOfMemory(name string) bool {
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	out, err := e.ask(ctx, "inspect", "--format", "{{.State.OOMKilled}}", name)
	return err == nil && out == "true"
}

// removeContainers removes containers, what runs in them as well.
func (e *Engine) removeContainers(names ...string) error {
	if len(names) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	_, err := e.ask(ctx, append([]string{"rm", "--force", "--volumes"}, names...)...)
	return err
}

// endContainers removes those that a former engine of the folder has left.
func (e *Engine) endContainers() error {
	if e.Containers == "" {
		return nil
	}
	if _, err := exec.LookPath(e.Containers); errors.Is(err, exec.ErrNotFound) {
		return fmt.Errorf("--engine %s: there is no such program: install it, or run stages as processes", e.Containers)
	}
	ctx, cancel := context.WithTimeout(context.Background(), engineTimeout)
	defer cancel()
	out, err := e.ask(ctx, "ps", "--all", "--quiet", "--filter", "label="+folderLabel+"="+e.Dir)
	if err != nil {
		return fmt.Errorf("--engine: %w", err)
	}
	return e.removeContainers(strings.Fields(out)...)
}
