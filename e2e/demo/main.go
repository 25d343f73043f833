// Command demo is what `make demo` shows: `unip dev` serves the module examples/digits on this
// machine, an uploaded table starts the pipeline that trains a model, and predict is called with
// digits that the model has never seen. It leaves nothing. When a step fails it says which and why,
// and exits with 1.
package main

import (
	"context"
	"flag"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/unip-knative/unip/e2e/demo/show"
	"github.com/unip-knative/unip/e2e/dev"
	"github.com/unip-knative/unip/e2e/digits"
)

func main() {
	d := demo{out: os.Stdout}
	var since int64
	flag.StringVar(&d.program, "unip-dev", "bin/unip-dev", "the program unip-dev")
	flag.StringVar(&d.example, "example", "examples/digits", "the folder of the example")
	flag.StringVar(&d.python, "python", "", "the Python of the example (default: python3, or Debian's, which has "+
		"scikit-learn)")
	flag.BoolVar(&d.plain, "without-sklearn", false, "classifiers in plain Python: nothing needs to be installed")
	flag.Int64Var(&since, "since", time.Now().Unix(), "when the building of the demo began, in seconds of Unix")
	flag.Parse()
	d.since = time.Unix(since, 0)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := d.show(ctx); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// demo carries what one step leaves for the next.
type demo struct {
	program, example, python string
	plain                    bool
	since                    time.Time
	out                      io.Writer

	dir    string // its own, for a time
	module *dev.Module
	csv    []byte
	calls  show.Calls
}

func (d *demo) say(format string, args ...any) {
	fmt.Fprintf(d.out, format, args...) // who does not look on misses it
}

func (d *demo) show(ctx context.Context) (err error) {
	if d.dir, err = os.MkdirTemp("", "unip-demo-"); err != nil {
		return err
	}
	defer func() {
		if d.module != nil {
			_ = d.module.Stop() // after an error; that is told
		}
		_ = os.RemoveAll(d.dir) // what is left lies where temporary files do
	}()
	begin := time.Now()
	d.calls.Module = d
	if err := show.Steps(ctx, d.out, slices.Concat([]show.Step{
		{Title: "find a Python with what the example needs", Do: d.findPython},
		{Title: "write a table of labelled digits", Do: d.table},
		{Title: "unip dev: the module is served on this machine", Do: d.serve},
		{Title: "upload it: the pipeline starts by itself, two classifiers learn in parallel, the better becomes the model",
			Do: d.train},
		{Title: "call predict: the function starts", Do: d.calls.First},
	}, d.calls.Further(), []show.Step{
		{Title: "end: the module and all of its processes", Do: d.end},
	})); err != nil {
		return err
	}
	d.say("\n== done: the demo took %.0f s", time.Since(begin).Seconds())
	if built := begin.Sub(d.since).Seconds(); built > 0 {
		d.say(", and building it %.0f s", built)
	}
	d.say("\n"+`
   the module is %[1]s; serve it yourself, and ask it in another terminal:
   make build && export PATH="$PWD/bin:$PATH"
   unip dev%[2]s --dir %[1]s --python %[3]s
   make demo-cluster                           # the same module on a real Knative; needs root
`, d.example, flags(d.manifests()), d.python)
	return nil
}

// manifests are those of the module.
func (d *demo) manifests() []string {
	whole := filepath.Join(d.example, "manifests")
	if !d.plain {
		return []string{whole}
	}
	return []string{filepath.Join(whole, "api.yaml"), filepath.Join(whole, "boxes.yaml"),
		filepath.Join(d.example, "plain")}
}

func flags(manifests []string) string {
	var text string
	for _, m := range manifests {
		text += " -f " + m
	}
	return text
}

// debians is Debian's Python, which may have packages that the first one in PATH has not.
const debians = "/usr/bin/python3"

// findPython finds a Python that has scikit-learn. Root has Debian's installed.
func (d *demo) findPython(ctx context.Context) (string, error) {
	all := []string{"python3", debians}
	if d.python != "" {
		all = []string{d.python}
	}
	switch {
	case d.find(ctx, all):
		return d.python + " ", nil
	case d.plain:
		return "", fmt.Errorf("none of %v is a Python that runs", all)
	case d.python != "" || os.Geteuid() != 0 || exec.Command("apt-get", "--version").Run() != nil:
		return "", fmt.Errorf("none of %v has scikit-learn; install Debian's python3-sklearn as root, or "+
			"%s/requirements.txt into the environment of python3, or do without: make demo DEMO=--without-sklearn",
			all, d.example)
	}
	d.say("   none of %v has scikit-learn: installing Debian's python3-sklearn …\n", all)
	for _, args := range [][]string{
		{"update", "-q"}, {"install", "-y", "-q", "--no-install-recommends", "python3-sklearn"},
	} {
		if out, err := exec.CommandContext(ctx, "apt-get", args...).CombinedOutput(); err != nil {
			return "", fmt.Errorf("apt-get %s: %w\n%s", args[0], err, out)
		}
	}
	if !d.find(ctx, []string{debians}) {
		return "", fmt.Errorf("%s has no scikit-learn after its installation", debians)
	}
	return d.python + " ", nil
}

// find takes the first Python that has what is needed.
func (d *demo) find(ctx context.Context, all []string) bool {
	script := "import importlib.util, sys; sys.exit(importlib.util.find_spec('sklearn') is None)"
	if d.plain {
		script = "pass"
	}
	for _, python := range all {
		if exec.CommandContext(ctx, python, "-c", script).Run() == nil {
			d.python = python
			return true
		}
	}
	return false
}

// table writes the table, and the digits that are not in it.
func (d *demo) table(ctx context.Context) (string, error) {
	table, heldOut := filepath.Join(d.dir, "digits.csv"), filepath.Join(d.dir, "held-out.json")
	c := exec.CommandContext(ctx, d.python, "-m", "digits.data", "--table", table, "--held-out", heldOut)
	c.Dir = d.example
	if out, err := c.CombinedOutput(); err != nil {
		return "", fmt.Errorf("%w\n%s", err, out)
	}
	var err error
	if d.csv, err = os.ReadFile(table); err != nil {
		return "", err
	}
	b, err := os.ReadFile(heldOut)
	if err != nil {
		return "", err
	}
	if d.calls.HeldOut, err = digits.ReadHeldOut(b); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d KiB ", len(d.csv)>>10), nil
}

func (d *demo) serve(ctx context.Context) (string, error) {
	args := []string{"--dir", d.example, "--state", filepath.Join(d.dir, "state"), "--python", d.python}
	for _, m := range d.manifests() {
		args = append(args, "-f", m)
	}
	var err error
	d.module, err = dev.Start(ctx, dev.Options{Program: d.program, Args: args, User: "ann", Password: "change-me"})
	if err != nil {
		return "", err
	}
	return d.module.URL + " ", nil
}

// trainTime bounds a run, on a busy machine.
const trainTime = 5 * time.Minute

// train uploads the table through the file API and watches the run that this starts.
func (d *demo) train(ctx context.Context) (string, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, trainTime, fmt.Errorf("the run has not ended within %s", trainTime))
	defer cancel()
	start := time.Now()
	if err := d.module.Upload(ctx, "userdata/incoming/digits.csv", d.csv); err != nil {
		return "", err
	}
	d.say("   %5.1f s  uploaded\n", time.Since(start).Seconds())
	var id string
	err := d.module.Await(ctx, func(h dev.Happening) (bool, error) {
		state := h.Names["state"]
		switch h.Kind {
		case "stage":
			d.say("   %5.1f s  %-14s %s\n", time.Since(start).Seconds(), h.Names["stage"], state)
		case "run":
			id = h.Names["run"]
			d.say("   %5.1f s  run %s %s\n", time.Since(start).Seconds(), id, state)
			if h.Failed {
				return false, fmt.Errorf("the run has failed: %s", h.Text)
			}
		}
		return h.Kind == "run" && state == "Succeeded", nil
	})
	if err != nil {
		return "", err
	}
	run, err := d.module.Run(ctx, id)
	if err != nil {
		return "", err
	}
	b, err := d.module.Download(ctx, run.Outputs["report"]+"report.json")
	if err != nil {
		return "", fmt.Errorf("reading the report: %w", err)
	}
	return show.Report(b)
}

// Upload, Predict and Guess are those of show.Module.
func (d *demo) Upload(ctx context.Context, path string, data []byte) error {
	return d.module.Upload(ctx, path, data)
}

// Predict calls the function.
func (d *demo) Predict(ctx context.Context, i show.Image) ([]int, time.Duration, error) {
	var read []int
	a, err := d.module.Predict(ctx, "digits", &read, dev.Input{Name: "image", Datatype: i.Datatype, Shape: i.Shape,
		Data: i.Data})
	if err != nil {
		return nil, 0, err
	}
	return read, a.Took, nil
}

// Guess calls it with a wrong password.
func (d *demo) Guess(ctx context.Context) (int, []byte, error) {
	a, err := d.module.Call(ctx, dev.Request{Method: http.MethodPost, Path: "/digits/predict", User: "ann",
		Password: "wrong", Body: map[string]any{"inputs": []any{}}})
	if err != nil {
		return 0, nil, err
	}
	return a.Status, a.Body, nil
}

func (d *demo) end(context.Context) (string, error) {
	m := d.module
	d.module = nil
	return "", m.Stop()
}
