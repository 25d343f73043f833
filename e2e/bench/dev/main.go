// Command dev measures `unip dev` beside bare processes, in one run on one machine: from its start
// to the first answer of a function, and calls after that, beside Python's own HTTP server with the
// same function; a run of the pipeline of examples/digits beside a shell script of its stages; the
// memory of unip dev itself. `make bench-dev` runs it.
//
// Progress goes to stderr, the table, in Markdown, to stdout.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/unip-knative/unip/e2e/dev"
)

//go:embed bare.py hello.py module.yaml stages.sh
var files embed.FS

var (
	program = flag.String("unip-dev", "bin/unip-dev", "the program unip-dev")
	example = flag.String("example", "examples/digits", "the folder of the example")
	python  = flag.String("python", "/usr/bin/python3", "Python of all sides; it has scikit-learn")
	rounds  = flag.Int("rounds", 5, "rounds, in each of which the sides take turns; the median counts")
	calls   = flag.Int("calls", 300, "calls of the function in a round, one after the other")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench-dev:", err)
		os.Exit(1)
	}
}

// bench is where it is measured.
type bench struct {
	dir   string // with the files
	n     int    // folders that were made in it
	table []byte
}

func run(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "unip-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, files); err != nil {
		return err
	}
	b := &bench{dir: dir}
	before, err := load()
	if err != nil {
		return err
	}
	f, err := b.function(ctx)
	if err != nil {
		return fmt.Errorf("a function: %w", err)
	}
	p, err := b.pipeline(ctx)
	if err != nil {
		return fmt.Errorf("a pipeline: %w", err)
	}
	after, err := load()
	if err != nil {
		return err
	}
	fmt.Printf("Median of %d rounds (least to most); load %s when it began, %s at its end.\n\n", *rounds, before, after)
	report(os.Stdout, f, p)
	return nil
}

// load is that of the machine.
func load() (string, error) {
	b, err := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(b), " ")
	return one, err
}

// folder is a new one.
func (b *bench) folder() (string, error) {
	b.n++
	dir := filepath.Join(b.dir, strconv.Itoa(b.n))
	return dir, os.Mkdir(dir, 0o700)
}

// side is how a function was served.
type side struct{ first, warm, memory sample }

// functions are the sides of a function.
type functions struct{ bare, ours side }

// function measures both servers in turn.
func (b *bench) function(ctx context.Context) (f functions, err error) {
	for round := range *rounds + 1 { // the first warms the machine's caches
		fmt.Fprintf(os.Stderr, "function: round %d of %d\n", round, *rounds)
		state, err := b.folder()
		if err != nil {
			return f, err
		}
		if round == 1 {
			f = functions{}
		}
		type one struct {
			*side
			options dev.Options
		}
		for _, s := range inTurn(round, []one{
			{&f.bare, dev.Options{Program: *python, Args: []string{filepath.Join(b.dir, "bare.py")}}},
			{&f.ours, dev.Options{Program: *program, Args: []string{"-f", filepath.Join(b.dir, "module.yaml"), "--dir",
				b.dir, "--state", state, "--python", *python}}},
		}) {
			s.options.User, s.options.Password = "ann", "change-me"
			if err := s.measure(ctx, s.options); err != nil {
				return f, fmt.Errorf("%s: %w", s.options.Program, err)
			}
		}
	}
	return f, nil
}

// inTurn has each side first in every second round.
func inTurn[T any](round int, sides []T) []T {
	if round%2 == 1 {
		slices.Reverse(sides)
	}
	return sides
}

func (s *side) measure(ctx context.Context, o dev.Options) error {
	begin := time.Now()
	m, err := dev.Start(ctx, o)
	if err != nil {
		return err
	}
	err = s.call(ctx, m, begin)
	return errors.Join(err, m.Stop())
}

func (s *side) call(ctx context.Context, m *dev.Module, begin time.Time) error {
	greet := func() (time.Duration, error) {
		var said string
		a, err := m.Predict(ctx, "hello", &said, dev.Input{Name: "name", Datatype: "str", Data: "ann"})
		if err == nil && said != "hello ann" {
			err = fmt.Errorf("it said %q", said)
		}
		if err != nil {
			return 0, err
		}
		return a.Took, nil
	}
	if _, err := greet(); err != nil {
		return err
	}
	s.first.add(time.Since(begin).Seconds() * 1000)
	var warm sample
	for range *calls {
		took, err := greet()
		if err != nil {
			return err
		}
		warm.add(took.Seconds() * 1000)
	}
	s.warm.add(warm.median())
	memory, err := resident(ctx, m.Pid())
	s.memory.add(memory)
	return err
}

