//go:build e2e

package attack

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// atOnce bounds the runs under way: each is a pod.
var atOnce = make(chan struct{}, 6)

// start uploads code and starts the run of a stage that executes it.
func (w *world) start(t *testing.T, user, code string) string {
	t.Helper()
	return w.startFile(t, user, "stage", "userdata/code/"+strings.ToLower(strings.NewReplacer("/", "-", " ", "-", ",",
		"").Replace(t.Name()))+".py", code)
}

func (w *world) startFile(t *testing.T, user, pipeline, path, content string) string {
	t.Helper()
	if err := w.Upload(t.Context(), user, passwords[user], path, []byte(content)); err != nil {
		t.Fatal(err)
	}
	place, err := url.PathUnescape(path)
	if err != nil {
		t.Fatal(err)
	}
	a := w.call(t, http.MethodPost, user, pipeline+"/run", map[string]any{"inputs": map[string]string{"code": place}})
	var r struct {
		ID string `json:"run_id"`
	}
	if err := json.Unmarshal(a.Body, &r); err != nil || a.Status != http.StatusAccepted {
		t.Fatalf("starting a run: %d %s", a.Status, a.Body)
	}
	return r.ID
}

// ended waits for a run's end.
func (w *world) ended(t *testing.T, id string) *runtimev1.PipelineRun {
	t.Helper()
	run, err := w.AwaitRun(t.Context(), id, 90*time.Second, nil)
	if err != nil {
		t.Fatal(err)
	}
	return run
}

// published are the files of a run's outputs and what they hold.
func (w *world) published(t *testing.T, user string, run *runtimev1.PipelineRun) string {
	t.Helper()
	a := w.call(t, http.MethodGet, user, "files/"+run.Status.Outputs["res"], nil)
	var l struct{ Files []struct{ Name string } }
	if err := json.Unmarshal(a.Body, &l); err != nil {
		t.Fatalf("%d %s", a.Status, a.Body)
	}
	var all strings.Builder
	for _, f := range l.Files {
		b, err := w.Download(t.Context(), user, passwords[user], run.Status.Outputs["res"]+f.Name)
		fmt.Fprintf(&all, "%s: %s %v\n", f.Name, b, err)
	}
	return all.String()
}

// What a stage leaves in the place of its output folder, or in it, is published when it is a file
// or a folder and refused otherwise, at once; nothing of the container publish comes out.
func TestStageOutputs(t *testing.T) {
	t.Parallel()
	w := enter(t)
	const head = "import os, socket\nd = os.environ['UNIP_PIPELINE_RES']\n"
	cases := []struct{ name, code string }{
		{"a link to the session", "os.rmdir(d); os.symlink('/unip/session/..data', d)"},
		{"a link to the session's folder", "os.rmdir(d); os.symlink('/unip/session', d)"},
		{"a relative link", "os.rmdir(d); os.symlink('../session/..data', d)"},
		{"a link to the root", "os.rmdir(d); os.symlink('/', d)"},
		{"a link to proc", "os.rmdir(d); os.symlink('/proc/self', d)"},
		{"a link to another folder of its own",
			"os.mkdir('/unip/data/x'); open('/unip/data/x/f', 'w').write('x'); os.rmdir(d); os.symlink('/unip/data/x', d)"},
		{"a FIFO", "os.rmdir(d); os.mkfifo(d)"},
		{"a socket", "os.rmdir(d); s = socket.socket(socket.AF_UNIX); s.bind(d)"},
		{"a file", "os.rmdir(d); open(d, 'w').write('x')"},
		{"nothing", "os.rmdir(d)"},
		{"a link in it", "os.symlink('/unip/session/..data/session.json', d + '/f')"},
		{"a link to a folder in it", "os.symlink('/unip/session', d + '/f')"},
		{"a FIFO in it", "os.mkfifo(d + '/f')"},
		{"a socket in it", "s = socket.socket(socket.AF_UNIX); s.bind(d + '/f')"},
		{"a link in the place of all data",
			"os.chmod('/unip/data', 0o777); os.rmdir(d); os.symlink('/unip', '/unip/data/l'); os.symlink('l/session', d)"},
	}
	tried(t, len(cases))
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			atOnce <- struct{}{}
			defer func() { <-atOnce }()
			run := w.ended(t, w.start(t, "ann", head+c.code))
			if run.Status.State != runtimev1.Failed || run.Status.Stages[0].Reason != "InvalidOutput" {
				t.Errorf("the run is %s, %s: %s", run.Status.State, run.Status.Stages[0].Reason, run.Status.Message)
			}
			if got := w.published(t, "ann", run); got != "" {
				t.Errorf("published: %.300s", got)
			}
		})
	}
}

