//go:build linux

package devserver

import (
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// lines is a log for several goroutines.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(b)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// served is a function that is served until the test ends.
type served struct {
	t   *testing.T
	url string
	log *lines
}

func serve(t *testing.T, source string, o Options) served {
	t.Helper()
	o.Component, o.Inference, o.Python, o.Env = "leaf", "m:predict", "python3", os.Environ()
	o.Dir, o.Timeout = t.TempDir(), time.Hour
	write(t, filepath.Join(o.Dir, "m.py"), source)
	var err error
	if o.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	s := served{t: t, url: "http://" + o.Listener.Addr().String(), log: &lines{}}
	o.Output, o.Log = s.log, slog.New(NewHandler(s.log, "leaf"))
	done := make(chan error, 1)
	go func() { done <- Run(t.Context(), o) }()
	t.Cleanup(func() { // the test's context has ended
		if err := <-done; err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Log(s.log)
		}
	})
	return s
}

// call calls predict, and wants a status and something in the answer.
func (s served) call(inputs map[string]any, status int, says ...string) {
	s.t.Helper()
	list := []map[string]any{}
	for name, value := range inputs {
		list = append(list, map[string]any{"name": name, "data": value})
	}
	body, err := json.Marshal(map[string]any{"inputs": list})
	if err != nil {
		s.t.Error(err)
	}
	res, err := http.Post(s.url+"/predict", "application/json", strings.NewReader(string(body)))
	if err != nil {
		s.t.Error(err)
		return
	}
	defer res.Body.Close()
	answer, err := io.ReadAll(res.Body)
	if err != nil {
		s.t.Error(err)
	}
	for _, part := range says {
		if res.StatusCode != status || !strings.Contains(string(answer), part) {
			s.t.Errorf("%v: %d %s, want %d with %q", inputs, res.StatusCode, answer, status, part)
		}
	}
}

// A function that takes more and more memory is ended at its limit, and its call is told so as in a
// cluster. The other worker's call goes on, and the next one is answered.
func TestAHogDoesNotTakeTheMachine(t *testing.T) {
	t.Parallel()
	s := serve(t, `
import os, time

def predict(inputs):
    """Takes memory, and waits for a file."""
    given = {i["name"]: i["data"] for i in inputs}
    held = [b"x" * (1 << 20) for _ in range(given["mib"])]
    while not os.path.exists(given.get("until", "/")):
        time.sleep(0.01)
    return {"mib": len(held)}
`, Options{Workers: 2, Memory: 256 << 20})
	s.call(map[string]any{"mib": 100}, http.StatusOK, "100")
	over := filepath.Join(t.TempDir(), "over")
	var other sync.WaitGroup
	other.Go(func() { s.call(map[string]any{"mib": 1, "until": over}, http.StatusOK, "1") })
	s.call(map[string]any{"mib": 8 << 10}, http.StatusBadGateway, "function-died",
		"the function's process was killed by signal 9 (out of memory: the container's memory limit was reached)")
	for range 3 {
		s.call(map[string]any{"mib": 100}, http.StatusOK, "100")
	}
	write(t, over, "")
	other.Wait()
	if got := strings.Count(s.log.String(), "resourceLimits.memory is 256 MiB"); got != 1 {
		t.Errorf("the limit is told %d times, want once", got)
	}
}

// Where the limit does not hold a newer model beside the older, the older goes first, as in a
// cluster: nothing is ended for want of memory.
func TestTwoModelsThatDoNotFit(t *testing.T) {
	t.Parallel()
	for name, memory := range map[string]int64{"one fits": 200 << 20, "two fit": 512 << 20} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			boxes := t.TempDir()
			model := filepath.Join(boxes, "weights", "m.txt")
			write(t, model, "the first")
			s := serve(t, `
def load(path):
    return open(path).read(), b"x" * (100 << 20)

def predict(model):
    return {"model": model[0]}
`, Options{Workers: 1, Memory: memory, Loader: "m:load", Model: OpenModel(boxes, "weights", "m.txt"), Updates: "swap"})
			s.call(nil, http.StatusOK, "the first")
			write(t, model, "the second one")
			for deadline := time.Now().Add(time.Minute); ; time.Sleep(10 * time.Millisecond) {
				if strings.Contains(s.log.String(), "a newer model is in service") {
					break
				}
				if time.Now().After(deadline) {
					t.Fatal("the newer model does not come into service")
				}
			}
			s.call(nil, http.StatusOK, "the second one")
			log := s.log.String()
			const one = "workers are changed one at a time"
			if got, want := strings.Contains(log, one), name == "one fits"; got != want {
				t.Errorf("%s: %v, want %v", one, got, want)
			}
			if strings.Contains(log, "resourceLimits.memory is") {
				t.Error("a worker is ended for want of memory")
			}
		})
	}
}
