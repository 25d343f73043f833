package forward

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/internal/caller"
	"github.com/unip-knative/unip/functions/internal/problem"
)

var key = bytes.Repeat([]byte{9}, 32)

// clock is that of gateway and component. Tests set it on.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

// stage is a gateway's forwarder before a component that checks signatures as functions/inference
// does.
type stage struct {
	*testing.T
	clock   clock
	forward *Forwarder
	front   *httptest.Server
	once    caller.Once

	// held is what happens to a call on its way, before the component looks at its signature; ready
	// answers /readyz, 200 when it is nil.
	held  func(w http.ResponseWriter, r *http.Request) (answered bool)
	ready http.HandlerFunc

	asked, ran, refused atomic.Int32
	mu                  sync.Mutex
	bodies              []string
}

func newStage(t *testing.T) *stage {
	t.Helper()
	s := &stage{T: t, clock: clock{t: time.Now()}}
	up := httptest.NewServer(s)
	t.Cleanup(up.Close)
	target, err := url.Parse(up.URL)
	if err != nil {
		t.Fatal(err)
	}
	s.forward = New(Transport(), MaxBody)
	s.forward.Patience = 300 * time.Millisecond
	s.forward.sleepers.now = s.clock.now
	s.front = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.forward.Forward(w, r, Call{
			Target: target, Path: r.URL.Path, Deadline: time.Now().Add(20 * time.Second),
			Sign: func() (string, error) {
				return caller.Sign(key, caller.Claims{User: "ann", Audience: "leaf", Method: r.Method, Path: r.URL.Path,
					IssuedAt: s.clock.now()})
			},
		})
	}))
	t.Cleanup(s.front.Close)
	return s
}

// ServeHTTP is the component, with what stands before it.
func (s *stage) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/readyz" {
		s.asked.Add(1)
		if r.Header.Get(caller.Header) != "" {
			s.Error("a question about health carries a signature")
		}
		if s.ready != nil {
			s.ready(w, r)
		}
		return
	}
	if s.held != nil && s.held(w, r) {
		return
	}
	c, err := caller.Verify(key, r.Header.Get(caller.Header), r.Method, r.URL.EscapedPath(), "leaf", s.clock.now())
	if err == nil {
		err = s.once.Take(c, s.clock.now())
	}
	if err != nil {
		s.refused.Add(1)
		slug := problem.Unauthorized
		if err == caller.ErrExpired { // as Verify gives it
			slug = problem.CallerExpired
		}
		problem.Write(w, r, problem.New(slug, http.StatusUnauthorized, "", err.Error()))
		return
	}
	b, err := io.ReadAll(r.Body)
	if err != nil {
		s.Errorf("reading the body: %v", err)
	}
	s.ran.Add(1)
	s.mu.Lock()
	defer s.mu.Unlock()
	s.bodies = append(s.bodies, string(b))
	w.Header().Set("Content-Type", "application/json")
	_, _ = io.WriteString(w, `{"outputs":[]}`)
}

// call calls predict, and wants a status.
func (s *stage) call(want int, method string, body io.Reader) (slug string, header http.Header) {
	s.Helper()
	r, err := http.NewRequestWithContext(s.Context(), method, s.front.URL+"/predict", body)
	if err != nil {
		s.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		s.Error(err)
		return "", nil
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != want {
		s.Errorf("%d %s %v, want %d", resp.StatusCode, b, err, want)
	}
	var p problem.Problem
	_ = json.Unmarshal(b, &p) // an answer that is none has no slug
	return p.Slug(), resp.Header
}

// A component that takes longer to start than a signature lives gets one of after its start. Ways
// to be not ready: the activator holds the question, ends it after its own time, the component says
// so itself, or nothing is known of it yet.
func TestASleepingComponentIsWokenBeforeTheCallIsSigned(t *testing.T) {
	t.Parallel()
	plain := func(status int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "", status) }
	}
	for name, notReady := range map[string]http.HandlerFunc{
		"held":           func(http.ResponseWriter, *http.Request) {},
		"held too long":  plain(http.StatusGatewayTimeout),
		"no Service yet": plain(http.StatusNotFound),
		"no pod yet":     plain(http.StatusServiceUnavailable),
		"a lost pod":     plain(http.StatusBadGateway),
		"broken off":     func(http.ResponseWriter, *http.Request) { panic(http.ErrAbortHandler) },
		"starting": func(w http.ResponseWriter, r *http.Request) {
			problem.Write(w, r, problem.New("starting", http.StatusServiceUnavailable, "", ""))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.forward.Patience = time.Hour // of the clock that is set on below
			s.ready = func(w http.ResponseWriter, r *http.Request) {
				if s.asked.Load() <= 3 {
					s.clock.pass(30 * time.Second)
					notReady(w, r)
				}
			}
			s.held = func(http.ResponseWriter, *http.Request) bool {
				if s.asked.Load() == 0 { // the activator would hold the call itself for as long
					s.clock.pass(90 * time.Second)
				}
				return false
			}
			s.call(http.StatusOK, http.MethodPost, strings.NewReader(`{"inputs":[]}`))
			if ran, refused := s.ran.Load(), s.refused.Load(); ran != 1 || refused != 0 ||
				s.bodies[0] != `{"inputs":[]}` {
				t.Errorf("ran %d times, refused %d, %q", ran, refused, s.bodies)
			}
		})
	}
}