// around is Python that looks for what a user's container must not have.
const around = `
import ctypes, os, socket
found = []
def attempt(name, f):
    try:
        r = f()
    except Exception as e:
        return
    if r:
        found.append(name + ": " + repr(r)[:100])
def secrets(top):
    for folder, _, names in os.walk(top):
        for name in names:
            path = os.path.join(folder, name)
            try:
                text = open(path, errors="replace").read(1 << 16)
            except OSError:
                continue
            if any(w in text for w in ("access" + "KeyId", "secret" + "AccessKey", "session" + "Token")):
                yield path
def others():
    me = os.getpid()
    for p in os.listdir("/proc"):
        if p.isdigit():
            try:
                line = open("/proc/%s/cmdline" % p).read()
            except OSError:
                continue
            if "queue" in line or "/ko-app" in line:
                yield line
def child(f):
    pid = os.fork()
    if pid == 0:
        try:
            f()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return os.waitpid(pid, 0)[1] == 0
caps = int([l for l in open("/proc/self/status") if l.startswith("CapEff")][0].split()[1], 16)
allowed = sum(1 << c for c in (0, 1, 3, 5, 6, 7)) # CHOWN, DAC_OVERRIDE, FOWNER, KILL, SETGID, SETUID
attempt("a raw socket", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)))
attempt("a raw IP socket", lambda: socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP))
attempt("capabilities", lambda: hex(caps & ~allowed) if caps & ~allowed else None)
attempt("a session's folder", lambda: os.listdir("/unip/session"))
attempt("sessions", lambda: os.listdir("/unip/sessions"))
attempt("a module's key", lambda: os.listdir("/unip/key"))
attempt("a token of Kubernetes", lambda: os.listdir("/var/run/secrets/kubernetes.io"))
attempt("sessions in files", lambda: list(secrets("/unip")) + list(secrets("/var/run")) + list(secrets("/etc/unip")))
attempt("secrets in the environment", lambda: [k for k in os.environ if "SECRET" in k or "TOKEN" in k or "ACCESS_KEY" in k])
attempt("processes of unip", lambda: list(others()))
attempt("the roots of others", lambda: [p for p in os.listdir("/proc") if p.isdigit() and os.path.exists("/proc/%s/root/ko-app" % p)])
attempt("a mount", lambda: ctypes.CDLL(None).mount(b"none", b"/mnt", b"tmpfs", 0, None) == 0)
attempt("a device", lambda: os.mknod("/tmp/sda", 0o60600, os.makedev(8, 0)) or True)
attempt("a chroot", lambda: child(lambda: os.chroot("/tmp")))
attempt("kernel settings", lambda: open("/proc/sys/kernel/core_pattern", "w") and True)
attempt("a user namespace with rights", lambda: child(lambda: ctypes.CDLL(None).unshare(0x10000000 | 0x40000000) and os._exit(1)))
attempt("a debugger on init", lambda: ctypes.CDLL(None).ptrace(16, 1, 0, 0) == 0 and os.readlink("/proc/1/exe").startswith("/ko-app"))
`

// surroundings is how many things around looks for.
const surroundings = 17

