package runs

import (
	"encoding/base64"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/validation"
	"sigs.k8s.io/controller-runtime/pkg/client"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// runView is a run as the API shows it.
type runView struct {
	ID        string            `json:"run_id"`
	Pipeline  string            `json:"pipeline"`
	Status    runtimev1.State   `json:"status"`
	Message   string            `json:"message,omitempty"`
	Origin    string            `json:"origin"`
	CreatedAt time.Time         `json:"created_at"`
	StartedAt *time.Time        `json:"started_at,omitempty"`
	EndedAt   *time.Time        `json:"ended_at,omitempty"`
	Inputs    map[string]string `json:"inputs"`
	Outputs   map[string]string `json:"outputs"`
	Stages    []stageView       `json:"stages,omitempty"`
}

type stageView struct {
	Name      string          `json:"name"`
	Needs     []string        `json:"needs,omitempty"`
	Status    runtimev1.State `json:"status"`
	Attempt   int             `json:"attempt,omitempty"`
	StartedAt *time.Time      `json:"started_at,omitempty"`
	EndedAt   *time.Time      `json:"ended_at,omitempty"`
	ExitCode  *int32          `json:"exit_code,omitempty"`
	Reason    string          `json:"reason,omitempty"`
	Message   string          `json:"message,omitempty"`
	Files     int             `json:"files,omitempty"`
	Bytes     int64           `json:"bytes,omitempty"`
}

func at(t *metav1.Time) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

func atMicro(t *metav1.MicroTime) *time.Time {
	if t == nil {
		return nil
	}
	return new(t.UTC())
}

func view(run *runtimev1.PipelineRun, stages bool) runView {
	v := runView{
		ID: run.Name, Pipeline: run.Spec.Pipeline, Status: stateOf(run), Message: run.Status.Message, Origin: run.Spec.Origin,
		CreatedAt: run.CreationTimestamp.UTC(), StartedAt: at(run.Status.StartTime), EndedAt: at(run.Status.CompletionTime),
		Inputs: map[string]string{}, Outputs: map[string]string{},
	}
	for name, in := range run.Spec.Inputs {
		v.Inputs[name] = in.Path
	}
	for name, place := range run.Status.Outputs {
		v.Outputs[name] = place
	}
	for i := range run.Status.Stages {
		if st := &run.Status.Stages[i]; stages {
			v.Stages = append(v.Stages, stageView{
				Name: st.Name, Needs: st.Needs, Status: st.State, Attempt: st.Attempt, StartedAt: atMicro(st.StartTime), EndedAt: atMicro(st.CompletionTime),
				ExitCode: st.ExitCode, Reason: st.Reason, Message: st.Message, Files: st.Files, Bytes: st.Bytes,
			})
		}
	}
	return v
}

// Get gives one run.
func (h *Handler) Get(w http.ResponseWriter, r *http.Request, user, id string) {
	if run := h.own(w, r, user, id); run != nil {
		answer(w, http.StatusOK, view(run, true))
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
			fail(w, r, problem.BadRequest, http.StatusBadRequest, "", fmt.Sprintf("limit: %q is not a number from 1 to %d", s, maxLimit))
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
		fail(w, r, problem.BadRequest, http.StatusBadRequest, "", "continue: not a value that a listing gave")
		return
	}
	if p := q.Get("pipeline"); len(validation.IsValidLabelValue(p)) > 0 {
		fail(w, r, problem.BadRequest, http.StatusBadRequest, "", fmt.Sprintf("pipeline: %q cannot be the name of a pipeline", p))
		return
	}
	options := []client.ListOption{client.InNamespace(h.Namespace)}
	if p := q.Get("pipeline"); p != "" {
		options = append(options, client.MatchingLabels{runtimev1.PipelineLabel: p})
	}
	var all runtimev1.PipelineRunList
	if err := h.Client.List(r.Context(), &all, options...); err != nil {
		unavailable(w, r, err)
		return
	}
	runs := slices.DeleteFunc(all.Items, func(x runtimev1.PipelineRun) bool {
		return x.Spec.User != user || (q.Get("status") != "" && string(stateOf(&x)) != q.Get("status")) || (q.Get("pipeline") != "" && x.Spec.Pipeline != q.Get("pipeline"))
	})
	slices.SortFunc(runs, func(a, b runtimev1.PipelineRun) int { return strings.Compare(rank(&b), rank(&a)) })
	answerList := struct {
		Runs []runView `json:"runs"`
		Next string    `json:"next,omitempty"`
	}{Runs: []runView{}}
	last := ""
	for i := range runs {
		if len(after) > 0 && rank(&runs[i]) >= string(after) {
			continue
		}
		if len(answerList.Runs) == limit {
			answerList.Next = base64.RawURLEncoding.EncodeToString([]byte(last))
			break
		}
		answerList.Runs = append(answerList.Runs, view(&runs[i], false))
		last = rank(&runs[i])
	}
	answer(w, http.StatusOK, answerList)
}

// rank orders runs by their birth, and those of one second by name.
func rank(run *runtimev1.PipelineRun) string {
	return run.CreationTimestamp.UTC().Format(time.RFC3339) + " " + run.Name
}

// Pipelines gives the module's pipelines.
func (h *Handler) Pipelines(w http.ResponseWriter, r *http.Request) {
	var all runtimev1.PipelineList
	if err := h.Client.List(r.Context(), &all, client.InNamespace(h.Namespace)); err != nil {
		unavailable(w, r, err)
		return
	}
	type pipeline struct {
		Name         string   `json:"name"`
		Inputs       []string `json:"inputs"`
		Outputs      []string `json:"outputs"`
		Stages       []string `json:"stages"`
		ContinueWith string   `json:"continue_with,omitempty"`
	}
	out := []pipeline{}
	for _, p := range all.Items {
		x := pipeline{Name: p.Name, Inputs: []string{}, Outputs: []string{}, Stages: []string{}, ContinueWith: p.Spec.ContinueWith}
		written, read := map[string]bool{}, map[string]bool{}
		for _, s := range p.Spec.Stages {
			x.Stages = append(x.Stages, s.Name)
			for _, v := range s.Outputs {
				written[v] = true
			}
			for _, v := range s.Inputs {
				read[v] = true
			}
		}
		for _, v := range p.Spec.Variables {
			switch {
			case written[v.Name]:
				x.Outputs = append(x.Outputs, v.Name)
			case read[v.Name]:
				x.Inputs = append(x.Inputs, v.Name)
			}
		}
		out = append(out, x)
	}
	slices.SortFunc(out, func(a, b pipeline) int { return strings.Compare(a.Name, b.Name) })
	answer(w, http.StatusOK, map[string]any{"pipelines": out})
}
