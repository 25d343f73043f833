package runs

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/util/validation"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/record"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// Get gives one run.
func (h *Handler) Get(w http.ResponseWriter, r *http.Request, user, id string) {
	if run := h.runOf(w, r, user, id); run != nil {
		writeJSON(w, http.StatusOK, record.WithStages(run))
	}
}

const (
	defaultLimit = 50
	maxLimit     = 500
)

// List gives the caller's runs, newest first, in pages.
func (h *Handler) List(w http.ResponseWriter, r *http.Request, user string) {
	q := r.URL.Query()
	limit := defaultLimit
	if s := q.Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxLimit {
			problem.Answer(w, r, problem.BadRequest, http.StatusBadRequest, "",
				fmt.Sprintf("limit: %q is not a number from 1 to %d", s, maxLimit))
			return
		}
		limit = n
	}
	after, err := base64.RawURLEncoding.DecodeString(q.Get("continue"))
	if err == nil && len(after) > 0 {
		born, name, _ := strings.Cut(string(after), " ")
		if _, err = time.Parse(time.RFC3339, born); err == nil && name == "" {
			err = errNothing
		}
	}
	if err != nil {
		problem.Answer(w, r, problem.BadRequest, http.StatusBadRequest, "", "continue: not a value that a listing gave")
		return
	}
	if p := q.Get("pipeline"); len(validation.IsValidLabelValue(p)) > 0 {
		problem.Answer(w, r, problem.BadRequest, http.StatusBadRequest, "",
			fmt.Sprintf("pipeline: %q cannot be the name of a pipeline", p))
		return
	}
	if s := q.Get("status"); s != "" && !slices.Contains(states, s) {
		problem.Answer(w, r, problem.BadRequest, http.StatusBadRequest, "",
			fmt.Sprintf("status: %q is no state of a run; there are: %s", s, strings.Join(states, ", ")))
		return
	}
	all, err := h.Store.Runs(r.Context(), q.Get("pipeline"))
	runs := slices.DeleteFunc(all, func(x runtimev1.PipelineRun) bool {
		return x.Spec.User != user || q.Get("pipeline") != "" && x.Spec.Pipeline != q.Get("pipeline")
	})
	if err == nil && len(runs) == 0 && q.Get("pipeline") != "" {
		var there bool
		if there, err = h.knows(r.Context(), q.Get("pipeline")); err == nil && !there {
			problem.Answer(w, r, problem.NotFound, http.StatusNotFound, "No such pipeline",
				fmt.Sprintf("the module has no pipeline %q", q.Get("pipeline")))
			return
		}
	}
	if err != nil {
		unavailable(w, r, err)
		return
	}
	runs = slices.DeleteFunc(runs, func(x runtimev1.PipelineRun) bool {
		return q.Get("status") != "" && string(record.StateOf(&x)) != q.Get("status")
	})
	slices.SortFunc(runs, func(a, b runtimev1.PipelineRun) int { return strings.Compare(rank(&b), rank(&a)) })
	page := struct {
		Runs []record.Run `json:"runs"`
		Next string       `json:"next,omitempty"`
	}{Runs: []record.Run{}}
	last := ""
	for i := range runs {
		if len(after) > 0 && rank(&runs[i]) >= string(after) {
			continue
		}
		if len(page.Runs) == limit {
			page.Next = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		page.Runs = append(page.Runs, record.Of(&runs[i]))
		last = rank(&runs[i])
	}
	writeJSON(w, http.StatusOK, page)
}

// states are those that a run can be in.
var states = []string{string(runtimev1.Pending), string(runtimev1.Running), string(runtimev1.Succeeded),
	string(runtimev1.Failed), string(runtimev1.Cancelled)}

// knows reports that the module has a pipeline.
func (h *Handler) knows(ctx context.Context, name string) (bool, error) {
	all, err := h.Store.Pipelines(ctx)
	return slices.ContainsFunc(all, func(p runtimev1.Pipeline) bool { return p.Name == name }), err
}

// rank orders runs by their birth, and those of one second by name.
func rank(run *runtimev1.PipelineRun) string {
	return run.CreationTimestamp.UTC().Format(time.RFC3339) + " " + run.Name
}

// pipelineView is a pipeline as the API shows it. Inputs are the variables that a run may be given,
// Outputs those that its stages write.
type pipelineView struct {
	Name         string   `json:"name"`
	Inputs       []string `json:"inputs"`
	Outputs      []string `json:"outputs"`
	Stages       []string `json:"stages"`
	ContinueWith string   `json:"continue_with,omitempty"`
}

// Pipelines gives the module's pipelines.
func (h *Handler) Pipelines(w http.ResponseWriter, r *http.Request) {
	all, err := h.Store.Pipelines(r.Context())
	if err != nil {
		unavailable(w, r, err)
		return
	}
	out := []pipelineView{}
	for _, p := range all {
		g := pipeline.Of(pipeline.Pipeline{Name: p.Name, Spec: &p.Spec})
		v := pipelineView{
			Name: p.Name, Inputs: g.Inputs(), Outputs: g.Outputs(), Stages: []string{},
			ContinueWith: p.Spec.ContinueWith,
		}
		for _, s := range g.Stages {
			v.Stages = append(v.Stages, s.Name)
		}
		out = append(out, v)
	}
	slices.SortFunc(out, func(a, b pipelineView) int { return strings.Compare(a.Name, b.Name) })
	writeJSON(w, http.StatusOK, map[string]any{"pipelines": out})
}
