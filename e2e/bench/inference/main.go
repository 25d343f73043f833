// Command inference measures a call of the inference server (functions/inference with its
// worker.py, as plain processes) beside FastAPI, Flask and aiohttp serving the same function, and a
// bare Go handler that echoes: calls a second, latency, CPU time and peak memory, in one run on one
// machine. `make bench-inference` installs the peers from Debian's packages and runs it;
// docs/benchmarks.md says what is equal between the sides.
//
// Progress goes to stderr, the table, in Markdown, to stdout.
package main

import (
	"context"
	"embed"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"
)

//go:embed peers
var peers embed.FS

var (
	server   = flag.String("server", "bin/inference", "our server, built")
	worker   = flag.String("worker", "functions/inference/worker/worker.py", "our worker")
	python   = flag.String("python", "/usr/bin/python3", "Python of all sides; it has the peers' packages")
	rounds   = flag.Int("rounds", 5, "rounds of each case, in each of which the sides take turns; the median counts")
	seconds  = flag.Float64("seconds", 1, "length of one measurement")
	only     = flag.String("only", "", "only the case of this name: "+strings.Join(caseNames(), ", "))
	onlyWith = flag.String("sides", "", "only these sides, by comma: "+strings.Join(sideKeys(), ", "))
	echo     = flag.String("echo", "", "be the bare Go handler at this address (the program starts itself like this)")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench-inference:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	if *echo != "" {
		return serveEcho(*echo)
	}
	if err := pin(); err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "unip-bench")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.CopyFS(dir, peers); err != nil {
		return err
	}
	b := &bench{dir: dir}
	if b.server, err = filepath.Abs(*server); err != nil {
		return err
	}
	if b.worker, err = filepath.Abs(*worker); err != nil {
		return err
	}
	var packages string
	if b.orjson, packages, err = versions(ctx); err != nil {
		return err
	}
	var results []result
	for _, c := range cases {
		if *only != "" && *only != c.name {
			continue
		}
		for _, workers := range c.workers {
			got, err := b.measure(ctx, c, workers)
			if err != nil {
				return fmt.Errorf("%s, %d workers: %w", c.name, workers, err)
			}
			results = append(results, got...)
		}
	}
	if len(results) == 0 {
		return errors.New("no such case, or no such side in it")
	}
	fmt.Printf("%s; median of %d rounds of %g s.\n\n", packages, *rounds, *seconds)
	report(os.Stdout, results)
	return nil
}

// pinned marks the process that pin has put on its CPU.
const pinned = "UNIP_BENCH_PINNED"

// pin starts this program again on the client's CPU: the runtime of Go then counts one CPU, and
// every thread has it.
func pin() error {
	if os.Getenv(pinned) != "" {
		return nil
	}
	taskset, err := exec.LookPath("taskset")
	if err != nil {
		return fmt.Errorf("pinning client and servers: %w", err)
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	args := append([]string{"taskset", "-c", clientCPU, self}, os.Args[1:]...)
	return fmt.Errorf("pinning the client to CPU %s (two CPUs are needed): %w", clientCPU,
		syscall.Exec(taskset, args, append(os.Environ(), pinned+"=1")))
}

// versions says what the peers are, and whether Python has orjson.
func versions(ctx context.Context) (orjson bool, text string, err error) {
	const script = `import importlib.metadata as m, platform
def version(n):
    try: return n + " " + m.version(n)
    except m.PackageNotFoundError: return "no " + n
print("Python " + platform.python_version(), *map(version, "fastapi starlette pydantic uvicorn uvloop httptools flask gunicorn aiohttp prometheus-client numpy orjson".split()), sep=", ")`
	out, err := exec.CommandContext(ctx, *python, "-c", script).Output()
	if err != nil {
		return false, "", fmt.Errorf("asking %s for its packages: %w", *python, err)
	}
	text = strings.TrimSpace(string(out))
	for _, name := range []string{"fastapi", "uvicorn", "uvloop", "httptools", "pydantic", "flask", "gunicorn",
		"aiohttp", "prometheus-client", "numpy"} {
		if strings.Contains(text, "no "+name) {
			return false, "", fmt.Errorf("%s has no %s: `make bench-inference` installs it", *python, name)
		}
	}
	return !strings.Contains(text, "no orjson"), text, nil
}

func serveEcho(address string) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		return err
	}
	return (&http.Server{ReadHeaderTimeout: time.Minute,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxAnswer))
			if err != nil {
				http.Error(w, err.Error(), http.StatusBadRequest)
				return
			}
			w.Header().Set("Content-Type", "application/json")
			_, _ = w.Write(body)
		})}).Serve(l)
}

func sideKeys() []string {
	var keys []string
	for _, s := range sides {
		keys = append(keys, s.key)
	}
	return keys
}

func wanted(key string) bool {
	return *onlyWith == "" || slices.Contains(strings.Split(*onlyWith, ","), key)
}
