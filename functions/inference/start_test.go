package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/internal/caller"
)

// wantEnd waits for the worker's first process to end, and for the reason in its output.
func (c *component) wantEnd(reason string) {
	c.t.Helper()
	select {
	case err := <-c.ended:
		c.ended <- err
		if err == nil {
			c.t.Error("it ended as if all were well")
		}
	case <-time.After(15 * time.Second):
		c.t.Fatal("it goes on")
	}
	if !strings.Contains(c.output.String(), "worker: ") || !strings.Contains(c.output.String(), reason) {
		c.t.Errorf("no %q in\n%s", reason, c.output)
	}
	if c.ready() {
		c.t.Error("still ready")
	}
}

func TestWhatCannotStartEndsWithTheReason(t *testing.T) {
	t.Parallel()
	for name, x := range map[string]struct{ source, function, reason string }{
		"missing module": {"import nowhere_to_be_found", "f",
			"ModuleNotFoundError: No module named 'nowhere_to_be_found'"},
		"syntax error":     {"def f(:", "f", "SyntaxError"},
		"missing function": {"", "f", "AttributeError"},
		"not a function":   {"f = 1", "f", "m:f is not a function"},
		"strange argument": {"def f(image): pass", "f", "the function wants the argument 'image'"},
		"exit at import":   {"import sys; sys.exit(7)", "f", "SystemExit: 7"},
		"killed at import": {"import os; os.kill(os.getpid(), 11)", "f", "the process was killed by signal 11"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			start(t, x.source, x.function).wantEnd(x.reason)
		})
	}
}

// A mount that hides the function's own folder is named, before its modules are missed.
func TestAMountThatHidesTheFunction(t *testing.T) {
	t.Parallel()
	start(t, echo, "echo", func(o *setup) { o.hidden = true }).wantEnd("which hides the function's folder")
}

// So is the model's folder where that may be why a module is missed.
func TestAModelThatHidesTheFunction(t *testing.T) {
	t.Parallel()
	start(t, "import nowhere_to_be_found", "f", func(o *setup) { o.covered = true }).wantEnd(
		"No module named 'nowhere_to_be_found'; modelPath mounts the model's folder over")
	start(t, echo, "echo", func(o *setup) { o.covered = true }).awaitReady() // its code is elsewhere
}

// A model in a folder of the image is a link there: the image's own files stay, and an older model
// among them does not.
func TestALinkToTheModel(t *testing.T) {
	t.Parallel()
	const reads = `
import os
def f(inputs):
    """Reads the path.

    :param outputs.t: what it leads to
    :type outputs.t: str
    """
    try:
        return [{"name": "t", "datatype": "str", "data": [os.readlink("models/leaf.bin"), str(os.path.exists("m.py"))]}]
    except OSError as e:
        return [{"name": "t", "datatype": "str", "data": [type(e).__name__]}]
`
	link := func(at string) func(*setup) {
		return func(o *setup) { o.link, o.path, o.workers = at, "/unip/model/leaf.bin", 2 }
	}
	call := func(c *component) string {
		t.Helper()
		return fmt.Sprint(c.predict(200, `{"inputs": []}`))
	}
	if got := call(start(t, reads, "f", link("models/leaf.bin")).awaitReady()); !strings.Contains(got, "/unip/model/leaf.bin") ||
		!strings.Contains(got, "True") {
		t.Error(got)
	}
	old := "import os\nos.path.islink('models/leaf.bin') or 1/0\n" + reads // when it is imported the link is there
	if got := call(start(t, old, "f", link("models/leaf.bin")).awaitReady()); !strings.Contains(got, "/unip/model/leaf.bin") {
		t.Error(got)
	}
	cannot := start(t, reads, "f", link("m.py/leaf.bin")).awaitReady()
	if got := call(cannot); !strings.Contains(got, "FileNotFoundError") {
		t.Error(got)
	}
	eventually(t, "a warning", func() bool {
		return strings.Contains(cannot.output.String(), "the model is at /unip/model/leaf.bin, which its loader")
	})
	start(t, reads, "f", link(".")).wantEnd("is in the image already, and the model cannot take its place")
}

