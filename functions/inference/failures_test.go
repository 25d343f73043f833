package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

const hurting = `
import ctypes, logging, os, subprocess, sys, threading, time
log = logging.getLogger("user")
log.addHandler(logging.StreamHandler())  # keeps the sys.stderr of now
kept = []

def f(inputs):
    what = inputs[0]["data"]
    if what == "null": ctypes.string_at(0)
    if what == "sys.exit": sys.exit("enough")
    if what == "os._exit": os._exit(4)
    if what == "killed": os.kill(os.getpid(), 9)
    if what == "abort": os.abort()
    if what == "close": os.closerange(3, 100)
    if what == "write": 
        for fd in range(3, 100):
            try: os.write(fd, b"garbage\n" * 4)
            except OSError: pass
    if what == "fork and die":  # the child holds whatever it has inherited
        if ctypes.CDLL(None).fork() == 0:
            time.sleep(30); os._exit(0)
        os._exit(5)
    if what == "both return": os.fork()
    if what == "child raises":
        if os.fork() == 0: raise RuntimeError("child")
    if what == "child exits":
        if os.fork() == 0: sys.exit(3)
    if what == "hang": time.sleep(60)
    if what == "nap": time.sleep(2)
    if what == "spin":
        while True: pass
    if what == "program": 
        p = subprocess.Popen(["sleep", "61"])
        open("pid", "w").write(str(p.pid))
        p.wait()
    if what == "threads":
        for _ in range(20): threading.Thread(target=time.sleep, args=(30,)).start()
    if what == "recursion": return f(inputs)
    if what == "memory": kept.append(bytearray(1 << 60))
    if what == "raise": raise KeyError("the reason")
    if what == "interrupt": raise KeyboardInterrupt()
    if what == "print":
        print("one"); print("two\nthree"); print(); print("50%\r100%")
        print("привет \udc80", end="")
        sys.stderr.write("to stderr\n"); log.warning("by logging")
        print("x" * 7000)
    return [{"name": "what", "data": what}]
`

func about(what string) string { return `{"inputs":[{"name":"w","data":"` + what + `"}]}` }

// Whatever the function does to its process, the caller hears what happened and the next call is
// answered.
func TestWhatTheFunctionDoesToItsProcess(t *testing.T) {
	t.Parallel()
	c := start(t, hurting, "f", func(o *setup) { o.timeout = 3 * time.Second }).awaitReady()
	for _, x := range []struct {
		what         string
		status       int
		slug, detail string
	}{
		{"null", 502, "function-died", "the function's process was killed by signal 11 (segmentation fault)"},
		{"sys.exit", 502, "function-died", "the function's process ended with exit code 1"},
		{"os._exit", 502, "function-died", "the function's process ended with exit code 4"},
		{"killed", 502, "function-died", "the function's process was killed by signal 9 (killed)"},
		{"abort", 502, "function-died", "the function's process was killed by signal 6 (aborted)"},
		{"close", 502, "function-died",
			"the function's process lost its connection to the server: the function closed it or wrote to it"},
		{"write", 502, "function-died",
			"the function's process lost its connection to the server: the function closed it or wrote to it"},
		{"fork and die", 502, "function-died", "the function's process ended with exit code 5"},
		{"interrupt", 502, "function-died", "the function's process ended with exit code 1"},
		{"both return", 200, "", ""},
		{"child raises", 200, "", ""},
		{"child exits", 200, "", ""},
		{"threads", 200, "", ""},
		{"recursion", 500, "function-error", "RecursionError: maximum recursion depth exceeded"},
		{"memory", 500, "function-error", "MemoryError"},
		{"raise", 500, "function-error", "KeyError: 'the reason'"},
		{"hang", 504, "timeout", "the function did not answer within 3s"},
		{"spin", 504, "timeout", "the function did not answer within 3s"},
		{"program", 504, "timeout", "the function did not answer within 3s"},
	} {
		begin := time.Now()
		a := c.predict(x.status, about(x.what))
		if x.slug != "" && (a.slug() != x.slug || !strings.HasPrefix(a.Detail, x.detail)) {
			t.Errorf("%s: %s, want %s", x.what, a.body, x.detail)
		}
		if took := time.Since(begin); took > 8*time.Second {
			t.Errorf("%s: answered after %s", x.what, took)
		}
		// a child that answered on its parent's connection would be heard here
		for _, word := range []string{"next", "and the next"} {
			if a := c.predict(200, about(word)); len(a.Outputs) != 1 || a.Outputs[0].Data != word {
				t.Errorf("after %s: %q was answered with %s", x.what, word, a.body)
			}
		}
	}
	output := c.output.String()
	for _, want := range []string{"Fatal Python error: Segmentation fault", "enough", "a call overran its time",
		"in f"} {
		if !strings.Contains(output, want) {
			t.Errorf("the log lacks %q", want)
		}
	}
	pid, err := os.ReadFile(filepath.Join(c.dir, "app/pid"))
	if err != nil {
		t.Fatal(err)
	}
	eventually(t, "the end of a program that a killed call had started", func() bool { return !alive(t, string(pid)) })
}

