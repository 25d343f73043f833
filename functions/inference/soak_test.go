package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

var soak = flag.Duration("soak", 5*time.Second, "how long TestSoak goes on; a release is tried with 10m")

const soaked = `
import ctypes, os, sys, threading, time
def f(inputs):
    what, nonce = inputs[0]["data"], inputs[1]["data"]
    if what == "exit": os._exit(3)
    if what == "sys.exit": sys.exit()
    if what == "null": ctypes.string_at(0)
    if what == "raise": raise ValueError(nonce)
    if what == "numbers":
        assert set(inputs[2]["data"]) == {int(nonce.split("-")[2]) + 0.5}
        return [{"name": "nonce", "data": nonce}, {"name": "back", "data": inputs[2]["data"]}]
    if what == "sleep": time.sleep(0.02)
    if what == "overrun": time.sleep(60)
    if what == "print": print(nonce)
    if what == "fork": os.fork()
    if what == "fork and die":
        if ctypes.CDLL(None).fork() == 0: time.sleep(1); os._exit(0)
        os._exit(5)
    if what == "thread": threading.Thread(target=time.sleep, args=(0.5,)).start()
    if what == "memory": return [{"name": "nonce", "data": nonce}, {"name": "big", "data": "x" * 3000000}]
    return [{"name": "nonce", "data": nonce}]
`

// wants are what a kind of call may be answered with when nobody kills its worker.
var wants = map[string]int{
	"nothing": 200, "numbers": 200, "sleep": 200, "print": 200, "fork": 200, "thread": 200, "memory": 200, "raise": 500,
	"exit": 502, "sys.exit": 502, "null": 502, "fork and die": 502, "overrun": 504,
}

// usage of what must not grow: descriptors and goroutines of the server, which is this process, its
// heap without the logs that the test keeps, and the processes below the supervisor with the
// descriptors and the memory of that.
type usage struct{ files, goroutines, heap, processes, supervisorFiles, supervisorMemory int }

