// Package front is the HTTP side of an inference server: predict in the platform's form, its
// specification, health.
package front

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"go.opentelemetry.io/otel/trace"

	"github.com/unip-knative/unip/eventing/plainjson"
	"github.com/unip-knative/unip/functions/inference/internal/accesslog"
	"github.com/unip-knative/unip/functions/inference/internal/files"
	"github.com/unip-knative/unip/functions/inference/internal/metrics"
	"github.com/unip-knative/unip/functions/inference/internal/model"
	"github.com/unip-knative/unip/functions/inference/internal/mounts"
	"github.com/unip-knative/unip/functions/inference/internal/numbers"
	"github.com/unip-knative/unip/functions/inference/internal/openapi"
	"github.com/unip-knative/unip/functions/inference/internal/pool"
	"github.com/unip-knative/unip/functions/inference/internal/rights"
	"github.com/unip-knative/unip/functions/internal/caller"
	"github.com/unip-knative/unip/functions/internal/content"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// grace is how long an unreachable storage holds readiness back: whether the model exists is not
// known until then. Afterwards the component is ready, and calls say what is wrong.
const grace = 10 * time.Second

// Server answers a component's calls.
type Server struct {
	Component string
	Pool      *pool.Pool
	// Model is nil for a component without one.
	Model   *model.Model
	Timeout time.Duration // of the function, per call
	Key     *Key          // the module's key, for who calls
	// Unsigned says that calls without a signature are answered, too. User is who makes them; "":
	// anonymous. Shown lets the function know.
	Unsigned bool
	User     string
	Shown    bool
	// Files is nil for a component that is connected to no box.
	Files *files.Files
	// Mounts is nil for a component whose calls write into no mounted folder.
	Mounts *mounts.Mounts
	Log    *slog.Logger
	// AccessLog is told of each request; nil: nobody is.
	AccessLog func(accesslog.Call)
	// MaxBody is the largest body of a request in bytes, MaxHeld what the bodies of all calls may
	// hold; 0 is MaxBody, and four times a body.
	MaxBody, MaxHeld int64
	// Image says that each start finds the function's files as the image has them.
	Image bool
	// Tracer makes the spans; nil for none.
	Tracer trace.Tracer

	once    caller.Once
	metrics *metrics.Metrics
	held    atomic.Int64 // bytes of bodies
	active  atomic.Int64 // requests
	start   phases
	first   sync.Once
	slow    sync.Once

	started time.Time
	mu      sync.Mutex
	state   error // what the last look for the model said; errLooking before the first
	spec    []byte
	specFor *pool.Function
}

var errLooking = errors.New("still looking for the model")

// Init makes the server ready to be told things; it comes before everything else.
func (s *Server) Init() {
	s.started = time.Now()
	s.metrics = metrics.New(func() pool.State { return s.Pool.State() })
}

// Handler is the server's HTTP handler.
func (s *Server) Handler() http.Handler {
	if s.Model != nil {
		s.state = errLooking
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /predict", s.predict)
	mux.HandleFunc("GET /openapi.json", s.openapi)
	mux.HandleFunc("GET /openapi", s.openapi)
	mux.HandleFunc("GET /healthz", s.live)
	mux.HandleFunc("GET /readyz", s.ready)
	s.handleV2(mux)
	mux.HandleFunc("/predict", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Allow", "POST")
		problem.Answer(w, r, problem.MethodNotAllowed, http.StatusMethodNotAllowed, "", "predict is called with POST")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		problem.Answer(w, r, problem.NotFound, http.StatusNotFound, "",
			"there are POST /predict, GET /openapi.json and the Open Inference Protocol below /v2")
	})
	return s.observed(withoutSlash(mux))
}

// withoutSlash hands a path on without one slash at its end, which says nothing.
func withoutSlash(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path, ok := strings.CutSuffix(r.URL.Path, "/"); ok && path != "" && !strings.HasSuffix(path, "/") {
			u := *r.URL
			u.Path, u.RawPath = path, strings.TrimSuffix(u.RawPath, "/")
			r.URL = &u // r is a copy of the server's own
		}
		next.ServeHTTP(w, r)
	})
}

