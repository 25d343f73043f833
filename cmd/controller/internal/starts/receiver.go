package starts

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"golang.org/x/time/rate"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/printable"
)

const (
	// maxEvent bounds an event's body. Ours are below 4 KiB.
	maxEvent = 32 << 10
	// startBudget bounds a start by upload: the Broker waits for it.
	startBudget = 8 * time.Second
	// maxWords bounds what a log line or an answer takes over of an event, in bytes.
	maxWords = 400
)

// Receiver takes what the modules' Triggers deliver:
//
//	POST /namespaces/<ns>/pipelines/<pipeline>/events
//	    a run or a stage of it: look at the run; a ping: look at the pipeline's schedule
//	POST /namespaces/<ns>/pipelines/<pipeline>/uploads/<rule>
//	    an uploaded file: start a run
//	POST /namespaces/<ns>/pipelines/<pipeline>/dead-letters
//	    an event that could not be delivered
//
// They lie below a Pipeline's status.address.
//
// It answers 202 when what the event hints at was looked at or will be, or when there is nothing to
// look at, 503 when the Broker should try again, and never believes an event. Anybody in the
// cluster may post to a Broker: what the functions below do for a name that is not there must cost
// nothing.
type Receiver struct {
	Hint   func(ctx context.Context, run types.NamespacedName)
	Ping   func(ctx context.Context, pipeline types.NamespacedName)
	Upload func(ctx context.Context, namespace, pipeline string, rule int, user, file string) error
	// DeadLetter is told of an upload that no Trigger could deliver.
	DeadLetter func(ctx context.Context, f File) error
	Leading    func() bool
}

// Handler serves it.
func (r Receiver) Handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST /namespaces/{ns}/pipelines/{pipeline}/events", r.run)
	m.HandleFunc("POST /namespaces/{ns}/pipelines/{pipeline}/uploads/{rule}", r.upload)
	m.HandleFunc("POST /namespaces/{ns}/pipelines/{pipeline}/dead-letters", r.deadLetter)
	return m
}

func receive(w http.ResponseWriter, req *http.Request) (*cloudevents.Event, bool) {
	req.Body = http.MaxBytesReader(w, req.Body, maxEvent)
	req.Header.Del("Ce-") // an attribute without a name makes the reader below panic
	e, err := cehttp.NewEventFromHTTPRequest(req)
	if err == nil {
		err = e.Validate()
	}
	if err != nil {
		http.Error(w, "not a CloudEvent: "+oneLine(err.Error()), http.StatusBadRequest)
		return nil, false
	}
	return e, true
}

// oneLine is a stranger's text as it may stand in a log line or an answer.
func oneLine(s string) string { return printable.Summary(s, maxWords) }

func extension(e *cloudevents.Event, name string) string {
	s, _ := e.Extensions()[name].(string)
	return s
}

func (r Receiver) run(w http.ResponseWriter, req *http.Request) {
	e, ok := receive(w, req)
	if !ok {
		return
	}
	if !r.Leading() { // the Broker tries again; the leader's own clock is behind that
		http.Error(w, "this replica does not lead", http.StatusServiceUnavailable)
		return
	}
	if e.Type() == events.Ping {
		r.Ping(req.Context(), types.NamespacedName{Namespace: req.PathValue("ns"), Name: req.PathValue("pipeline")})
	} else if run := extension(e, events.Run); run != "" && len(run) <= 253 {
		r.Hint(req.Context(), types.NamespacedName{Namespace: req.PathValue("ns"), Name: run})
	}
	w.WriteHeader(http.StatusAccepted)
}

func (r Receiver) upload(w http.ResponseWriter, req *http.Request) {
	e, ok := receive(w, req)
	if !ok {
		return
	}
	rule, err := strconv.Atoi(req.PathValue("rule"))
	if err != nil {
		http.NotFound(w, req)
		return
	}
	ctx, cancel := context.WithTimeout(req.Context(), startBudget)
	defer cancel()
	if err := r.Upload(ctx, req.PathValue("ns"), req.PathValue("pipeline"), rule, extension(e, events.User),
		e.Subject()); err != nil {
		notNow(w, req, e.Subject(), err)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// notNow has the Broker try again.
func notNow(w http.ResponseWriter, req *http.Request, file string, err error) {
	if eventLines.Allow() {
		slog.Error("a start by upload has to be tried again", "namespace", req.PathValue("ns"), "pipeline",
			req.PathValue("pipeline"), "file", oneLine(file), "error", oneLine(err.Error()))
	}
	http.Error(w, "not now", http.StatusServiceUnavailable)
}

// eventLines bounds what strangers can write into the log: a flood of events is refused, and each
// refusal would be a line.
var eventLines = rate.NewLimiter(5, 50)

// deadLetter looks at what an undeliverable event names: a run, or an upload, which it starts. It is
// answered 503 while the upload cannot be started, and so comes again for a while; after that the
// inbox of uploads still has it.
func (r Receiver) deadLetter(w http.ResponseWriter, req *http.Request) {
	e, ok := receive(w, req)
	if !ok {
		return
	}
	if eventLines.Allow() {
		slog.Warn("an event could not be delivered", "namespace", oneLine(req.PathValue("ns")), "type",
			oneLine(e.Type()),
			"id", oneLine(e.ID()), "source", oneLine(e.Source()),
			"code", oneLine(extension(e, "knativeerrorcode")), "destination", oneLine(extension(e, "knativeerrordest")))
	}
	namespace := req.PathValue("ns")
	if run := extension(e, events.Run); run != "" && len(run) <= 253 && r.Leading() {
		r.Hint(req.Context(), types.NamespacedName{Namespace: namespace, Name: run})
	}
	if e.Type() == events.ObjectCreated {
		ctx, cancel := context.WithTimeout(req.Context(), startBudget)
		defer cancel()
		f := File{Namespace: namespace, Box: extension(e, events.Box), User: extension(e, events.User),
			Path: e.Subject()}
		if err := r.DeadLetter(ctx, f); err != nil {
			notNow(w, req, f.Path, err)
			return
		}
	}
	w.WriteHeader(http.StatusAccepted)
}
