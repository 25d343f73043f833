// Package runs is a module's pipelines API: it starts runs, tells of them, cancels them and streams
// their logs. A caller sees only the caller's own runs.
//
// A run is a PipelineRun, which a Store keeps; nothing is kept here.
package runs

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/plainjson"
	"github.com/unip-knative/unip/eventing/record"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/functions/internal/content"
	"github.com/unip-knative/unip/functions/internal/problem"
)

const (
	// maxName is the longest name of a PipelineRun.
	maxName = 53
	maxKey  = 255
)

// Handler serves the API of one module.
type Handler struct {
	Store Store
	// Base is the path of the pipelines API: "/<ns>/pipelines".
	Base string
	// Boxes are the names of the module's boxes; Open opens one to look for files.
	Boxes []string
	// Dataset reports those that are datasets: a run finds the developer's files in them, not its
	// user's.
	Dataset func(box string) bool
	Open    func(box string) (*s3.Box, error)
	// KeptLogs opens the run bucket, for the logs of what has ended.
	KeptLogs func() (*s3.Box, error)

	streams streams
}

// unavailable answers for an API server or a storage that does not do what it should.
func unavailable(w http.ResponseWriter, r *http.Request, err error) {
	if r.Context().Err() != nil {
		panic(http.ErrAbortHandler)
	}
	slog.Error("a part behind the gateway fails", "error", err)
	w.Header().Set("Retry-After", "5")
	problem.Answer(w, r, problem.Unavailable, http.StatusServiceUnavailable, "",
		"a part behind the gateway does not answer; try again")
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	b, err := plainjson.Marshal(v)
	if err != nil { // what is encoded here always can be
		panic(err)
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	_, _ = w.Write(append(b, '\n'))
}

// maxTraceParent is the longest that is passed on; what is in it the controller reads strictly.
const maxTraceParent = 128

// Start starts a run of a pipeline by an API of its own: 202 with its id.
func (h *Handler) Start(w http.ResponseWriter, r *http.Request, user string, api routes.API) {
	pipeline := api.Target
	r.Body = content.Limited(r.Body, maxBody)
	if err := content.Unpack(r, maxBody); err != nil {
		content.Refused(w, r, err)
		return
	}
	q, refused := readQuestion(r.Header.Get("Content-Type"), r.Body)
	if refused != nil {
		problem.Write(w, r, *refused)
		return
	}
	key := r.Header.Get("Idempotency-Key")
	if len(key) > maxKey || !utf8.ValidString(key) {
		problem.Answer(w, r, problem.BadRequest, http.StatusBadRequest, "",
			fmt.Sprintf("Idempotency-Key is longer than %d characters or not UTF-8", maxKey))
		return
	}
	run := &runtimev1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{runtimev1.PipelineLabel: pipeline}},
		Spec: runtimev1.PipelineRunSpec{Pipeline: pipeline, User: user, IdempotencyKey: key,
			IdentityPassThrough: api.IdentityPassThrough && users.Known(user) != "",
			Origin:              runtimev1.OriginAPI, Inputs: map[string]runtimev1.InputPath{}, Outputs: q.Outputs},
	}
	maps.Copy(run.Labels, api.Labels)
	if parent := r.Header.Get("Traceparent"); parent != "" && len(parent) <= maxTraceParent {
		run.Annotations = map[string]string{runtimev1.TraceParentAnnotation: parent}
	}
	id := strings.ToLower(rand.Text()[:10])
	if key != "" {
		id = names.Hash(user, pipeline, key)
	}
	run.Name = names.Shorten(maxName, pipeline, id)
	// an answer that was lost is given again before anything is looked at: the files may have
	// changed meanwhile
	if key != "" {
		if done, err := h.answerAgain(w, r, run, q.Inputs); err != nil || done {
			if err != nil {
				unavailable(w, r, err)
			}
			return
		}
	}
	if p := h.pinInputs(r.Context(), user, api.Spec, q, run); p != nil {
		problem.Write(w, r, *p)
		return
	}
	err := h.Store.Create(r.Context(), run)
	var invalid *InvalidRunError
	switch {
	case errors.Is(err, ErrRunExists) && key != "":
		if done, err := h.answerAgain(w, r, run, q.Inputs); err != nil || !done {
			unavailable(w, r, fmt.Errorf("reading run %s: %w", run.Name, err))
		}
		return
	case errors.As(err, &invalid):
		problem.Answer(w, r, problem.BadRequest, http.StatusBadRequest, "", "the run is refused: "+invalid.Reason)
		return
	case err != nil:
		unavailable(w, r, err)
		return
	}
	h.accepted(w, run)
}

func (h *Handler) accepted(w http.ResponseWriter, run *runtimev1.PipelineRun) {
	w.Header().Set("Location", h.Base+"/runs/"+run.Name)
	writeJSON(w, http.StatusAccepted, map[string]string{"run_id": run.Name, "status": string(record.StateOf(run))})
}