// live says whether the server can do its work at all: whether workers can come to it. Waiting for
// them, for a model, for calls is no reason to be started anew.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	if err := s.Pool.Err(); err != nil {
		problem.Answer(w, r, problem.Internal, http.StatusInternalServerError, "",
			"no worker can connect: "+err.Error())
		return
	}
	w.WriteHeader(http.StatusOK)
}

// ready says whether calls can be answered: the function is imported, and the model loaded if its
// object exists. A model that is missing does not hold a component back: a Revision that is not
// ready within its deadline never becomes it.
func (s *Server) ready(w http.ResponseWriter, r *http.Request) {
	if s.whenReady(w, r) {
		w.WriteHeader(http.StatusOK)
	}
}

// whenReady reports whether calls can be answered, and answers with a problem if not.
func (s *Server) whenReady(w http.ResponseWriter, r *http.Request) bool {
	if s.Pool.Function() == nil {
		problem.Answer(w, r, "starting", http.StatusServiceUnavailable, "", "the function is not imported yet")
		return false
	}
	if s.Pool.Replacing() {
		problem.Answer(w, r, "starting", http.StatusServiceUnavailable, "",
			"the function's processes have ended and are being replaced")
		return false
	}
	s.mu.Lock()
	err := s.state
	s.mu.Unlock()
	settled := err == nil || errors.Is(err, model.ErrMissing) ||
		(errors.Is(err, model.ErrUnavailable) && time.Since(s.started) > grace)
	if s.Model != nil && !s.Pool.Loaded() && (!settled || err == nil) {
		detail := "the model is being loaded"
		if err != nil {
			detail = err.Error()
		}
		problem.Answer(w, r, "starting", http.StatusServiceUnavailable, "", detail)
		return false
	}
	return true
}

// buffers are reused between calls, up to a size that is worth keeping.
var buffers = sync.Pool{New: func() any { return new(bytes.Buffer) }}

const keepBuffer = 4 << 20

// reuse is for a buffer that nothing reads any more.
func reuse(buffer *bytes.Buffer) {
	if buffer != nil && buffer.Cap() <= keepBuffer {
		buffers.Put(buffer)
	}
}

func (s *Server) predict(w http.ResponseWriter, r *http.Request) { s.call(w, r, plain) }

// call has the function answer a request of some form.
func (s *Server) call(w http.ResponseWriter, r *http.Request, f form) {
	if s.Model != nil {
		s.Model.Called()
		if !s.Pool.Loaded() {
			if err := s.look(r); err != nil {
				s.refuse(w, r, err)
				return
			}
		}
	}
	buffer, _ := buffers.Get().(*bytes.Buffer)
	buffer.Reset()
	if r.ContentLength > 0 {
		buffer.Grow(min(int(r.ContentLength), trusted) + alignment + bytes.MinRead)
	}
	if err := f.readBody(buffer, r.Body); err != nil {
		s.refuse(w, r, err)
		return
	}
	content.Unmark(buffer.Bytes())
	if p := content.Check(r.Header.Get("Content-Type"), buffer.Bytes()); f.head < 0 && p != nil {
		w.Header().Set("Accept", "application/json")
		problem.Write(w, r, *p)
		return
	}
	n := notesOf(r)
	call := pool.Call{ID: n.id, Body: buffer.Bytes(), More: f.more()}
	stream := eventsOf(w, r)
	if stream != nil {
		defer stream.end()
		call.Event = stream.output
	}
	fileCall, err := s.beginFiles(r, n, f, &call)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	if n.shown && n.user != "" {
		name, _ := json.Marshal(n.user) // a text always encodes
		call.More = withField(call.More, "user", name)
	}
	if stream != nil {
		call.More = withField(call.More, "events", []byte("true"))
	}
	if held, taken := s.takeNumbers(r, f, &call); taken {
		defer s.held.Add(-held)
		reuse(buffer)
		buffer = nil
	}
	written, err := s.beginMounts(r, n, &call)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	defer endMounts(written)
	if stream != nil && s.Model != nil { // later there are no headers
		s.tellModel(w.Header(), s.Model.ETag())
	}
	answer, err := s.Pool.Do(r.Context(), call, s.Timeout)
	s.noteCall(n, answer, err)
	if stream != nil {
		w = stream.writer(err != nil)
	}
	if err != nil { // the worker may still read the buffer: it is not reused
		s.refuse(w, r, err)
		return
	}
	reuse(buffer)
	if err := storeMounts(r, written); err != nil {
		rights.Close(answer.Files)
		s.refuse(w, r, err)
		return
	}
	if s.Model != nil {
		s.tellModel(w.Header(), answer.ETag)
	}
	if answer.Problem {
		s.relay(w, r, n, answer.Body)
		return
	}
	if err := storeFiles(r, fileCall, answer); err != nil {
		s.refuse(w, r, err)
		return
	}
	if stream != nil {
		stream.send("end", []byte("{}"))
		return
	}
	s.respond(w, r, f, answer)
}