// While calls are answered nobody asks; when none was for a while, somebody does.
func TestAComponentThatIsAwakeIsNotAsked(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	for range 3 {
		s.call(http.StatusOK, http.MethodPost, strings.NewReader("{}"))
		s.clock.pass(fresh - time.Second)
	}
	if n := s.asked.Load(); n != 1 {
		t.Errorf("asked %d times", n)
	}
	s.clock.pass(time.Second)
	s.call(http.StatusOK, http.MethodPost, strings.NewReader("{}"))
	if n := s.asked.Load(); n != 2 {
		t.Errorf("asked %d times", n)
	}
}

// However many call a component that sleeps, there is one question.
func TestCallsShareTheWait(t *testing.T) {
	t.Parallel()
	const calls = 50
	s := newStage(t)
	awake := make(chan struct{})
	s.ready = func(http.ResponseWriter, *http.Request) { <-awake }
	var all sync.WaitGroup
	for range calls {
		all.Go(func() { s.call(http.StatusOK, http.MethodPost, strings.NewReader("{}")) })
	}
	eventually(t, func() bool { return s.waiting() == calls })
	close(awake)
	all.Wait()
	if asked, ran := s.asked.Load(), s.ran.Load(); asked != 1 || ran != calls {
		t.Errorf("asked %d times, ran %d", asked, ran)
	}
}

// waiting is how many calls wait for the component.
func (s *stage) waiting() int {
	s.forward.sleepers.mu.Lock()
	defer s.forward.sleepers.mu.Unlock()
	for _, a := range s.forward.sleepers.asks {
		return a.waiting
	}
	return 0
}

func eventually(t *testing.T, holds func() bool) {
	t.Helper()
	for deadline := time.Now().Add(10 * time.Second); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatal("not within 10 s")
		}
	}
}

// A caller who leaves does not end the question for the others; the last one does.
func TestTheLastCallerEndsTheQuestion(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	ended := make(chan struct{})
	s.ready = func(_ http.ResponseWriter, r *http.Request) {
		<-r.Context().Done()
		close(ended)
	}
	leave := make([]context.CancelFunc, 2)
	var all sync.WaitGroup
	for i := range leave {
		ctx, cancel := context.WithCancel(t.Context())
		leave[i] = cancel
		all.Go(func() {
			r, _ := http.NewRequestWithContext(ctx, http.MethodGet, s.front.URL+"/x", http.NoBody)
			if resp, err := http.DefaultClient.Do(r); err == nil {
				resp.Body.Close()
				t.Errorf("answered %d", resp.StatusCode)
			}
		})
	}
	eventually(t, func() bool { return s.waiting() == 2 })
	leave[0]()
	eventually(t, func() bool { return s.waiting() == 1 })
	select {
	case <-ended:
		t.Error("the question ended with the first who left")
	default:
	}
	leave[1]()
	<-ended
	all.Wait()
	if n := s.ran.Load(); n != 0 {
		t.Errorf("ran %d times", n)
	}
}