// answerAgain answers a call that was made before with the same key.
func (h *Handler) answerAgain(
	w http.ResponseWriter, r *http.Request, want *runtimev1.PipelineRun, inputs values,
) (bool, error) {
	have, err := h.Store.Run(r.Context(), want.Name)
	if errors.Is(err, ErrNoRun) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	same := have.Spec.User == want.Spec.User && have.Spec.IdempotencyKey == want.Spec.IdempotencyKey &&
		have.Spec.Pipeline == want.Spec.Pipeline &&
		maps.Equal(have.Spec.Outputs, want.Spec.Outputs) && len(have.Spec.Inputs) == len(inputs)
	for name, in := range have.Spec.Inputs {
		same = same && inputs[name] == in.Path
	}
	if !same {
		problem.Answer(w, r, "idempotency-key-reused", http.StatusUnprocessableEntity,
			"The Idempotency-Key was used for another run", "choose another key for another run")
		return true, nil
	}
	h.accepted(w, have)
	return true, nil
}

// pinInputs looks at what the caller named and writes the inputs into the run, pinned to what is
// there now.
func (h *Handler) pinInputs(
	ctx context.Context, user string, spec routes.Spec, q question, run *runtimev1.PipelineRun,
) *problem.Problem {
	var f faults
	f.names(spec, q)
	if len(f) > 0 {
		return f.problem()
	}
	for _, name := range slices.Sorted(maps.Keys(q.Inputs)) {
		if f.full() {
			break
		}
		path := q.Inputs[name]
		place, err := h.place(name, path)
		if err != nil {
			f.add("/inputs/"+name, "%s", err)
			continue
		}
		etag, wrong, err := h.versionAt(ctx, place, user, spec.Input(name))
		switch {
		case wrong != "":
			f.add("/inputs/"+name, "input %s: %s", name, wrong)
		case errors.Is(err, errNothing):
			f.add("/inputs/"+name, "input %s: there is nothing at %s", name, path)
		case err != nil:
			slog.Error("the storage does not do what it should", "error", err)
			u := problem.New(problem.Unavailable, http.StatusServiceUnavailable, "The storage does not answer",
				"try again")
			return &u
		default:
			run.Spec.Inputs[name] = runtimev1.InputPath{Path: path, ETag: etag}
		}
	}
	for _, name := range slices.Sorted(maps.Keys(q.Outputs)) {
		if err := h.target(name, q.Outputs[name]); err != nil {
			f.add("/outputs/"+name, "%s", err)
		}
	}
	return f.problem()
}

// place checks one value that the caller named.
func (h *Handler) place(name, value string) (databox.Place, error) {
	p, err := databox.ParsePlace(value)
	switch {
	case err != nil:
		return p, fmt.Errorf("%s: %w", name, err)
	case p.Developer:
		return p, fmt.Errorf("%s: %q is in the developer's area", name, value)
	case !slices.Contains(h.Boxes, p.Box):
		return p, fmt.Errorf("%s: there is no box %q", name, p.Box)
	case p.Path == "" && !h.dataset(p.Box):
		return p, fmt.Errorf("%s: %q is a whole box: name a folder in it", name, value)
	case !p.Folder() && !strings.Contains(p.Path, "/") && !h.dataset(p.Box):
		return p, fmt.Errorf("%s: %q: a file is in a group: <box>/<group>/<file>", name, value)
	}
	if err := databox.CheckLiteral(p.Path); err != nil { // the run could not be given it
		return p, fmt.Errorf("%s: %w", name, err)
	}
	return p, nil
}

// target checks one value that the caller named for an output.
func (h *Handler) target(name, value string) error {
	p, err := h.place(name, value)
	switch {
	case err != nil:
		return err
	case h.dataset(p.Box):
		return fmt.Errorf("output %s: %s is a dataset: it can only be read", name, p.Box)
	case !p.Folder():
		return fmt.Errorf("output %s: %q is a file; an output is a folder, with a / at its end", name, value)
	}
	return nil
}

func (h *Handler) dataset(box string) bool { return h.Dataset != nil && h.Dataset(box) }

var errNothing = errors.New("nothing there")

// runOf reads a run of the caller. Another's is answered like one that is not there, with nil.
func (h *Handler) runOf(w http.ResponseWriter, r *http.Request, user, id string) *runtimev1.PipelineRun {
	var run *runtimev1.PipelineRun
	err := ErrNoRun
	if len(validation.IsDNS1123Subdomain(id)) == 0 { // nothing else can be the name of a run
		run, err = h.Store.Run(r.Context(), id)
	}
	switch {
	case err != nil && !errors.Is(err, ErrNoRun):
		unavailable(w, r, err)
		return nil
	case err != nil || run.Spec.User != user:
		problem.Answer(w, r, problem.NotFound, http.StatusNotFound, "No such run",
			fmt.Sprintf("there is no run %q", id))
		return nil
	}
	return run
}

// Cancel ends a run: 202, or 200 when it has ended already.
func (h *Handler) Cancel(w http.ResponseWriter, r *http.Request, user, id string) {
	run := h.runOf(w, r, user, id)
	if run == nil {
		return
	}
	if run.Status.State.Done() || run.Spec.Cancel {
		writeJSON(w, http.StatusOK, record.WithStages(run))
		return
	}
	if err := h.Store.Cancel(r.Context(), run); err != nil {
		unavailable(w, r, err)
		return
	}
	writeJSON(w, http.StatusAccepted, record.WithStages(run))
}

// patience of streams: Knative cuts a request at 600 s.
const patience = 540 * time.Second
