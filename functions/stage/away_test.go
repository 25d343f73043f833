//go:build integration

package main

import (
	"bufio"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/stage"
)

// started is the program at work.
type started struct {
	*exec.Cmd
	said    *bufio.Scanner
	message string
}

func (w world) start(t *testing.T, command string, plan any) *started {
	t.Helper()
	c, message := w.program(t, command, plan)
	said, err := c.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return &started{c, bufio.NewScanner(said), message}
}

// until reads what the program says until it says this.
func (s *started) until(t *testing.T, words string) {
	t.Helper()
	for s.said.Scan() {
		if strings.Contains(s.said.Text(), words) {
			return
		}
	}
	t.Fatalf("it never said %q: %+v", words, resultIn(t, s.message))
}

// end waits for the end, and gives exit code and result.
func (s *started) end(t *testing.T) (int, stage.Result) {
	t.Helper()
	for s.said.Scan() {
		t.Log(s.said.Text())
	}
	_ = s.Wait()
	return s.ProcessState.ExitCode(), resultIn(t, s.message)
}

// behind puts a proxy between the program and the server.
func (w world) behind(t *testing.T) *miniotest.Proxy {
	t.Helper()
	proxy := w.s3.Proxy(t)
	s := w.session(t)
	s.Endpoint = proxy.Endpoint
	w.give(t, s)
	return proxy
}

// at does something once, when the n-th request comes that is of interest, and has the connection
// broken then.
func at(n int, interesting func(*http.Request) bool, do func()) func(*http.Request) miniotest.Fault {
	var mu sync.Mutex
	seen := 0
	return func(r *http.Request) miniotest.Fault {
		mu.Lock()
		defer mu.Unlock()
		if !interesting(r) {
			return miniotest.None
		}
		if seen++; seen == n {
			do()
			return miniotest.Broken
		}
		return miniotest.None
	}
}

const many = 60

// sized is how large the i-th file is: half of them travel in packs.
func sized(i int) int { return 2 * stage.MaxPacked * i / many }

