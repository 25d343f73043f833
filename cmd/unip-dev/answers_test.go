package main

import (
	"bytes"
	"flag"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/freeport"
	"github.com/unip-knative/unip/e2e/stories"
)

var update = flag.Bool("update", false, "write the answers of the stories to their file")

// What users do with a module is answered as on a cluster: e2e has the same stories and answers.
func TestAnswers(t *testing.T) {
	if testing.Short() {
		t.Skip("one of the stories waits for the next minute")
	}
	t.Parallel()
	own, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	code, err := filepath.Abs("../../e2e/testdata/echo")
	if err != nil {
		t.Fatal(err)
	}
	dir, port := t.TempDir(), strconv.Itoa(freeport.Find(t))
	program, file := filepath.Join(dir, "unip-dev"), filepath.Join(dir, "module.yaml")
	if err := os.Symlink(own, program); err != nil { // the test is the program when it has its name
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(stories.Manifests()), 0o600); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	c := exec.CommandContext(t.Context(), program, "-f", file, "--dir", code, "--state", filepath.Join(dir, "state"),
		"--port", port)
	c.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1") // beside the code
	c.Stdout, c.Stderr = &out, &out
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGTERM) }
	c.WaitDelay = 10 * time.Second
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := c.Process.Signal(syscall.SIGTERM); err != nil {
			t.Error(err)
		}
		if err := c.Wait(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("%s", out.String())
		}
	}()
	w := stories.World{URL: "http://127.0.0.1:" + port + "/" + stories.Namespace}
	stories.AwaitAnswer(t, w)
	stories.Run(t, w, *update)
}
