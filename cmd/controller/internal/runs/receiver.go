package runs

import (
	"context"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	cehttp "github.com/cloudevents/sdk-go/v2/protocol/http"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/eventing/events"
)

const (
	// maxEvent bounds an event's body. Ours are below 4 KiB.
	maxEvent = 256 << 10
	// startBudget bounds a start by upload: the Broker waits for it.
	startBudget = 8 * time.Second
)

// Receiver takes what the modules' Triggers deliver:
//
//	POST /namespaces/<ns>/pipelines/<pipeline>/events          a run or a stage of it: look at the run; a ping: look at the pipeline's schedule
//	POST /namespaces/<ns>/pipelines/<pipeline>/uploads/<rule>  an uploaded file: start a run
//	POST /namespaces/<ns>/pipelines/<pipeline>/dead-letters    an event that could not be delivered
//	POST /dead-letters                                         the same of a Trigger that others have made: it is logged
//
// The first three lie below a Pipeline's status.address.
//
// It answers 202 when what the event hints at was looked at or will be, 503 when the Broker should try again, and never believes an event.
type Receiver struct {
	Hint    func(run types.NamespacedName)
	Ping    func(pipeline types.NamespacedName)
	Upload  func(ctx context.Context, namespace, pipeline string, rule int, user, file string) error
	Leading func() bool
}

// Handler serves it.
func (r Receiver) Handler() http.Handler {
	m := http.NewServeMux()
	m.HandleFunc("POST /namespaces/{ns}/pipelines/{pipeline}/events", r.run)
	m.HandleFunc("POST /namespaces/{ns}/pipelines/{pipeline}/uploads/{rule}", r.upload)
	m.HandleFunc("POST /namespaces/{ns}/pipelines/{pipeline}/dead-letters", r.deadLetter)
	m.HandleFunc("POST /dead-letters", r.deadLetter)
	return m
}

func receive(w http.ResponseWriter, req *http.Request) (*cloudevents.Event, bool) {
	req.Body = http.MaxBytesReader(w, req.Body, maxEvent)
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
		r.Ping(types.NamespacedName{Namespace: req.PathValue("ns"), Name: req.PathValue("pipeline")})
	} else if run := extension(e, events.Run); run != "" && len(run) <= 253 {
		r.Hint(types.NamespacedName{Namespace: req.PathValue("ns"), Name: run})
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
	if err := r.Upload(ctx, req.PathValue("ns"), req.PathValue("pipeline"), rule, extension(e, events.User), e.Subject()); err != nil {
		slog.Error("a start by upload has to be tried again", "namespace", req.PathValue("ns"), "pipeline", req.PathValue("pipeline"), "file", e.Subject(), "error", err)
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusAccepted)
}

// deadLetter looks at the run that an undeliverable event names; everything else the sweeps find.
func (r Receiver) deadLetter(w http.ResponseWriter, req *http.Request) {
	e, ok := receive(w, req)
	if !ok {
		return
	}
	slog.Warn("an event could not be delivered", "namespace", req.PathValue("ns"), "type", e.Type(), "id", e.ID(), "source", e.Source(),
		"code", extension(e, "knativeerrorcode"), "destination", extension(e, "knativeerrordest"))
	if run := extension(e, events.Run); run != "" && len(run) <= 253 && req.PathValue("ns") != "" && r.Leading() {
		r.Hint(types.NamespacedName{Namespace: req.PathValue("ns"), Name: run})
	}
	w.WriteHeader(http.StatusAccepted)
}
