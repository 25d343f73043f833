package runs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/pace"
	"github.com/unip-knative/unip/functions/internal/content"
	"github.com/unip-knative/unip/functions/internal/problem"
)

const (
	// maxBody bounds the body of a call that starts a run.
	maxBody = 64 << 10
	// maxTold bounds the names of variables that one answer tells.
	maxTold = 32
)

// question is what a caller asks for.
type question struct {
	Inputs  values `json:"inputs"`
	Outputs values `json:"outputs"`
}

// values reads {"name": "path"} as well as [{"name": …, "path"|"data"|"value": …}].
type values map[string]string

func (v *values) UnmarshalJSON(b []byte) error {
	*v = values{}
	var m map[string]json.RawMessage
	if json.Unmarshal(b, &m) == nil {
		for name, x := range m {
			var s *string
			if json.Unmarshal(x, &s) != nil || s == nil {
				return fmt.Errorf("%q is not a path in a string", name)
			}
			(*v)[name] = *s
		}
		return nil
	}
	var l []struct{ Name, Path, Data, Value string }
	if err := json.Unmarshal(b, &l); err != nil {
		return errors.New("neither an object of paths by name nor a list of {name, path}")
	}
	for _, x := range l {
		if _, twice := (*v)[x.Name]; twice || x.Name == "" {
			return fmt.Errorf("the name %q is missing or there twice", x.Name)
		}
		(*v)[x.Name] = x.Path + x.Data + x.Value
	}
	return nil
}

// readQuestion reads a call's body. An empty one asks for nothing.
func readQuestion(mediaType string, body io.Reader) (q question, p *problem.Problem) {
	refuse := func(slug string, status int, detail string) (question, *problem.Problem) {
		x := problem.New(slug, status, "", detail)
		return question{}, &x
	}
	b, err := io.ReadAll(body)
	var tooLarge *http.MaxBytesError
	switch {
	case errors.Is(err, pace.ErrSlow):
		return refuse(problem.Timeout, http.StatusRequestTimeout, "the body came too slowly")
	case errors.As(err, &tooLarge):
		return refuse(problem.BodyTooLarge, http.StatusRequestEntityTooLarge,
			fmt.Sprintf("the body is larger than %d bytes", maxBody))
	case errors.Is(err, content.ErrPacked):
		return refuse(problem.BadRequest, http.StatusBadRequest, content.ErrPacked.Error())
	case err != nil:
		return refuse(problem.BadRequest, http.StatusBadRequest,
			"the body broke off, or its chunks are not those of HTTP")
	case len(b) == 0:
		return question{}, nil
	}
	content.Unmark(b)
	if p := content.Check(mediaType, b); p != nil {
		return question{}, p
	}
	if err := json.Unmarshal(b, &q); err != nil {
		return refuse(problem.BadRequest, http.StatusBadRequest,
			"the body is not JSON of the form {\"inputs\": {…}, \"outputs\": {…}}: "+err.Error())
	}
	return q, nil
}

// faults are those of one question. No more are kept than are told.
type faults []problem.Fault

func (f *faults) add(pointer, format string, args ...any) {
	if !f.full() {
		*f = append(*f, problem.Fault{Pointer: pointer, Detail: fmt.Sprintf(format, args...)})
	}
}

func (f *faults) full() bool { return len(*f) >= problem.MaxFaults }

// problem is the answer; nil when there is no fault.
func (f *faults) problem() *problem.Problem {
	if len(*f) == 0 {
		return nil
	}
	// clients of the platform read "detail" only
	p := problem.New(problem.BadRequest, http.StatusBadRequest, "The run cannot be started", (*f)[0].Detail)
	p.Errors = *f
	return &p
}

// names sees that the needed inputs and outputs are there, and that nothing is named but variables: so a call
// asks the storage for no more than the pipeline has.
func (f *faults) names(spec routes.Spec, q question) {
	for _, v := range spec.Inputs {
		if _, ok := q.Inputs[v.Name]; v.Required && !ok {
			f.add("/inputs/"+v.Name, "the input %s is needed", v.Name)
		}
	}
	for _, v := range spec.Outputs {
		if _, ok := q.Outputs[v.Name]; v.Required && !ok {
			f.add("/outputs/"+v.Name, "a folder for the output %s is needed", v.Name)
		}
	}
	f.unknown("/inputs/", spec.Inputs, q.Inputs)
	f.unknown("/outputs/", spec.Outputs, q.Outputs)
}

// unknown tells of names that are no variables. What there is it says once.
func (f *faults) unknown(at string, known []routes.Variable, have values) {
	all := map[string]bool{}
	for _, v := range known {
		all[v.Name] = true
	}
	told := false
	for _, name := range slices.Sorted(maps.Keys(have)) {
		switch {
		case f.full():
			return
		case all[name]:
		case told:
			f.add(at+name, "there is no variable %q here", name)
		default:
			told = true
			f.add(at+name, "there is no variable %q here; there are: %s", name, namesOf(known))
		}
	}
}

// namesOf names variables, but not a long list of them.
func namesOf(all []routes.Variable) string {
	var told []string
	for _, v := range all[:min(len(all), maxTold)] {
		told = append(told, v.Name)
	}
	s := strings.Join(told, ", ")
	if more := len(all) - len(told); more > 0 {
		s += fmt.Sprintf(" and %d more", more)
	}
	return s
}