// respond writes the function's answer. Its long lists of numbers come in binary; a large answer
// that has such is sent while it is written.
func (s *Server) respond(w http.ResponseWriter, r *http.Request, f form, a pool.Answer) {
	var meta struct {
		Size    int            `json:"json_size"` // of the JSON before binary tensors
		Numbers []numbers.Hole `json:"numbers"`
	}
	if len(a.Meta) > 0 {
		err := json.Unmarshal(a.Meta, &meta)
		if err == nil {
			_, err = numbers.Check(a.Body, meta.Numbers)
		}
		if err != nil {
			s.Log.Error("the worker sent an answer that cannot be read", "error", err)
			problem.Answer(w, r, problem.Internal, http.StatusInternalServerError, "",
				"the worker sent an answer that cannot be read")
			return
		}
	}
	h := w.Header()
	h.Set("Content-Type", "application/json")
	switch {
	case len(meta.Numbers) > 0 && numbers.MostText*len(a.Body) > keepBuffer:
		_ = numbers.Write(w, a.Body, meta.Numbers, piece) // its error is a caller who has left
		return
	case len(meta.Numbers) > 0:
		buffer, _ := buffers.Get().(*bytes.Buffer)
		buffer.Reset()
		a.Body, _ = numbers.Append(buffer.AvailableBuffer(), a.Body, meta.Numbers) // they have been checked
		defer reuse(bytes.NewBuffer(a.Body))
	case f.v2 && 0 < meta.Size && meta.Size <= len(a.Body):
		h.Set("Content-Type", "application/octet-stream")
		h.Set(headLength, strconv.Itoa(meta.Size))
	}
	h.Set("Content-Length", strconv.Itoa(len(a.Body)))
	_, _ = w.Write(a.Body)
}

// piece is how many bytes of a large answer are written before they are sent.
const piece = 64 << 10

// relay writes a problem that the worker has sent.
func (s *Server) relay(w http.ResponseWriter, r *http.Request, n *notes, body []byte) {
	var p struct {
		Status       int
		Slug, Detail string
		Errors       []problem.Fault
	}
	if err := json.Unmarshal(body, &p); err != nil || p.Status < 400 || p.Status > 599 {
		problem.Answer(w, r, problem.Internal, http.StatusInternalServerError, "",
			"the worker sent a problem that cannot be read")
		return
	}
	out := problem.New(p.Slug, p.Status, "", p.Detail)
	out.Errors = p.Errors
	if p.Slug == files.NoPlace && s.Files != nil && n.user == "" {
		out = s.Files.Anonymous()
	}
	problem.Write(w, r, out)
}

