package runs

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/plainjson"
	"github.com/unip-knative/unip/eventing/record"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/internal/problem"
)

const (
	// streamsOfUser bounds the logs and events that one user reads at a time, maxStreams those of
	// all users: each holds a watch of the API server, or a log of a kubelet. They are counted in
	// each process of the gateway.
	streamsOfUser, maxStreams = 32, 128
	// writePause is how long a caller may take nothing of a stream.
	writePause = time.Minute
)

// streams counts those that are open.
type streams struct {
	mu    sync.Mutex
	all   int
	users map[string]int
}

// open counts a stream until end is called, or answers that there are too many.
func (s *streams) open(w http.ResponseWriter, r *http.Request, user string) (end func(), ok bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.users[user] >= streamsOfUser:
		w.Header().Set("Retry-After", "5")
		problem.Answer(w, r, "too-many-streams", http.StatusTooManyRequests, "",
			fmt.Sprintf("a user reads at most %d logs and events at a time", streamsOfUser))
		return nil, false
	case s.all >= maxStreams:
		w.Header().Set("Retry-After", "5")
		problem.Answer(w, r, "overloaded", http.StatusServiceUnavailable, "",
			"too many logs and events are read now; try again")
		return nil, false
	}
	if s.users == nil {
		s.users = map[string]int{}
	}
	s.all++
	s.users[user]++
	return func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.all--
		if s.users[user]--; s.users[user] == 0 {
			delete(s.users, user)
		}
	}, true
}

// Logs streams the log of one stage, or of all that have begun, each after a line "==> stage <==".
// With ?follow=true it goes on until the stages have ended, at most patience. ?attempt=N of one stage
// is what that attempt has written; without it, the last one in which the user's container ran.
func (h *Handler) Logs(w http.ResponseWriter, r *http.Request, user, id string) {
	run := h.runOf(w, r, user, id)
	if run == nil {
		return
	}
	name, follow := r.URL.Query().Get("stage"), r.URL.Query().Get("follow") == "true"
	if name != "" && stageOf(run, name) == nil {
		problem.Answer(w, r, problem.NotFound, http.StatusNotFound, "No such stage",
			fmt.Sprintf("the run has no stage %q", name))
		return
	}
	attempt := 0
	if s := r.URL.Query().Get("attempt"); s != "" {
		n, err := strconv.Atoi(s)
		if attempt = n; err != nil || name == "" || n < 1 || n > stageOf(run, name).Attempt {
			problem.Answer(w, r, problem.NotFound, http.StatusNotFound, "No such attempt",
				fmt.Sprintf("there is no attempt %q of a stage %q", s, name))
			return
		}
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	end, ok := h.streams.open(w, r, user)
	if !ok {
		return
	}
	defer end()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	w.WriteHeader(http.StatusOK)
	out := flushing{w, http.NewResponseController(w)}
	if _, err := out.Write(nil); err != nil { // a log may have nothing to say for long
		return
	}
	told := map[string]bool{}
	for {
		for i := range run.Status.Stages {
			st := &run.Status.Stages[i]
			if told[st.Name] || st.StartTime == nil || (name != "" && st.Name != name) {
				continue
			}
			told[st.Name] = true
			if name == "" {
				_, _ = fmt.Fprintf(out, "==> %s <==\n", st.Name)
			}
			if err := h.copyLog(ctx, out, run, ofAttempt(st, attempt), follow); err != nil && ctx.Err() == nil {
				_, _ = fmt.Fprintf(out, "(the log cannot be read now)\n")
			}
		}
		if !follow || run.Status.State.Done() || (name != "" && told[name]) || ctx.Err() != nil {
			return
		}
		next, err := h.Store.Change(ctx, run)
		if err != nil || next == nil {
			return
		}
		run = next
	}
}

// ofAttempt is a stage whose log is that of one attempt; 0 is the stage as it is.
func ofAttempt(st *runtimev1.StageStatus, attempt int) *runtimev1.StageStatus {
	if attempt == 0 || attempt == st.LogAttempt() {
		return st
	}
	of := st.DeepCopy()
	of.RanAttempt = attempt
	if attempt < st.Attempt {
		of.State = runtimev1.Failed // whatever has become of the stage since
	}
	return of
}

func stageOf(run *runtimev1.PipelineRun, name string) *runtimev1.StageStatus {
	for i := range run.Status.Stages {
		if run.Status.Stages[i].Name == name {
			return &run.Status.Stages[i]
		}
	}
	return nil
}

// copyLog copies one stage's log: from its process while there is one, else what was kept in the
// run bucket.
func (h *Handler) copyLog(
	ctx context.Context, out io.Writer, run *runtimev1.PipelineRun, st *runtimev1.StageStatus, follow bool,
) error {
	live, err := h.Store.Log(ctx, run, st, follow)
	switch {
	case err == nil:
		defer live.Close()
		_, err = io.Copy(out, live)
		return err
	case errors.Is(err, ErrNotBegun):
		return nil
	case !errors.Is(err, ErrNoLog):
		return err
	}
	bucket, err := h.KeptLogs()
	if err != nil {
		return err
	}
	kept, err := bucket.GetObject(ctx, bucket.Bucket, stage.LogKey(run.Name, st.Name, st.LogAttempt()),
		minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer kept.Close()
	_, err = io.Copy(out, kept)
	if s3.IsMissing(err) {
		return nil // it never ran
	}
	return err
}

// Events streams the run as server-sent events: one "run" now and for each change, until it has
// ended. A stream that ends before that may be opened again.
func (h *Handler) Events(w http.ResponseWriter, r *http.Request, user, id string) {
	run := h.runOf(w, r, user, id)
	if run == nil {
		return
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.Header().Set("Cache-Control", "no-store")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method == http.MethodHead {
		return
	}
	end, ok := h.streams.open(w, r, user)
	if !ok {
		return
	}
	defer end()
	ctx, cancel := context.WithTimeout(r.Context(), patience)
	defer cancel()
	w.WriteHeader(http.StatusOK)
	out := flushing{w, http.NewResponseController(w)}
	_, _ = fmt.Fprintf(out, "retry: %d\n\n", time.Second.Milliseconds())
	for run != nil {
		b, err := plainjson.Marshal(record.WithStages(run))
		if err != nil {
			return
		}
		if _, err := fmt.Fprintf(out, "event: run\nid: %s\ndata: %s\n\n", run.ResourceVersion, b); err != nil ||
			run.Status.State.Done() {
			return
		}
		if run, err = h.Store.Change(ctx, run); err != nil {
			return
		}
	}
}

// flushing sends every write at once, and ends the stream of a caller that takes nothing.
type flushing struct {
	io.Writer
	c *http.ResponseController
}

func (f flushing) Write(b []byte) (int, error) {
	_ = f.c.SetWriteDeadline(time.Now().Add(writePause)) // a connection without deadlines has none
	n, err := f.Writer.Write(b)
	if err == nil {
		err = f.c.Flush()
	}
	return n, err
}

// ReadFrom keeps io.Copy from going round Write.
func (f flushing) ReadFrom(r io.Reader) (n int64, err error) {
	b := bufio.NewReader(r)
	buf := make([]byte, 32<<10)
	for {
		k, err := b.Read(buf)
		if k > 0 {
			if _, werr := f.Write(buf[:k]); werr != nil {
				return n, werr
			}
			n += int64(k)
		}
		if err == io.EOF { // a Reader's own word
			return n, nil
		}
		if err != nil {
			return n, err
		}
	}
}
