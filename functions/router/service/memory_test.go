package service

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"testing"
)

// behind, in the environment, makes the tests' program a router by itself: its memory can be measured.
const behind = "UNIP_TEST_ROUTER_BEHIND"

func TestMain(m *testing.M) {
	if address := os.Getenv(behind); address != "" {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			panic(err)
		}
		fmt.Println(l.Addr())
		panic(NewServer(New(optionsTo(address))).Serve(l))
	}
	os.Exit(m.Run())
}

// process is a router in a process of its own.
type process struct {
	url string
	pid int
}

func startProcess(t *testing.T, h http.HandlerFunc) process {
	t.Helper()
	s := httptest.NewServer(h)
	t.Cleanup(s.Close)
	c := exec.CommandContext(t.Context(), os.Args[0])
	c.Env = append(os.Environ(), "GOGC=50", behind+"="+s.Listener.Addr().String()) // GOGC as config/ has it
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = c.Process.Kill(), c.Wait() })
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return process{"http://" + strings.TrimSpace(address), c.Process.Pid}
}

// memory in MiB: RssAnon is what it has, without the pages of its file; VmHWM the most that it had.
func (p process) memory(t *testing.T, what string) int {
	t.Helper()
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.pid))
	if err != nil {
		t.Skip(err) // only Linux tells
	}
	for line := range strings.Lines(string(b)) {
		if words := strings.Fields(line); words[0] == what+":" {
			n, err := strconv.Atoi(words[1])
			if err != nil {
				t.Fatal(err)
			}
			return n >> 10
		}
	}
	t.Fatalf("no %s", what)
	return 0
}

// A thousand streams fit into 64 MiB.
func TestAThousandStreams(t *testing.T) {
	t.Parallel()
	const streams, most = 1000, 64
	p := startProcess(t, func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/event-stream")
		for range 3 {
			_, _ = io.WriteString(w, "data: 1\n\n")
			_ = http.NewResponseController(w).Flush()
		}
		<-r.Context().Done()
	})
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	var wg sync.WaitGroup
	for range streams {
		wg.Go(func() {
			r, _ := http.NewRequestWithContext(t.Context(), http.MethodGet, p.url+"/pu-ann/files/", nil)
			resp, err := tr.RoundTrip(r)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { resp.Body.Close() })
			b := make([]byte, 27)
			if _, err := io.ReadFull(resp.Body, b); err != nil || resp.StatusCode != http.StatusOK {
				t.Errorf("%d %q %v", resp.StatusCode, b, err)
			}
		})
	}
	wg.Wait()
	if n := p.memory(t, "RssAnon"); n > most {
		t.Errorf("%d streams take %d MiB, want %d at the most", streams, n, most)
	} else {
		t.Logf("%d streams take %d MiB", streams, n)
	}
}

// A body of 1 GiB goes there and back, at the same time, in as little memory.
func TestAGibibyteBothWays(t *testing.T) {
	if testing.Short() {
		t.Skip("some seconds")
	}
	t.Parallel()
	const size, most = 1 << 30, 64
	p := startProcess(t, func(w http.ResponseWriter, r *http.Request) {
		_ = http.NewResponseController(w).EnableFullDuplex()
		_, _ = io.Copy(w, r.Body)
	})
	for _, two := range []bool{false, true} {
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!two)
		protocols.SetUnencryptedHTTP2(two)
		tr := &http.Transport{Protocols: protocols}
		r, _ := http.NewRequestWithContext(t.Context(), http.MethodPost, p.url+"/pu-ann/x",
			io.LimitReader(zeros{}, size))
		r.ContentLength = size
		resp, err := tr.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		tr.CloseIdleConnections()
		if n != size || err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("HTTP/2 %v: %d bytes came back: %v %d", two, n, err, resp.StatusCode)
		}
	}
	if n := p.memory(t, "VmHWM"); n > most {
		t.Errorf("it took %d MiB, want %d at the most", n, most)
	} else {
		t.Logf("it took %d MiB", n)
	}
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { return len(p), nil }