// alive reports whether there is such a process and it has not ended.
func alive(t *testing.T, pid string) bool {
	t.Helper()
	b, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return false
	}
	_, rest, _ := strings.Cut(string(b), ") ")
	return !strings.HasPrefix(rest, "Z")
}

// What the function prints goes to the log with the request's id, a record a line; tracebacks too;
// before and after a call text passes as it is.
func TestPrintsCarryTheRequestsID(t *testing.T) {
	t.Parallel()
	c := start(t, "print('imported')\n"+hurting, "f").awaitReady()
	c.predict(200, about("print"), "X-Request-Id", "req-1")
	c.predict(500, about("raise"), "X-Request-Id", "req-2")
	c.predict(200, about("quiet"), "X-Request-Id", "req-3")
	if !strings.Contains(c.output.String(), "imported\n") {
		t.Error("what is printed at import is lost or changed")
	}
	var got []string
	for line := range strings.Lines(c.output.String()) {
		if len(line) > 4096 {
			t.Errorf("a line of %d bytes: a pipe may tear it", len(line))
		}
		var r struct {
			Time                  time.Time
			Level, Msg, Traceback string
			ID                    string `json:"request_id"`
			Stream                string
		}
		if json.Unmarshal([]byte(line), &r) != nil {
			continue
		}
		if time.Since(r.Time).Abs() > time.Minute {
			t.Errorf("time %s", r.Time)
		}
		got = append(got, fmt.Sprintf("%s %s %s %.40s", r.Level, r.ID, r.Stream, r.Msg))
		if r.Level == "ERROR" && !strings.Contains(r.Traceback, `raise KeyError("the reason")`) {
			t.Errorf("traceback %q", r.Traceback)
		}
	}
	x := "INFO req-1 stdout " + strings.Repeat("x", 40)
	want := []string{
		"INFO req-1 stdout one", "INFO req-1 stdout two", "INFO req-1 stdout three", "INFO req-1 stdout 100%",
		"INFO req-1 stderr to stderr", "INFO req-1 stderr by logging",
		"INFO req-1 stdout привет \ufffd" + strings.Repeat("x", 40-8), x, x,
		"ERROR req-2  the function raised KeyError: 'the reaso",
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got:\n%s\nwant:\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

// A call that overruns costs nobody else anything: with two workers the other one goes on.
func TestOthersAreUnharmedByAnOverrun(t *testing.T) {
	t.Parallel()
	c := start(t, hurting, "f", func(o *setup) { o.timeout = time.Second; o.workers = 2 }).awaitReady()
	var wg sync.WaitGroup
	wg.Go(func() { c.predict(504, about("hang")) })
	end := time.Now().Add(1500 * time.Millisecond)
	for i := 0; time.Now().Before(end); i++ {
		word := strconv.Itoa(i)
		if a := c.predict(200, about(word)); len(a.Outputs) != 1 || a.Outputs[0].Data != word {
			t.Fatalf("%s: %s", word, a.body)
		}
	}
	wg.Wait()
}

// Workers that are killed while they wait for a call are replaced and no caller hears of it; the
// supervisor's end is told to those whose calls are under way.
func TestKilledFromOutside(t *testing.T) {
	t.Parallel()
	c := start(t, hurting, "f", func(o *setup) { o.workers = 2 }).awaitReady()
	for i := range 5 {
		for _, pid := range children(t, c.worker.Process.Pid) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
		word := strconv.Itoa(i)
		if a := c.predict(200, about(word)); len(a.Outputs) != 1 || a.Outputs[0].Data != word {
			t.Fatalf("%s: %s", word, a.body)
		}
	}
	eventually(t, "two workers", func() bool { return len(children(t, c.worker.Process.Pid)) == 2 && c.ready() })
	workers := children(t, c.worker.Process.Pid)
	var wg sync.WaitGroup
	wg.Go(func() {
		if a := c.predict(502, about("nap")); !strings.Contains(a.Detail, "ended with its container") {
			t.Errorf("%s", a.body)
		}
	})
	eventually(t, "a call under way", func() bool { return strings.Contains(scrape(t, c), "unip_workers_busy 1") })
	if err := c.worker.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	wg.Wait()
	if c.ready() {
		t.Error("ready without a worker")
	}
	for _, pid := range workers {
		eventually(t, "the end of a worker whose supervisor is gone",
			func() bool { return !alive(t, strconv.Itoa(pid)) })
	}
}

// children of a process.
func children(t *testing.T, pid int) []int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/task/%d/children", pid, pid))
	if err != nil {
		return nil
	}
	var all []int
	for _, f := range strings.Fields(string(b)) {
		n, err := strconv.Atoi(f)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, n)
	}
	return all
}

