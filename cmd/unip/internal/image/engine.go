package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strings"
	"time"
)

// Engines are the container engines that can build, in the order in which they are looked for.
var Engines = []string{"podman", "docker", "buildah"}

// Engine is a container engine of this machine.
type Engine struct {
	// Name is one of Engines.
	Name string
	// Out takes what the engine says while it works.
	Out io.Writer
}

// Find finds an engine that works: the one of that name, or with "auto" the first of Engines.
func Find(ctx context.Context, name string, out io.Writer) (*Engine, error) {
	names := Engines
	if name != "auto" {
		names = []string{name}
	}
	var why []string
	for _, name := range names {
		e := &Engine{Name: name, Out: out}
		err := e.works(ctx)
		if err == nil {
			return e, nil
		}
		why = append(why, name+": "+err.Error())
	}
	return nil, fmt.Errorf("no container engine works here: %s; install podman, docker or buildah",
		strings.Join(why, "; "))
}

// works asks docker for its server: the client alone builds nothing.
func (e *Engine) works(ctx context.Context) error {
	args := []string{"--version"}
	if e.Name == "docker" {
		args = []string{"version", "--format", "{{.Server.Version}}"}
	}
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	_, err := command(ctx, "", e.Name, args...)
	if errors.Is(err, exec.ErrNotFound) {
		return errors.New("not installed")
	}
	return err
}

// Build is one image to be made.
type Build struct {
	// Reference is the image's name with its tag.
	Reference string
	// Dockerfile, and the folder that COPY copies from.
	Dockerfile, Context string
	// Args are build arguments, NAME=VALUE, Platform as linux/amd64; empty is the engine's own.
	Args     []string
	Platform string
	// Labels of the image.
	Labels map[string]string
	// Flags are for the engine's build command as they are.
	Flags []string
}

// Build builds an image into the engine's own storage.
func (e *Engine) Build(ctx context.Context, b Build) error {
	args := []string{"build", "--file", b.Dockerfile, "--tag", b.Reference}
	for _, a := range b.Args {
		args = append(args, "--build-arg", a)
	}
	if b.Platform != "" {
		args = append(args, "--platform", b.Platform)
	}
	for _, name := range slices.Sorted(maps.Keys(b.Labels)) {
		args = append(args, "--label", name+"="+b.Labels[name])
	}
	return e.run(ctx, append(append(args, b.Flags...), b.Context)...)
}

// Push pushes an image to the registry in its name. Who may do that is who is logged in with the
// engine. Plain: the registry speaks HTTP.
func (e *Engine) Push(ctx context.Context, reference string, plain bool) error {
	args := []string{"push"}
	if plain && e.Name != "docker" { // docker knows by its daemon's configuration
		args = append(args, "--tls-verify=false")
	}
	return e.run(ctx, append(args, reference)...)
}

// Save writes an image into a file, as a docker archive.
func (e *Engine) Save(ctx context.Context, reference, file string) error {
	switch e.Name {
	case "buildah":
		return e.run(ctx, "push", "--quiet", reference, "docker-archive:"+file+":"+reference)
	case "podman":
		return e.run(ctx, "save", "--quiet", "--format", "docker-archive", "--output", file, reference)
	default:
		return e.run(ctx, "save", "--output", file, reference)
	}
}

// run shows what the engine says: a build may take minutes.
func (e *Engine) run(ctx context.Context, args ...string) error {
	c := exec.CommandContext(ctx, e.Name, args...)
	c.Stdout, c.Stderr = e.Out, e.Out
	stopGently(c)
	if err := c.Run(); err != nil {
		return fmt.Errorf("%s %s: %w", e.Name, args[0], errors.Join(ctx.Err(), err))
	}
	return nil
}

// command is what a short command answers, in a folder.
func command(ctx context.Context, dir, name string, args ...string) (string, error) {
	c := exec.CommandContext(ctx, name, args...)
	var stderr bytes.Buffer
	c.Dir, c.Stderr = dir, &stderr
	stopGently(c)
	out, err := c.Output()
	if err != nil && stderr.Len() > 0 {
		err = fmt.Errorf("%w: %s", err, strings.Join(strings.Fields(stderr.String()), " "))
	}
	return strings.TrimSpace(string(out)), err
}

// stopGently lets an engine clean up when the context ends: a killed one leaves its layers locked.
func stopGently(c *exec.Cmd) {
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	c.WaitDelay = 10 * time.Second
}