// withFiles writes the files of an output.
func (w world) withFiles(t *testing.T) {
	t.Helper()
	if err := os.Mkdir(filepath.Join(w.data, "model"), 0o777); err != nil {
		t.Fatal(err)
	}
	for i := range many {
		name := filepath.Join(w.data, "model", fmt.Sprint(i))
		if err := os.WriteFile(name, []byte(strings.Repeat("x", sized(i))), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

func (w world) publishPlan() *stage.PublishPlan {
	return &stage.PublishPlan{Run: "r", Stage: "s", Attempt: 1, Bucket: w.bucket, Session: sessionFile,
		PatienceSeconds: 120,
		Outputs: []stage.Output{{Name: "model", Copies: []stage.Folder{{Bucket: w.bucket,
			Prefix: "users/ann/file_groups/models/", Session: sessionFile}}}}}
}

func (w world) copied(t *testing.T) {
	t.Helper()
	for i := range many {
		o, err := w.s3.StatObject(t.Context(), w.bucket, fmt.Sprintf("users/ann/file_groups/models/%d", i),
			minio.StatObjectOptions{})
		if err != nil || o.Size != int64(sized(i)) {
			t.Errorf("%d: %d bytes, %v", i, o.Size, err)
		}
	}
}

// A server that dies in the middle, and comes again, costs time and nothing else: whatever publish
// or fetch are at.
func TestTheServerDiesAndComesAgain(t *testing.T) {
	t.Parallel()
	puts := func(part string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Method == http.MethodPut && strings.Contains(r.URL.Path, part) }
	}
	gets := func(part string) func(*http.Request) bool {
		return func(r *http.Request) bool { return r.Method == http.MethodGet && strings.Contains(r.URL.Path, part) }
	}
	for name, c := range map[string]struct {
		command string
		at      int
		of      func(*http.Request) bool
	}{
		"while a pack goes up":    {"publish", 1, puts("/runs/r/s/1.packs/model/")},
		"while files go up":       {"publish", 20, puts("/runs/r/s/1/model/")},
		"before the commit":       {"publish", 1, puts("/runs/r/s/commit")},
		"before copies are made":  {"publish", 1, gets("/runs/r/s/1.packs/model/")},
		"while copies are made":   {"publish", 20, puts("/file_groups/models/")},
		"while the others are":    {"publish", 50, puts("/file_groups/models/")},
		"while a pack comes":      {"fetch", 1, gets("/runs/r/s/1.packs/model/")},
		"before a folder is read": {"fetch", 1, func(r *http.Request) bool { return r.URL.Query().Has("list-type") }},
		"while files come": {"fetch", 20, func(r *http.Request) bool {
			return r.Method == http.MethodGet && !r.URL.Query().Has("list-type")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w, files := newWorld(t), many
			w.withFiles(t)
			plan := any(w.publishPlan())
			if c.command == "fetch" {
				if code, r, said := w.stage(t, "publish", plan); code != 0 {
					t.Fatalf("%+v %s", r, said)
				}
				plan = &stage.FetchPlan{PatienceSeconds: 120, Inputs: []stage.Input{
					{Name: "in", Session: sessionFile, Bucket: w.bucket, Prefix: "users/ann/file_groups/models/"},
					{Name: "of", Session: sessionFile, Bucket: w.bucket, Commit: stage.CommitKey("r", "s"),
						Output: "model"},
				}}
				files *= 2
			}
			w.behind(t).Fault(at(c.at, c.of, w.s3.Kill))
			p := w.start(t, c.command, plan)
			p.until(t, "storage has not answered; waiting for it")
			w.s3.Restart(t)
			if code, r := p.end(t); code != 0 || r.Files != files || r.Error != "" {
				t.Fatalf("exit %d, %+v", code, r)
			}
			w.copied(t)
			if c.command == "fetch" {
				for i := range 2 * many {
					info, err := os.Stat(filepath.Join(w.data, []string{"in", "of"}[i%2], fmt.Sprint(i/2)))
					if err != nil || info.Size() != int64(sized(i/2)) {
						t.Errorf("%d: %v", i, err)
					}
				}
			}
		})
	}
}

// A session that is revoked in the middle is as one that has ended: the next one goes on.
func TestASessionRevokedInTheMiddleIsReplaced(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.withFiles(t)
	proxy := w.behind(t)
	revoked, err := databox.ReadSession(filepath.Join(w.sessions, sessionFile))
	if err != nil {
		t.Fatal(err)
	}
	next := w.session(t)
	next.Endpoint = proxy.Endpoint
	n := 0
	proxy.Fault(func(r *http.Request) miniotest.Fault { // one at a time
		if n++; n > many && strings.Contains(r.Header.Get("Authorization"), revoked.AccessKeyID) {
			return miniotest.Ended
		}
		return miniotest.None
	})
	p := w.start(t, "publish", w.publishPlan())
	p.until(t, "the S3 session has ended")
	w.give(t, next)
	if code, r := p.end(t); code != 0 || r.Files != many {
		t.Fatalf("exit %d, %+v", code, r)
	}
	w.copied(t)
}

// Told to end, as by an eviction, it ends long before kubelet kills, says that another attempt may
// do better, and that attempt does.
func TestToldToEnd(t *testing.T) {
	t.Parallel()
	for name, of := range map[string]func(*http.Request) bool{
		"while a pack goes up": func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/r/s/1.packs/model/") },
		"while a file goes up": func(r *http.Request) bool { return strings.Contains(r.URL.Path, "/runs/r/s/1/model/") },
		"at the commit":        func(r *http.Request) bool { return strings.HasSuffix(r.URL.Path, "/commit") },
		"while copies are made": func(r *http.Request) bool {
			return strings.Contains(r.URL.Path, "/file_groups/models/")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.withFiles(t)
			proxy, plan := w.behind(t), w.publishPlan()
			hangs := make(chan struct{}, 1000)
			proxy.Fault(func(r *http.Request) miniotest.Fault {
				if !of(r) {
					return miniotest.None
				}
				hangs <- struct{}{}
				return miniotest.Hang
			})
			p := w.start(t, "publish", plan)
			<-hangs
			told := time.Now()
			if err := p.Process.Signal(syscall.SIGTERM); err != nil {
				t.Fatal(err)
			}
			code, r := p.end(t)
			if code != exitRetry || !r.Retry || !strings.Contains(r.Error, "the pod was told to end") ||
				time.Since(told) > ending+5*time.Second {
				t.Errorf("exit %d after %s, %+v", code, time.Since(told), r)
			}
			proxy.Fault(nil)
			plan.Attempt = 2
			if code, r, said := w.stage(t, "publish", plan); code != 0 || r.Files != many {
				t.Errorf("the next attempt: exit %d, %+v, %s", code, r, said)
			}
			w.copied(t)
		})
	}
}

// Killed while its copies are made, it leaves some; whoever completes them makes the others.
func TestKilledWhileCopiesAreMade(t *testing.T) {
	t.Parallel()
	for name, n := range map[string]int{"of a pack": 10, "of objects": 45} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			w.withFiles(t)
			proxy, plan := w.behind(t), w.publishPlan()
			copies := func(r *http.Request) bool {
				return r.Method == http.MethodPut && strings.Contains(r.URL.Path, "/file_groups/models/")
			}
			reached, seen := make(chan struct{}), 0
			proxy.Fault(func(r *http.Request) miniotest.Fault {
				if !copies(r) {
					return miniotest.None
				}
				if seen++; seen == n {
					close(reached)
				}
				if seen < n {
					return miniotest.None
				}
				return miniotest.Hang
			})
			p := w.start(t, "publish", plan)
			<-reached
			if err := p.Process.Kill(); err != nil {
				t.Fatal(err)
			}
			_ = p.Wait()
			proxy.Seen() // forgets them
			proxy.Fault(nil)
			plan.Attempt, plan.Complete = 2, true
			if code, r, said := w.stage(t, "publish", plan); code != 0 || r.Files != many || r.Attempt != 1 {
				t.Fatalf("exit %d, %+v, %s", code, r, said)
			}
			w.copied(t)
			made := 0
			for _, s := range proxy.Seen() {
				if strings.HasPrefix(s, "PUT ") {
					made++
				}
			}
			if left := many - (n - 1); made < left || made > left+16 { // so many may have been under way
				t.Errorf("%d copies were made again", made)
			}
		})
	}
}

// What only completes a commit needs no volume.
func TestCompleteOpensNoVolume(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	plan := w.publishPlan()
	plan.Outputs[0].Copies, plan.Complete = nil, true
	w.data = ""
	if code, r, said := w.stage(t, "publish", plan); code != exitRetry || !r.Retry {
		t.Errorf("without a commit: exit %d, %+v %s", code, r, said)
	}
	publish := w.publishPlan()
	publish.Outputs[0].Copies = nil
	w.data = filepath.Join(t.TempDir(), "volume")
	if err := os.MkdirAll(filepath.Join(w.data, "model"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.data, "model", "a"), []byte("1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if code, r, said := w.stage(t, "publish", publish); code != 0 {
		t.Fatalf("exit %d, %+v %s", code, r, said)
	}
	plan, w.data = w.publishPlan(), ""
	plan.Attempt, plan.Complete = 2, true
	if code, r, said := w.stage(t, "publish", plan); code != 0 || r.Files != 1 || r.Attempt != 1 {
		t.Errorf("exit %d, %+v %s", code, r, said)
	}
	if _, err := w.s3.StatObject(t.Context(), w.bucket, "users/ann/file_groups/models/a",
		minio.StatObjectOptions{}); err != nil {
		t.Error(err)
	}
}