// rest is how long a program does nothing before its memory is looked at.
const rest = 2 * time.Second

// resident is the memory of a process that has nothing to do, in MiB.
func resident(ctx context.Context, pid int) (float64, error) {
	select {
	case <-ctx.Done():
		return 0, ctx.Err()
	case <-time.After(rest):
	}
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if value, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(value)[0], 64)
			return kib / 1024, err
		}
	}
	return 0, fmt.Errorf("process %d has no memory", pid)
}

// runs are the figures of a pipeline.
type runs struct {
	script, path, whole sample // of the shell script: all, and along its longest path; of unip dev
	ratio               sample // of whole and path, in each round
	memory              sample
}

// pipeline measures a run beside the script of its stages.
func (b *bench) pipeline(ctx context.Context) (r runs, err error) {
	table := filepath.Join(b.dir, "digits.csv")
	c := exec.CommandContext(ctx, *python, "-m", "digits.data", "--table", table)
	c.Dir = *example
	if out, err := c.CombinedOutput(); err != nil {
		return r, fmt.Errorf("%w\n%s", err, out)
	}
	if b.table, err = os.ReadFile(table); err != nil {
		return r, err
	}
	state, err := b.folder()
	if err != nil {
		return r, err
	}
	m, err := dev.Start(ctx, dev.Options{Program: *program, User: "ann", Password: "change-me",
		Args: []string{"-f", filepath.Join(*example, "manifests"), "--dir", *example, "--state", state, "--python",
			*python}})
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, m.Stop()) }()
	for round := range *rounds + 1 { // the first warms the machine's caches
		fmt.Fprintf(os.Stderr, "pipeline: round %d of %d\n", round, *rounds)
		if round == 1 {
			r = runs{}
		}
		var path, whole float64
		for _, measure := range inTurn(round, []func() error{
			func() (err error) { path, err = b.script(ctx, &r, table); return err },
			func() (err error) { whole, err = b.upload(ctx, m); return err },
		}) {
			if err := measure(); err != nil {
				return r, err
			}
		}
		r.path.add(path)
		r.whole.add(whole)
		r.ratio.add(whole / path)
	}
	memory, err := resident(ctx, m.Pid())
	r.memory.add(memory)
	return r, err
}

// script runs the stages by hand. It gives the seconds of the processes along the longest path.
func (b *bench) script(ctx context.Context, r *runs, table string) (float64, error) {
	dir, err := b.folder()
	if err != nil {
		return 0, err
	}
	c := exec.CommandContext(ctx, "sh", filepath.Join(b.dir, "stages.sh"), *python, table, dir)
	c.Dir = *example
	begin := time.Now()
	out, err := c.CombinedOutput()
	if err != nil {
		return 0, fmt.Errorf("%w\n%s", err, out)
	}
	r.script.add(time.Since(begin).Seconds())
	took := map[string]float64{}
	for line := range strings.Lines(string(out)) {
		if f := strings.Fields(line); len(f) == 3 && f[0] == "stage" {
			ns, err := strconv.ParseFloat(f[2], 64)
			if err != nil {
				return 0, err
			}
			took[f[1]] = ns / 1e9
		}
	}
	if len(took) != 4 {
		return 0, fmt.Errorf("%d stages have said how long they took:\n%s", len(took), out)
	}
	return took["prepare"] + max(took["fit-forest"], took["fit-svm"]) + took["report"], nil
}

// upload stores the table, and gives the seconds until the run that this starts has ended.
func (b *bench) upload(ctx context.Context, m *dev.Module) (float64, error) {
	begin := time.Now()
	if err := m.Upload(ctx, "userdata/incoming/digits.csv", b.table); err != nil {
		return 0, err
	}
	err := m.Await(ctx, func(h dev.Happening) (bool, error) {
		if h.Failed {
			return false, errors.New(h.Text)
		}
		return h.Kind == "run" && h.Names["state"] == "Succeeded", nil
	})
	return time.Since(begin).Seconds(), err
}