// worker.py is PID 1 of its container, to which the kernel gives no signal without a handler: it
// has one before it has imported anything slow.
func TestWorkerHearsSIGTERMFromTheFirst(t *testing.T) {
	t.Parallel()
	b, err := os.ReadFile("worker/worker.py")
	if err != nil {
		t.Fatal(err)
	}
	_, code, _ := strings.Cut(string(b), `"""`+"\n\nimport os\nimport signal\n\nif __name__ == \"__main__\":\n")
	if !strings.Contains(strings.SplitN(code, "import ", 2)[0], "signal.signal(signal.SIGTERM,") {
		t.Error("worker.py imports more than os and signal before it handles SIGTERM")
	}
	// As PID 1 of a namespace of its own, without a server: it waits for one, and ends all the
	// same.
	name, args := "python3", []string{"worker/worker.py", "--socket", filepath.Join(t.TempDir(), "none"), "--inference",
		"m:f"}
	if os.Getuid() == 0 {
		name, args = "unshare", append([]string{"--pid", "--fork", "--kill-child", name}, args...)
	}
	p := exec.Command(name, args...)
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- p.Wait() }()
	python := p.Process.Pid
	if os.Getuid() == 0 {
		eventually(t, "a child", func() bool {
			of := children(t, p.Process.Pid)
			if len(of) == 1 {
				python = of[0]
			}
			return len(of) == 1
		})
	}
	eventually(t, "a handler of SIGTERM", func() bool {
		b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", python))
		_, after, _ := strings.Cut(string(b), "SigCgt:\t")
		mask, _ := strconv.ParseUint(strings.SplitN(after, "\n", 2)[0], 16, 64)
		return mask&(1<<(syscall.SIGTERM-1)) != 0
	})
	if err := syscall.Kill(python, syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	select {
	case err := <-ended:
		if err != nil {
			t.Errorf("ended with %v", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("it goes on")
		_ = p.Process.Kill()
		<-ended
	}
}

// The function's container may run as any user, with a root that cannot be written to.
func TestWorkerAsNobodyWithAReadOnlyRoot(t *testing.T) {
	t.Parallel()
	if os.Getuid() != 0 { // what any user can try: the user that this one is
		start(t, hurting, "f").awaitReady().predict(200, about("x"))
		return
	}
	c := start(t, hurting, "f", func(o *setup) {
		o.python = []string{"unshare", "--mount", "--", "sh", "-c",
			`mount -o bind / /mnt && mount -o remount,ro,bind / && cd "$PWD" && exec setpriv --reuid 65534 --regid 65534 --clear-groups --no-new-privs --inh-caps=-all "$@"`, "sh", systemPython(t)}
	})
	open(t, c.dir)
	a := c.awaitReady().predict(200, about("x"))
	if a.Outputs[0].Data != "x" {
		t.Errorf("%s", a.body)
	}
}

// open lets every user into a test's folder.
func open(t *testing.T, dir string) {
	t.Helper()
	for ; dir != os.TempDir() && dir != "/"; dir = filepath.Dir(dir) {
		if err := os.Chmod(dir, 0o777); err != nil {
			t.Fatal(err)
		}
	}
}

// systemPython is a Python that every user may run.
func systemPython(t *testing.T) string {
	t.Helper()
	if _, err := os.Stat("/usr/bin/python3"); err == nil {
		return "/usr/bin/python3"
	}
	path, err := exec.LookPath("python3")
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// worker.py is run by whatever Python the user's image has, from 3.8 on: by all that are here, and
// its grammar is 3.8's.
func TestOtherPythons(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("python3", "-c",
		"import ast, glob\nfor f in glob.glob('worker/*.py'): ast.parse(open(f).read(), f, feature_version=(3, 8))").CombinedOutput()
	if err != nil {
		t.Errorf("not Python 3.8: %s", out)
	}
	for minor := 8; minor <= 14; minor++ {
		python := pythonOf(minor)
		if python == "" {
			continue
		}
		t.Run(fmt.Sprintf("3.%d", minor), func(t *testing.T) {
			t.Parallel()
			c := start(t, hurting, "f", func(o *setup) {
				o.timeout = 4 * time.Second
				o.python = []string{python, "-B"}
			}).awaitReady()
			for what, want := range map[string]int{"null": 502, "both return": 200, "raise": 500, "print": 200,
				"hang": 504, "recursion": 500} {
				c.predict(want, about(what), "X-Request-Id", "r")
				c.predict(200, about("next"))
			}
			if !strings.Contains(c.output.String(), `"msg": "by logging", "request_id": "r"`) {
				t.Error("prints are not in the log")
			}
		})
	}
}

// pythonOf finds Python 3.minor, in PATH or among pyenv's; "" when it is not here.
func pythonOf(minor int) string {
	name := fmt.Sprintf("python3.%d", minor)
	found, _ := filepath.Glob(filepath.Join(os.Getenv("HOME"),
		fmt.Sprintf(".pyenv/versions/3.%d.*/bin/%s", minor, name)))
	for _, path := range append(found, name) {
		if exec.Command(path, "-c", "").Run() == nil {
			return path
		}
	}
	return ""
}

// A child of the C library's fork, which Python does not know of, keeps the connection open; what
// the worker had answered before its end still counts. Here the worker is the test itself.
func TestEndOfAWorkerWhoseConnectionStaysOpen(t *testing.T) {
	t.Parallel()
	c := start(t, hurting, "f", func(o *setup) { o.timeout = 20 * time.Second }).awaitReady()
	begin := time.Now()
	if a := c.predict(502, about("fork and die")); !strings.Contains(a.Detail, "exit code 5") {
		t.Errorf("%s", a.body)
	}
	if took := time.Since(begin); took > 5*time.Second {
		t.Errorf("heard after %s", took)
	}
}

// raw sends bytes to the server as they are and returns what it answers until it closes the
// connection; nil for no answer.
func (c *component) raw(t *testing.T, send string) *http.Response {
	t.Helper()
	conn := c.dial(t)
	_, _ = conn.Write([]byte(send)) // the server may have closed it already
	resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		return nil
	}
	return resp
}

// pipeline sends several requests at once and returns the bodies of the answers.
func (c *component) pipeline(t *testing.T, send string, n int) []string {
	t.Helper()
	conn := c.dial(t)
	if _, err := conn.Write([]byte(send)); err != nil {
		t.Fatal(err)
	}
	in := bufio.NewReader(conn)
	var bodies []string
	for range n {
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(resp.Body)
		if err != nil {
			t.Fatal(err)
		}
		bodies = append(bodies, string(b))
	}
	return bodies
}

// leave sends bytes and closes the connection.
func (c *component) leave(t *testing.T, send string) {
	t.Helper()
	conn := c.dial(t)
	if _, err := conn.Write([]byte(send)); err != nil {
		t.Fatal(err)
	}
	conn.Close()
}

func (c *component) dial(t *testing.T) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	return conn
}
