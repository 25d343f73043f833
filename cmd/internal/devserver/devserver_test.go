package devserver

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/inference/service"
)

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

// The end of serving is the end of all processes, of those that the function has started as well;
// and a call that goes on is cut off.
func TestNothingIsLeftBehind(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	write(t, filepath.Join(dir, "m.py"), `
import subprocess, time

def predict():
    subprocess.Popen(["sleep", "1000"])
    print("has begun", flush=True)
    time.sleep(1000)
`)
	reading, writing, err := os.Pipe() // at its end when nobody can write any more
	if err != nil {
		t.Fatal(err)
	}
	defer reading.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() {
		done <- Run(ctx, Options{
			Component: "leaf", Inference: "m:predict", Python: "python3", Dir: dir, Env: os.Environ(), Workers: 2,
			Timeout:  time.Hour,
			Listener: l, Output: writing, Log: slog.New(slog.DiscardHandler),
		})
		writing.Close()
	}()
	answered := make(chan error, 1)
	go func() {
		res, err := http.Post("http://"+l.Addr().String()+"/predict", "application/json", strings.NewReader("{}"))
		if err == nil {
			res.Body.Close()
		}
		answered <- err
	}()
	_ = reading.SetReadDeadline(time.Now().Add(30 * time.Second))
	if _, err := io.ReadFull(reading, make([]byte, len("has begun"))); err != nil {
		t.Fatal(err)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	<-answered // whatever it is: there is one
	if rest, err := io.ReadAll(reading); err != nil {
		t.Errorf("a process holds the output: %v; %q", err, rest)
	}
}

func TestCodeThatChanges(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	write(t, in("leaf/serve.py"), "1")
	write(t, in("leaf/tree.py"), "1")
	write(t, in(".venv/lib/x.py"), "1")
	write(t, in("env/pyvenv.cfg"), "")
	write(t, in("env/lib/x.py"), "1")
	c := Code{Dir: dir}
	step := func(what, want string) {
		t.Helper()
		if got := c.Changed(); got != want {
			t.Errorf("%s: %q, want %q", what, got, want)
		}
	}
	step("the first look", "")
	step("nothing", "")
	write(t, in("leaf/serve.py"), "12")
	step("another size", "leaf/serve.py")
	if err := os.Chtimes(in("leaf/serve.py"), time.Time{}, time.Now().Add(time.Hour)); err != nil {
		t.Fatal(err)
	}
	step("another time", "leaf/serve.py")
	write(t, in("leaf/new.py"), "")
	step("a new file", "leaf/new.py")
	if err := os.Remove(in("leaf/tree.py")); err != nil {
		t.Fatal(err)
	}
	step("a file that is gone", "leaf/tree.py")
	write(t, in("leaf/table.csv"), "1")
	write(t, in(".venv/lib/x.py"), "12")
	write(t, in("env/lib/x.py"), "12")
	step("what is no code of the function", "")
}

func TestModelThatComesAndChanges(t *testing.T) {
	t.Parallel()
	for name, object := range map[string]string{"a file": "v1/leaf.bin", "a folder": "v1/"} {
		t.Run(name, func(t *testing.T) {
			boxes := t.TempDir()
			file := filepath.Join(boxes, "weights/v1/leaf.bin")
			m := OpenModel(boxes, "weights", object)
			fetch := func() service.File {
				t.Helper()
				f, err := m.Fetch(t.Context())
				if err != nil && !errors.Is(err, service.ErrMissing) {
					t.Fatal(err)
				}
				return f
			}
			steps := func(want ...event) {
				t.Helper()
				for i, w := range want {
					if got := m.poll(); got != w {
						t.Errorf("look %d: %v, want %v", i, got, w)
					}
				}
			}
			steps(same, same)
			if m.Missing() == "" || fetch() != (service.File{}) {
				t.Error("there is a model")
			}
			write(t, file, "half")
			steps(same)
			write(t, file, "half, whole") // while it is written, it is no model
			steps(same, came, same)
			first := fetch()
			if first.Size != int64(len("half, whole")) || first.ETag == "" ||
				first.Path != filepath.Join(boxes, "weights", object) || m.Missing() != "" {
				t.Errorf("%+v", first)
			}
			write(t, file, "another")
			steps(same, changed, same)
			if second := fetch(); second.ETag == first.ETag {
				t.Errorf("the ETag is that of the other: %+v", second)
			}
			if err := os.Remove(file); err != nil {
				t.Fatal(err)
			}
			steps(same, same) // what is loaded stays
			write(t, file, "once more")
			steps(same, changed)
		})
	}
}

func TestLines(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := slog.New(NewHandler(&b, "leaf"))
	log.Debug("not shown")
	log.Info("model loaded", "seconds", 0.5)
	log.Info(msgServing, "url", "http://127.0.0.1:8002/predict", "openapi", "http://127.0.0.1:8002/openapi.json")
	log.Warn("worker ended", "how", "two\nlines")
	const want = "leaf: model loaded seconds=0.5\n" +
		"leaf: serving predict at http://127.0.0.1:8002/predict (openapi: http://127.0.0.1:8002/openapi.json)\n" +
		"leaf: worker ended how=two lines\n"
	if b.String() != want {
		t.Errorf("%s\nwant\n%s", b.String(), want)
	}
}

// A model that changes is loaded by a fresh worker beside the old one: a call that goes on is
// answered by the model that it began with, no call fails, and nothing is started again.
func TestAModelThatChangesWhileACallGoesOn(t *testing.T) {
	t.Parallel()
	dir, boxes := t.TempDir(), t.TempDir()
	write(t, filepath.Join(dir, "m.py"), `
import os, time

def load(path):
    with open(path) as f:
        return f.read()

def predict(inputs: list, model):
    if inputs:
        open("begun", "w").close()
    while inputs and not os.path.exists("go"):
        time.sleep(0.005)
    return {"model": model, "supervisor": str(os.getppid())}
`)
	model := filepath.Join(boxes, "weights", "m.txt")
	write(t, model, "the first")
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	go func() {
		if err := Run(t.Context(), Options{
			Component: "leaf", Inference: "m:predict", Loader: "m:load", Python: "python3", Dir: dir, Env: os.Environ(),
			Workers: 1, Timeout: time.Hour, Model: OpenModel(boxes, "weights", "m.txt"), Updates: "swap",
			Listener: l, Output: io.Discard, Log: slog.New(slog.DiscardHandler),
		}); err != nil {
			t.Error(err)
		}
	}()
	call := func(body string) string {
		t.Helper()
		res, err := http.Post("http://"+l.Addr().String()+"/predict", "application/json", strings.NewReader(body))
		if err != nil {
			t.Error(err)
			return ""
		}
		defer res.Body.Close()
		b, err := io.ReadAll(res.Body)
		if err != nil || res.StatusCode != http.StatusOK {
			t.Errorf("%d %s %v", res.StatusCode, b, err)
		}
		return string(b)
	}
	await := func(what string, is func() bool) {
		t.Helper()
		tick, deadline := time.NewTicker(10*time.Millisecond), time.After(time.Minute)
		defer tick.Stop()
		for !is() {
			select {
			case <-tick.C:
			case <-deadline:
				t.Fatal(what)
			}
		}
	}
	first := call("{}")
	long := make(chan string, 1)
	go func() { long <- call(`{"inputs":[{"name":"x","datatype":"str","data":"x"}]}`) }()
	await("the call", func() bool { _, err := os.Stat(filepath.Join(dir, "begun")); return err == nil })
	write(t, model, "the second one")
	await("the newer model", func() bool { return strings.Contains(call("{}"), "the second one") })
	write(t, filepath.Join(dir, "go"), "")
	if got := <-long; got != first {
		t.Errorf("the call that went on: %s, want %s", got, first)
	}
	if got := call("{}"); got != strings.Replace(first, "the first", "the second one", 1) {
		t.Errorf("not of the same supervisor: %s, before %s", got, first)
	}
}