// Where only the network answers, for longer than an ingress needs to learn of a Service, nobody
// waits on.
func TestThereIsNoComponent(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.ready = func(w http.ResponseWriter, _ *http.Request) {
		s.clock.pass(100 * time.Millisecond)
		http.Error(w, "no healthy upstream", http.StatusServiceUnavailable)
	}
	slug, header := s.call(http.StatusServiceUnavailable, http.MethodPost, strings.NewReader("{}"))
	if slug != problem.Unavailable || header.Get("Retry-After") == "" || s.ran.Load() != 0 {
		t.Errorf("%s %v", slug, header)
	}
}

// hold has the first calls wait for more than a signature's life before the component sees them.
func (s *stage) hold(calls int32, longer time.Duration) {
	var n atomic.Int32
	s.held = func(http.ResponseWriter, *http.Request) bool {
		if n.Add(1) <= calls {
			s.clock.pass(longer)
		}
		return false
	}
}

const tooLong = caller.Life + caller.Leeway + time.Second

// A call that waited too long in a queue was not run: it is signed and sent again, whole, and runs
// once.
func TestACallThatExpiredInAQueueIsSentAgain(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]func() io.Reader{
		"short": func() io.Reader { return strings.NewReader(`{"inputs":[]}`) },
		"none":  func() io.Reader { return http.NoBody },
		"1 MiB": func() io.Reader { return bytes.NewReader(make([]byte, keep)) },
		"without length": func() io.Reader {
			return struct{ io.Reader }{strings.NewReader(strings.Repeat("x",
				100_000))}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.hold(2, tooLong)
			want, err := io.ReadAll(body())
			if err != nil {
				t.Fatal(err)
			}
			s.call(http.StatusOK, http.MethodPost, body())
			if ran, refused := s.ran.Load(), s.refused.Load(); ran != 1 || refused != 2 || s.bodies[0] != string(want) {
				t.Errorf("ran %d times, refused %d", ran, refused)
			}
			// Nothing is kept for nobody, once the handler has returned; its answer is read before that.
			eventually(t, func() bool { return s.forward.kept.Load() == 0 })
		})
	}
	t.Run("HEAD", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		s.hold(1, tooLong)
		s.call(http.StatusOK, http.MethodHead, nil)
		if n := s.ran.Load(); n != 1 {
			t.Errorf("ran %d times", n)
		}
	})
}

// What cannot be sent again is 503, and was not run.
func TestALongBodyThatExpiredInAQueue(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]io.Reader{
		"with length":    bytes.NewReader(make([]byte, keep+1)),
		"without length": struct{ io.Reader }{bytes.NewReader(make([]byte, 3*keep))},
		"others' bodies": strings.NewReader("{}"),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			s.held = func(_ http.ResponseWriter, r *http.Request) bool {
				_, _ = io.Copy(io.Discard, r.Body) // so that the gateway has sent all of it
				s.clock.pass(tooLong)
				return false
			}
			if name == "others' bodies" {
				s.forward.kept.Store(keepAll)
			}
			slug, header := s.call(http.StatusServiceUnavailable, http.MethodPost, body)
			if slug != problem.Unavailable || header.Get("Retry-After") == "" || s.ran.Load() != 0 ||
				s.refused.Load() != 1 {
				t.Errorf("%s %v, ran %d, refused %d", slug, header, s.ran.Load(), s.refused.Load())
			}
		})
	}
}

// A component whose clock is ahead, or a function that claims it, does not make the gateway send
// for ever.
func TestASignatureThatExpiresAtOnce(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	var sent atomic.Int32
	s.held = func(w http.ResponseWriter, r *http.Request) bool {
		sent.Add(1)
		problem.Write(w, r, problem.New(problem.CallerExpired, http.StatusUnauthorized, "", ""))
		return true
	}
	slug, _ := s.call(http.StatusServiceUnavailable, http.MethodPost, strings.NewReader("{}"))
	if slug != problem.Unavailable || sent.Load() != 1 {
		t.Errorf("%s, sent %d times", slug, sent.Load())
	}
}

// Another 401 of the component is the answer, with its body.
func TestAnother401Passes(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.held = func(w http.ResponseWriter, r *http.Request) bool {
		problem.Write(w, r, problem.New(problem.Unauthorized, http.StatusUnauthorized, "",
			strings.Repeat("long ", maxProblem)))
		return true
	}
	if slug, _ := s.call(http.StatusUnauthorized, http.MethodPost,
		strings.NewReader("{}")); slug != problem.Unauthorized {
		t.Errorf("%q", slug)
	}
}

