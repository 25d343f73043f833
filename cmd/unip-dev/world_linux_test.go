//go:build integration

package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/unip-knative/unip/e2e/freeport"
)

// python is Debian's, which everybody may run.
const python = "/usr/bin/python3"

// leaves is a module whose code has the paths of a container in it.
var leaves = map[string]string{
	"module.yaml": `
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: weights, namespace: pu-ann-pa-leaves}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: visitors, namespace: pu-ann-pa-leaves}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: leaf, namespace: pu-ann-pa-leaves}
spec:
  image: {existingImageName: 'registry.example/ann/leaf:1'}
  env: [{name: TABLES, value: /srv/tables}]
  mlService: {inference: 'leaf:predict', modelLoader: 'leaf:load', modelBox: weights, modelPath: /srv/models/word.txt}
  connectedBoxes: [{name: weights, mountS3Box: {mountPath: /srv/tables, s3Path: /tables/}}]
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: leaf-api, namespace: pu-ann-pa-leaves}
spec:
  published: true
  restfulApi: {path: leaf}
  mlComponent: {name: leaf}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata:
  name: train
  namespace: pu-ann-pa-leaves
  annotations:
    knative.unified-platform.cs.hse.ru/on-upload: |
      [{"box": "visitors", "prefix": "incoming/", "input": "table", "outputs": {"model": "weights:/srv/models/"}}]
spec:
  vars: [{name: table, mountTo: /srv/in}, {name: model, mountTo: /srv/out}]
  stages:
    - name: train
      image: {existingImageName: 'registry.example/ann/leaf:1'}
      command: [python3, -m, leaf]
      inputs: [{name: table}]
      outputs: [{name: model}]
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: files-api, namespace: pu-ann-pa-leaves}
spec:
  published: true
  restfulApi: {auth: {basic: {credentials: users}}}
  files: {}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: users, namespace: pu-ann-pa-leaves}
stringData: {ann: secret}
`,
	"leaf.py": `
import os, shutil

def load(path):
    return open("/srv/models/" + os.path.basename(path)).read().strip()

def predict(inputs, model):
    """Says what is where.

    :param inputs.text: any text
    :type inputs.text: str
    """
    return {"said": "%s %s %s by %d" % (model, open("/srv/tables/t.txt").read().strip(),
        open(os.environ["TABLES"] + "/t.txt").read().strip(), os.getuid())}

if __name__ == "__main__":
    open("accident", "w").close()
    name, = os.listdir("/srv/in")
    shutil.copy("/srv/in/" + name, "/srv/out/word.txt")
`,
}

// world is where unip dev works as somebody.
type world struct {
	*testing.T
	dir, code, state, program string
	uid                       uint32

	mu  sync.Mutex
	out bytes.Buffer
	url string
}

func (w *world) Write(b []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.Write(b)
}

func (w *world) told() string {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.out.String()
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// newWorld writes the module into folders, in which everybody may look.
func newWorld(t *testing.T, uid uint32) *world {
	t.Helper()
	w := &world{T: t, dir: t.TempDir(), uid: uid}
	w.code, w.state = filepath.Join(w.dir, "code"), filepath.Join(w.dir, "own", "state")
	w.program = filepath.Join(w.dir, "unip-dev") // the test is the program when it has its name
	own, err := os.Executable()
	w.must(err)
	b, err := os.ReadFile(own)
	w.must(err)
	w.must(os.WriteFile(w.program, b, 0o755))
	for _, d := range []string{w.code, filepath.Dir(w.state)} {
		w.must(os.Mkdir(d, 0o755))
	}
	for _, d := range []string{filepath.Dir(w.dir), w.dir} {
		w.must(os.Chmod(d, 0o755))
	}
	for name, content := range leaves {
		w.must(os.WriteFile(filepath.Join(w.code, name), []byte(content), 0o644))
	}
	if uid != 0 {
		w.must(os.Chown(filepath.Dir(w.state), int(uid), int(uid)))
		w.must(os.Chmod(w.code, 0o555))
	}
	return w
}

// command is unip dev as the world's user.
func (w *world) command(env []string, args ...string) *exec.Cmd {
	w.Helper()
	port := freeport.Find(w)
	w.url = fmt.Sprintf("http://127.0.0.1:%d/pu-ann-pa-leaves", port)
	args = append([]string{"-f", filepath.Join(w.code, "module.yaml"), "--dir", w.code, "--python", python,
		"--as", "ann", "--port", fmt.Sprint(port)}, args...)
	c := exec.CommandContext(w.Context(), w.program, args...)
	c.Env = append(os.Environ(), env...)
	c.Stdout, c.Stderr = w, w
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: w.uid, Gid: w.uid}}
	c.Cancel = func() error { return c.Process.Signal(syscall.SIGINT) }
	c.WaitDelay = 10 * time.Second
	return c
}