func TestStageSurroundings(t *testing.T) {
	t.Parallel()
	w := enter(t)
	tried(t, surroundings)
	atOnce <- struct{}{}
	defer func() { <-atOnce }()
	run := w.ended(t, w.start(t, "ann", around+`
import json
json.dump(found, open(os.environ["UNIP_PIPELINE_RES"] + "/found", "w"))
`))
	if got := w.published(t, "ann", run); got != "found: [] <nil>\n" {
		t.Errorf("the stage found %s (%s)", got, run.Status.Message)
	}
}

func TestFunctionSurroundings(t *testing.T) {
	t.Parallel()
	w := enter(t)
	tried(t, surroundings)
	var found []string
	python(t, w.Module, "open", "", around+"answer = found", nil, &found)
	if len(found) > 0 {
		t.Errorf("the function found %v", found)
	}
}

// control finds a character that a terminal would obey.
func control(s string) bool {
	return strings.ContainsFunc(strings.ReplaceAll(s, "\n", ""), unicode.IsControl)
}

// What a stage says reaches no terminal, event or status with its control characters, and a file's
// name makes no second line.
func TestStageWords(t *testing.T) {
	t.Parallel()
	w := enter(t)
	tried(t, 3)
	atOnce <- struct{}{}
	defer func() { <-atOnce }()
	id := w.start(t, "ann",
		"import os\nopen(os.environ['UNIP_PIPELINE_RES'] + '/plain', 'w').write('x')\nprint('\\x1b]0;title\\x07log')\nraise SystemExit('\\x1b[2Jboo\\rfake line\\x9b31m')")
	run := w.ended(t, id)
	if m := run.Status.Message + run.Status.Stages[0].Message; control(m) || strings.Contains(m, "\n") {
		t.Errorf("the status says %q", m)
	}
	events, err := w.Kubectl(t.Context(), "-n", namespace, "get", "events", "-o", "json")
	if err != nil {
		t.Fatal(err)
	}
	if strings.Contains(events, `\u001b`) {
		t.Error("an event has an escape")
	}
	// unip logs escapes on a terminal; into a pipe it passes the bytes on, as kubectl does.
	for _, args := range [][]string{{"runs"}, {"runs", id}, {"files", "ls", "userdata/code/"}} {
		if out := w.unip(t, "ann", args...); control(strings.ReplaceAll(out, "\t", "")) {
			t.Errorf("unip %v prints %q", args, out)
		}
	}
	// A name with a line break is not published; one with an escape neither.
	for i, name := range []string{`a\nb`, `\x1b[2J`} {
		run := w.ended(t, w.startFile(t, "ann", "stage", fmt.Sprintf("userdata/code/name%d.py", i),
			"import os\nopen(os.environ['UNIP_PIPELINE_RES'] + '/"+name+"', 'w').write('x')"))
		if run.Status.State != runtimev1.Failed || run.Status.Stages[0].Reason != "InvalidOutput" {
			t.Errorf("a file %s: %s %s", name, run.Status.State, run.Status.Message)
		}
	}
}

// unip runs a command as a user without access to the cluster does.
func (w *world) unip(t *testing.T, user string, args ...string) string {
	t.Helper()
	env := []string{"UNIP_URL=" + w.Ingress + "/" + namespace, "UNIP_HOST=" + w.host, "UNIP_USER=" + user,
		"UNIP_PASSWORD=" + passwords[user], w.Root + "/bin/unip"}
	out, err := w.Run(t.Context(), nil, "env", append(env, args...)...)
	if err != nil {
		t.Errorf("unip %v: %v", args, err)
	}
	return string(out)
}