// A connection that is not made in its few seconds is a component that does not answer, and not a
// call that took too long: the caller may try again at once, and the log says what happened. Its
// path is the one that the caller called.
// Not parallel: it reads the log.
func TestAConnectionThatIsNotMade(t *testing.T) {
	var log bytes.Buffer
	before := slog.Default()
	slog.SetDefault(slog.New(slog.NewTextHandler(&log, nil)))
	defer slog.SetDefault(before)
	transport := Transport()
	transport.DialContext = (&net.Dialer{Timeout: time.Nanosecond}).DialContext
	f := New(transport, MaxBody)
	f.Patience = time.Millisecond
	w := httptest.NewRecorder()
	f.Forward(w, httptest.NewRequest(http.MethodPost, "/pu-ann/leaf/predict", strings.NewReader("{}")), Call{
		Target: &url.URL{Scheme: "http", Host: "192.0.2.1"}, Prefix: "/pu-ann/leaf", Path: "/predict",
		Deadline: time.Now().Add(time.Minute),
		Sign:     func() (string, error) { return "signed", nil },
	})
	var p problem.Problem
	if err := json.Unmarshal(w.Body.Bytes(), &p); err != nil || p.Status != http.StatusServiceUnavailable ||
		p.Slug() != problem.Unavailable || w.Header().Get("Retry-After") != "1" {
		t.Errorf("%v %s %v", w.Header(), w.Body, err)
	}
	if p.Instance != "/pu-ann/leaf/predict" {
		t.Errorf("the call was of %s", p.Instance)
	}
	if !strings.Contains(log.String(), "192.0.2.1") {
		t.Errorf("log: %s", &log)
	}
}

// Attempts that read at the same time all read the whole.
func TestAttemptsReadTheSame(t *testing.T) {
	t.Parallel()
	var all atomic.Int64
	want := strings.Repeat("0123456789", 10_000)
	b := newBody(io.MultiReader(strings.NewReader(want[:5]), strings.NewReader(want[5:])), -1, &all)
	var readers sync.WaitGroup
	for range 4 {
		a, ok := b.attempt()
		if !ok {
			t.Fatal("no attempt")
		}
		readers.Go(func() {
			if got, err := io.ReadAll(a); err != nil || string(got) != want {
				t.Errorf("%d bytes, %v", len(got), err)
			}
		})
	}
	readers.Wait()
	if all.Load() != int64(len(want)) {
		t.Errorf("%d bytes are counted", all.Load())
	}
	late, _ := b.attempt()
	b.release()
	if n, err := late.Read(make([]byte, 10)); n != 0 || err == nil || all.Load() != 0 {
		t.Errorf("after the call: %d bytes, %v; %d are counted", n, err, all.Load())
	}
}

func BenchmarkForward(b *testing.B) {
	up := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		_, _ = io.Copy(io.Discard, r.Body)
		_, _ = io.WriteString(w, "{}")
	}))
	defer up.Close()
	target, _ := url.Parse(up.URL)
	f := New(Transport(), MaxBody)
	body := strings.Repeat("x", 1000)
	b.ReportAllocs()
	for b.Loop() {
		r := httptest.NewRequest(http.MethodPost, "/predict", strings.NewReader(body))
		w := httptest.NewRecorder()
		f.Forward(w, r, Call{Target: target, Path: "/predict", Deadline: time.Now().Add(time.Minute),
			Sign: func() (string, error) {
				return caller.Sign(key, caller.Claims{Audience: "leaf", Method: "POST", Path: "/predict",
					IssuedAt: time.Now()})
			}})
		if w.Code != http.StatusOK {
			b.Fatal(fmt.Sprint(w.Code, w.Body))
		}
	}
}

func BenchmarkTrace(b *testing.B) {
	for name, header := range map[string]string{"given": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
		"made": ""} {
		b.Run(name, func(b *testing.B) {
			r := httptest.NewRequest(http.MethodPost, "/predict", nil)
			b.ReportAllocs()
			for b.Loop() {
				r.Header.Del("Traceparent")
				if header != "" {
					r.Header.Set("Traceparent", header)
				}
				Trace(r, 0)
			}
		})
	}
}