// Random crashes, kills from outside, slow callers and callers who leave: each answer carries its
// question's nonce, none is lost, and when all is quiet again nothing has been left behind.
//
// Without the packages of the machine, so that the server writes the lists of answers, as in most
// images.
func TestSoak(t *testing.T) { // alone: it counts this process's own descriptors
	c := startPython(t, "-S", soaked, "f", func(o *setup) {
		o.workers, o.timeout, o.queue, o.accessLog = 3,
			5*time.Second, 100, false
	})
	c.awaitReady()
	kinds := []string{"nothing", "nothing", "numbers", "sleep", "print", "fork", "thread", "memory", "raise"}
	rare := []string{"exit", "sys.exit", "null", "fork and die", "overrun"}
	counts := sync.Map{} // "kind status" -> *atomic.Int64
	count := func(key string) {
		n, _ := counts.LoadOrStore(key, new(atomic.Int64))
		n.(*atomic.Int64).Add(1)
	}
	var killed atomic.Int64
	one := func(ctx context.Context, kind, nonce string) {
		more, list := "", ""
		if kind == "numbers" { // the nonce again, in a list that the server reads and writes
			number := nonce[strings.LastIndex(nonce, "-")+1:] + ".5"
			list = `[` + strings.Repeat(number+",", 3000) + number + `]`
			more = `,{"name":"numbers","data":` + list + `}`
		}
		a, err := c.post(ctx, `{"inputs":[{"name":"what","data":"`+kind+`"},{"name":"nonce","data":"`+nonce+`"}`+more+
			`]}`)
		if err != nil {
			if ctx.Err() == nil {
				t.Errorf("%s %s: no answer: %v", kind, nonce, err)
			}
			count("cancelled")
			return
		}
		count(fmt.Sprintf("%s %d", kind, a.status))
		switch {
		case a.status == 200 && (len(a.Outputs) == 0 || a.Outputs[0].Data != nonce):
			t.Errorf("%s %s: crossed: %.200s", kind, nonce, a.body)
		case a.status == 200 && !strings.Contains(a.body, list):
			t.Errorf("%s %s: crossed numbers: %.300s", kind, nonce, a.body)
		case a.status == 500 && !strings.Contains(a.Detail, nonce):
			t.Errorf("%s %s: crossed: %.200s", kind, nonce, a.body)
		case a.status == 502 && strings.Contains(a.Detail, "signal 9"): // killed from outside
		case a.status != wants[kind]:
			t.Errorf("%s %s: %d %.300s", kind, nonce, a.status, a.body)
		}
	}
	round := func(length time.Duration, hurt bool) {
		ctx, stop := context.WithTimeout(t.Context(), length)
		defer stop()
		var wg sync.WaitGroup
		for i := range 8 {
			wg.Go(func() {
				random := rand.New(rand.NewPCG(uint64(i), uint64(time.Now().UnixNano())))
				for n := 0; ctx.Err() == nil; n++ {
					kind := kinds[random.IntN(len(kinds))]
					if hurt && random.IntN(40) == 0 {
						kind = rare[random.IntN(len(rare))]
					}
					mine, done := context.WithCancel(t.Context())
					if hurt && random.IntN(20) == 0 { // a caller who leaves
						time.AfterFunc(time.Duration(random.IntN(20))*time.Millisecond, done)
					}
					one(mine, kind, fmt.Sprintf("%d-%d-%d", i, n, random.Uint32()))
					done()
				}
			})
		}
		if hurt {
			wg.Go(func() { // kills
				for ctx.Err() == nil {
					if all := children(t, c.worker.Process.Pid); len(all) > 0 &&
						syscall.Kill(all[rand.IntN(len(all))], syscall.SIGKILL) == nil {
						killed.Add(1)
					}
					pause(ctx, time.Duration(rand.IntN(2000))*time.Millisecond)
				}
			})
			for range 2 { // callers who send slowly, and leave or stay
				wg.Go(func() {
					for ctx.Err() == nil {
						c.slowly(ctx, t)
						count("slow")
					}
				})
			}
		}
		wg.Wait()
	}
	round(2*time.Second, true) // what is made once, is made
	before := c.quiet(t)
	for end := time.Now().Add(*soak); time.Now().Before(end); {
		round(min(time.Minute, max(time.Second, time.Until(end))), true)
		if t.Failed() {
			break
		}
		if *soak > time.Minute {
			t.Logf("%s: %+v", time.Until(end).Round(time.Second), c.usage(t))
		}
	}
	round(time.Second, false)
	after := c.quiet(t)
	var lines []string
	counts.Range(func(k, n any) bool {
		lines = append(lines, fmt.Sprintf("%v: %d", k, n.(*atomic.Int64).Load()))
		return true
	})
	t.Logf("killed from outside: %d; %s", killed.Load(), strings.Join(lines, ", "))
	t.Logf("before %+v", before)
	t.Logf("after  %+v", after)
	for name, grown := range map[string]bool{
		"descriptors": after.files > before.files+5, "goroutines": after.goroutines > before.goroutines+5,
		"heap":                          after.heap > 2*before.heap+16<<20,
		"processes":                     after.processes > before.processes,
		"descriptors of the supervisor": after.supervisorFiles > before.supervisorFiles,
		"memory of the supervisor":      after.supervisorMemory > before.supervisorMemory+4<<20,
	} {
		if grown {
			t.Errorf("%s leak", name)
		}
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// slowly sends a call in pieces; half of the callers leave before its end.
func (c *component) slowly(ctx context.Context, t *testing.T) {
	conn, err := net.Dial("tcp", strings.TrimPrefix(c.url, "http://"))
	if err != nil {
		t.Error(err)
		return
	}
	defer conn.Close()
	nonce := fmt.Sprint(rand.Uint64())
	body := `{"inputs":[{"name":"what","data":"nothing"},{"name":"nonce","data":"` + nonce + `"}]}`
	request := fmt.Sprintf("POST /predict HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s",
		len(body), body)
	leaves := rand.IntN(2) == 0
	for at := 0; at < len(request); at += 20 {
		if leaves && at > rand.IntN(2*len(request)) {
			return
		}
		if _, err := conn.Write([]byte(request[at:min(at+20, len(request))])); err != nil {
			t.Errorf("a slow caller: %v", err)
			return
		}
		pause(ctx, 20*time.Millisecond)
	}
	_ = conn.SetReadDeadline(time.Now().Add(10 * time.Second))
	scanner := bufio.NewScanner(conn)
	for scanner.Scan() {
		if strings.Contains(scanner.Text(), nonce) || strings.Contains(scanner.Text(), "signal 9") {
			return
		}
	}
	t.Errorf("a slow caller was not answered: %v", scanner.Err())
}

// quiet waits until nothing runs and there is nothing left of what ran, as far as it goes away, and
// counts.
func (c *component) quiet(t *testing.T) usage {
	t.Helper()
	client.CloseIdleConnections()
	var u, last usage
	same := 0
	deadline := time.Now().Add(20 * time.Second)
	for same < 20 && time.Now().Before(deadline) {
		runtime.GC()
		u = c.usage(t)
		if same++; u.files != last.files || u.goroutines != last.goroutines || u.processes != last.processes ||
			u.processes != 3 {
			same = 0
		}
		last = u
		time.Sleep(50 * time.Millisecond)
	}
	return u
}

func (c *component) usage(t *testing.T) usage {
	t.Helper()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	pid := c.worker.Process.Pid
	return usage{
		files: entries("/proc/self/fd"), goroutines: runtime.NumGoroutine(),
		heap: int(m.HeapAlloc) - c.output.memory() - c.log.memory(), processes: c.processes(t),
		supervisorFiles: entries(fmt.Sprintf("/proc/%d/fd", pid)), supervisorMemory: resident(pid),
	}
}

func entries(dir string) int {
	all, _ := os.ReadDir(dir)
	return len(all)
}

func resident(pid int) int {
	b, _ := os.ReadFile(fmt.Sprintf("/proc/%d/statm", pid))
	if f := strings.Fields(string(b)); len(f) > 1 {
		pages, _ := strconv.Atoi(f[1])
		return pages * os.Getpagesize()
	}
	return 0
}

// processes are all that run this component's worker.py but the supervisor, orphans included.
func (c *component) processes(t *testing.T) int {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, path := range all {
		if b, _ := os.ReadFile(path); strings.Contains(string(b), c.dir+"/worker.py") {
			n++
		}
	}
	return n - 1
}

// The problems that a soaked server gives are whole.
func TestProblemsAreWhole(t *testing.T) {
	t.Parallel()
	c := start(t, soaked, "f").awaitReady()
	a := c.predict(500, `{"inputs":[{"name":"what","data":"raise"},{"name":"nonce","data":"n"}]}`)
	var p map[string]any
	if err := json.Unmarshal([]byte(a.body), &p); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"type", "title", "status", "detail", "instance"} {
		if p[key] == nil || p[key] == "" {
			t.Errorf("no %s in %s", key, a.body)
		}
	}
}