// A stage's command is taken as it stands: what an uploader calls his file is no part of a script.
func TestStageCommandIsLiteral(t *testing.T) {
	t.Parallel()
	w := enter(t)
	tried(t, 2)
	atOnce <- struct{}{}
	defer func() { <-atOnce }()
	id := w.startFile(t, "ann", "expands", "userdata/up/x;echo%20PWNED-$(id%20-u);.csv", "x")
	w.ended(t, id)
	var log string
	err := live.Await(t.Context(), 20*time.Second, "the log of the stage", func(context.Context) error {
		a := w.call(t, http.MethodGet, "ann", "pipelines/runs/"+id+"/logs", nil)
		if log = string(a.Body); !strings.Contains(log, "[") {
			return fmt.Errorf("%d %s", a.Status, log)
		}
		return nil
	})
	if want := `['$(UNIP_PIPELINE_CODE)', '$(UNIP_PIPELINE_CODE)', '$$(X)', '$UNIP_PIPELINE_CODE']`; err != nil ||
		!strings.Contains(log, want) {
		t.Errorf("%v: the stage's arguments are %s, want %s", err, log, want)
	}
}

// The worker's socket is in reach of the user's code. Whatever comes by it, the server lives and
// answers the next call.
func TestFunctionOnTheSocket(t *testing.T) {
	t.Parallel()
	w := enter(t)
	const code = `
import os, socket, struct
paths = [os.path.join(f, n) for top in ("/unip", "/run", "/var/run", "/tmp") for f, _, ns in os.walk(top) for n in ns if "sock" in n]
answer = []
for path in paths[:1]:
    for b in given:
        for _ in range(2):
            s = socket.socket(socket.AF_UNIX); s.settimeout(2)
            try:
                s.connect(path); s.sendall(bytes.fromhex(b)); s.shutdown(socket.SHUT_WR); s.recv(1 << 16)
            except OSError:
                pass
            s.close()
        answer.append(b)
`
	garbage := []string{"", "00", "ff", strings.Repeat("00", 64), strings.Repeat("ff", 64), "47455420",
		"0000000000000000ffffffffffffffff", strings.Repeat("0b", 4096), "7b7d0a",
		"01ffffffffffffff" + strings.Repeat("41", 1000)}
	tried(t, len(garbage))
	var sent []string
	python(t, w.Module, "open", "", code, garbage, &sent)
	if len(sent) != len(garbage) {
		t.Fatalf("%d of %d were sent: the function found no socket", len(sent), len(garbage))
	}
	var answer int
	python(t, w.Module, "open", "", "answer = 6 * 7", nil, &answer)
	if answer != 42 {
		t.Errorf("afterwards the function answers %d", answer)
	}
}

// What a function returns as a file is a regular file of its own, or nothing is stored.
func TestFunctionFiles(t *testing.T) {
	t.Parallel()
	w := enter(t)
	cases := []struct{ name, make string }{
		{"a folder", "p = '/tmp'"}, {"a device", "p = '/dev/zero'"},
		{"a FIFO", "p = '/tmp/fifo%d' % os.getpid(); os.path.exists(p) or os.mkfifo(p); os.open(p, os.O_RDWR)"},
		{"memory", "p = '/proc/self/mem'"},
		{"a link to a device", "p = '/tmp/link'; os.path.lexists(p) or os.symlink('/dev/zero', p)"},
		{"nothing", "p = '/nowhere'"},
		{"no path", "p = 7"}, {"a NUL", "p = '/tmp/x\\0y'"}, {"a relative path", "p = '../unip'"},
		{"an empty path", "p = ''"},
		{"a sparse file of 2 GiB", "p = '/tmp/sparse'; f = open(p, 'wb'); f.truncate(2 << 30); f.close()"},
	}
	tried(t, len(cases))
	for _, c := range cases {
		a := execute(t, w.Module, "closed", "ann",
			"import os\n"+c.make+"\noutputs = [{'name': 'out', 'datatype': 'FILE', 'data': p}]", nil)
		var path string
		if c.name == "memory" && a.Output("out", &path) == nil { // to the kernel it is a regular file of no bytes
			if b, err := w.Download(t.Context(), "ann", passwords["ann"], path); err != nil || len(b) > 0 {
				t.Errorf("%s: %d bytes were stored: %v", c.name, len(b), err)
			}
			continue
		}
		check(t, c.name, a.Status, string(a.Body), 500, 502, 503, 507)
	}
}