// Kubernetes ends a pod's containers in any order: the worker must go also when the server has gone
// first.
func TestWorkerEndsOnSIGTERMWithoutAServer(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo").awaitReady()
	c.stopServer()
	if err := c.worker.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-c.ended:
		c.ended <- err
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on")
	}
}

func TestWhoCalls(t *testing.T) {
	t.Parallel()
	c := start(t, echo, "echo").awaitReady()
	key := strings.Repeat("k", 32)
	sign := func(change func(*caller.Claims)) string {
		claims := caller.Claims{User: "ann", Audience: "leaf", Method: "POST", Path: "/predict", IssuedAt: time.Now()}
		if change != nil {
			change(&claims)
		}
		h, err := caller.Sign([]byte(key), claims)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	c.predict(503, "{}", caller.Header, sign(nil)) // the key has not come yet
	c.write("key", key)
	once := sign(nil)
	c.predict(200, "{}", caller.Header, once)
	c.predict(200, "{}", "X-Forwarded-User", "root")
	for name, tc := range map[string]struct{ header, slug string }{
		"garbage":           {"x.y.z", "unauthorized"},
		"another component": {sign(func(c *caller.Claims) { c.Audience = "other" }), "unauthorized"},
		"another path":      {sign(func(c *caller.Claims) { c.Path = "/v2" }), "unauthorized"},
		"the same again":    {once, "unauthorized"},
		"more than 60 s old": {
			sign(func(c *caller.Claims) { c.IssuedAt = time.Now().Add(-caller.Life - caller.Leeway - time.Second) }),
			"caller-expired",
		},
	} {
		if a := c.predict(401, "{}", caller.Header, tc.header); a.slug() != tc.slug {
			t.Errorf("%s: %s", name, a.body)
		}
	}
	c.predict(200, "{}", caller.Header,
		sign(func(c *caller.Claims) { c.IssuedAt = time.Now().Add(-caller.Life + 10*time.Second) }))
	c.stopServer() // and what it has not written yet is written
	log := c.log.String()
	if strings.Count(log, `"status":200,"user":"ann"`) != 2 || strings.Count(log, `"status":200,"user":""`) != 1 ||
		strings.Contains(log, "root") {
		t.Error("the log does not say who called")
	}
}

// big is a package of 60 modules, in a folder of its own; what imports it.
func big(t *testing.T, compiled bool) (dir, imports string) {
	t.Helper()
	dir = t.TempDir()
	files := map[string]string{
		"__init__.py": "import importlib\nfor i in range(60): importlib.import_module('big.part%d' % i)",
	}
	for i := range 60 {
		files[fmt.Sprintf("part%d.py", i)] = "x = 1"
	}
	if err := os.Mkdir(filepath.Join(dir, "big"), 0o755); err != nil {
		t.Fatal(err)
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(dir, "big", name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if compiled {
		out, err := exec.CommandContext(t.Context(), "python3", "-m", "compileall", "-q", dir).CombinedOutput()
		if err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
	}
	return dir, fmt.Sprintf("import sys; sys.path.insert(0, %q); import big\n", dir)
}

// A start whose imports compile much says so once, with the line of a Dockerfile that helps; one that
// finds compiled files says nothing.
func TestImportsThatCompileMuchAreTold(t *testing.T) {
	t.Parallel()
	const warning = "the image has no .pyc that can be used of many modules"
	dir, imports := big(t, false)
	slow := start(t, imports+echo, "echo", func(o *setup) { o.workers = 2 }).awaitReady()
	_, imports = big(t, true)
	quick := start(t, imports+echo, "echo").awaitReady()
	eventually(t, "both workers", func() bool { return strings.Count(slow.log.String(), "function imported") == 2 })
	slow.predict(200, `{"inputs": []}`)
	if log := slow.log.String(); strings.Count(log, warning) != 1 ||
		!regexp.MustCompile(`"modules":6\d,`).MatchString(log) ||
		!strings.Contains(log, `--invalidation-mode unchecked-hash `) || !strings.Contains(log, dir) {
		t.Error(log)
	}
	quick.predict(200, `{"inputs": []}`)
	if log := quick.log.String(); strings.Contains(log, warning) {
		t.Error(log)
	}
}