// refuse turns what went wrong on the way to the function into a problem.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	var tooLarge *http.MaxBytesError
	var died *pool.DiedError
	p := problem.New(problem.Internal, http.StatusInternalServerError, "", "the call failed inside the server")
	switch {
	case errors.As(err, &p): // the files of the call say themselves what is wrong
		if p.Status == http.StatusServiceUnavailable {
			w.Header().Set("Retry-After", "5")
		}
	case errors.Is(err, pool.ErrNoModel): // it was loaded before: the function's container is being started again
		w.Header().Set("Retry-After", "1")
		p = problem.New("starting", http.StatusServiceUnavailable, "", "the model is being loaded")
	case errors.Is(err, model.ErrMissing):
		w.Header().Set("Retry-After", "1")
		p = problem.New(problem.ModelNotFound, http.StatusServiceUnavailable, "Model not found",
			"the component's model is not in its box yet; it is picked up when it comes")
	case errors.Is(err, model.ErrUnavailable):
		w.Header().Set("Retry-After", "5")
		p = problem.New("storage-unavailable", http.StatusServiceUnavailable, "Storage unavailable",
			"the storage of the model does not answer")
	case errors.Is(err, model.ErrInvalid):
		w.Header().Set("Retry-After", "30")
		p = problem.New("model-invalid", http.StatusServiceUnavailable, "Model cannot be used", err.Error())
	case errors.As(err, &tooLarge):
		p = problem.New(problem.BodyTooLarge, http.StatusRequestEntityTooLarge, "",
			fmt.Sprintf("a request's body may have %d bytes", s.maxBody()))
	case errors.Is(err, errMemory):
		w.Header().Set("Retry-After", "1")
		p = problem.New("overloaded", http.StatusServiceUnavailable, "Overloaded",
			"the bodies of the calls that are being answered fill the server's memory")
	case errors.Is(err, errSlowBody):
		w.Header().Set("Connection", "close")
		p = problem.New(problem.Timeout, http.StatusRequestTimeout, "", "the request's body came too slowly")
	case errors.Is(err, pool.ErrFull):
		w.Header().Set("Retry-After", "1")
		p = problem.New("overloaded", http.StatusServiceUnavailable, "Overloaded",
			"too many calls wait for the function")
	case errors.Is(err, pool.ErrDeadline):
		p = problem.New(problem.Timeout, http.StatusGatewayTimeout, "",
			"the function did not answer within "+s.Timeout.String())
	case errors.As(err, &died):
		p = problem.New("function-died", http.StatusBadGateway, "Function died", died.Error())
	case r.Context().Err() != nil:
		p = problem.New("cancelled", 499, "Cancelled", "the caller went away")
	case errors.Is(err, content.ErrPacked):
		p = problem.New(problem.BadRequest, http.StatusBadRequest, "", content.ErrPacked.Error())
	case errors.Is(err, errHead):
		p = problem.New("invalid-request", http.StatusBadRequest, "", errHead.Error())
	case errors.Is(err, errBadBody):
		w.Header().Set("Connection", "close")
		p = problem.New(problem.BadRequest, http.StatusBadRequest, "", errBadBody.Error())
	default:
		s.Log.Error("call failed", "error", err)
	}
	problem.Write(w, r, p)
}

// openapi answers with the component's specification; it is made once for a function.
func (s *Server) openapi(w http.ResponseWriter, r *http.Request) {
	f := s.Pool.Function()
	if f == nil {
		w.Header().Set("Retry-After", "1")
		problem.Answer(w, r, "starting", http.StatusServiceUnavailable, "", "the function is not imported yet")
		return
	}
	s.mu.Lock()
	if s.specFor != f {
		s.spec, _ = plainjson.Marshal(openapi.Document(s.Component, f.Description)) // strings and lists always encode
		s.specFor = f
	}
	spec := s.spec
	s.mu.Unlock()
	w.Header().Set("Content-Type", "application/json")
	_, _ = w.Write(spec)
}