// start starts it. It has to end well when the test does.
func (w *world) start(env []string, args ...string) {
	w.Helper()
	c := w.command(env, args...)
	w.must(c.Start())
	w.Cleanup(func() { // after the context's end
		if err := c.Wait(); err != nil && !errors.Is(err, w.Context().Err()) {
			w.Error(err)
		}
		if w.Failed() {
			w.Logf("%s", w.told())
		}
	})
	w.eventually("it serves", func() bool { return strings.Contains(w.told(), "the module at "+w.url) })
}

func (w *world) eventually(what string, is func() bool) {
	w.Helper()
	for end := time.Now().Add(time.Minute); !is(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			w.Fatal("never: " + what)
		}
	}
}

// put puts a file into a box by hand, where it appears whole.
func (w *world) put(name, content string) {
	w.Helper()
	file := filepath.Join(w.state, "boxes", name)
	c := exec.CommandContext(w.Context(), "sh", "-ec", `mkdir -p "$(dirname "$1")"; printf %s "$2" >"$1"`, "", file,
		content)
	c.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: w.uid, Gid: w.uid}}
	if out, err := c.CombinedOutput(); err != nil {
		w.Fatalf("%v %s", err, out)
	}
}

// predict calls the function, and gives what it says, or why it does not.
func (w *world) predict() (status int, said string) {
	w.Helper()
	resp, err := http.Post(w.url+"/leaf/predict", "application/json",
		strings.NewReader(`{"inputs":[{"name":"text","data":"a"}]}`))
	w.must(err)
	b, err := io.ReadAll(resp.Body)
	w.must(errors.Join(err, resp.Body.Close()))
	var x struct {
		Detail  string
		Outputs []struct{ Data any }
	}
	w.must(json.Unmarshal(b, &x))
	if len(x.Outputs) > 0 {
		return resp.StatusCode, fmt.Sprint(x.Outputs[0].Data)
	}
	return resp.StatusCode, x.Detail
}

// link asks for a link to write a file.
func (w *world) upload(path, content string) (status int) {
	w.Helper()
	do := func(method, url, body string) (int, []byte) {
		r, err := http.NewRequestWithContext(w.Context(), method, url, strings.NewReader(body))
		w.must(err)
		resp, err := http.DefaultClient.Do(r)
		w.must(err)
		b, err := io.ReadAll(resp.Body)
		w.must(errors.Join(err, resp.Body.Close()))
		return resp.StatusCode, b
	}
	_, b := do(http.MethodPut, w.url+"/files/"+path, "")
	var x struct {
		Link string `json:"presigned_put_url"`
	}
	if err := json.Unmarshal(b, &x); err != nil || x.Link == "" {
		w.Fatalf("no link: %s", b)
	}
	status, _ = do(http.MethodPut, x.Link, content)
	return status
}

func (w *world) has(pattern string) bool {
	return regexp.MustCompile("(?m)" + pattern).MatchString(w.told())
}

// rootOnly skips a test where it cannot be, which CI is not.
func rootOnly(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 && os.Getenv("CI") == "" {
		t.Skip("only root may become another user, and mount a file system")
	}
}

// mount mounts a small file system of its own for the test.
func mount(t *testing.T, dir, options string) {
	t.Helper()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mounting a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}
