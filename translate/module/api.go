package module

import (
	"cmp"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/media"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/translate/manifest"
)

// API is an APIComponent.
type API struct {
	manifest.Position
	Published bool
	// Path as the manifest has it; Route.Path is where the API is.
	Path  manifest.Text
	Route routes.API
}

// decideAPIs decides the APIComponents of a module with these components and pipelines.
func decideAPIs(s *scope, components []Component, c chains) []API {
	timeouts := map[string]int{}
	for _, c := range components {
		timeouts[c.Name] = c.TimeoutSeconds
	}
	var all []API
	at := map[string]manifest.Position{}
	var issuer issuer
	for _, x := range s.read.APIs {
		a := API{Position: x.Position, Route: routes.API{Name: x.Meta.Name.Value}}
		if x.Spec.Published == nil {
			s.Errorf(x.Spec.Position, "APIComponent %s: spec.published is missing: true or false", a.Route.Name)
		} else {
			a.Published = *x.Spec.Published
		}
		a.Route.TrustedOrigins = originsOf(s, x)
		a.Route.Kind = form(s, x)
		noteSpec(s, x, a.Route.Kind)
		switch a.Route.Kind {
		case routes.KindMLComponent:
			a.Route.Target = componentOf(s, x)
			a.Route.TimeoutSeconds = timeouts[a.Route.Target]
		case routes.KindPipeline:
			a.Route.Target, a.Route.Spec = pipelineOf(s, x, c)
		}
		if r := x.Spec.RestfulAPI; r == nil {
			s.Errorf(x.Spec.Position, "APIComponent %s: spec.restfulApi is missing", a.Route.Name)
		} else {
			a.Route.Auth = issuer.decideAuth(s, a.Route.Name, r)
			a.Route.IdentityPassThrough = decidePassThrough(s, a.Route.Name, a.Route.Kind, r, a.Route.Auth)
			a.Path, a.Route.Path = r.Path, pathOf(s, x.Spec, at)
		}
		all = append(all, a)
	}
	return all
}

// originsOf are the sites whose pages may call an API: its own, or the installation's.
func originsOf(s *scope, x *manifest.APIComponent) []string {
	if own, set := manifest.Origins.Of(&x.Meta, s.Diagnostics); set {
		return own
	}
	return s.config.Gateway.Origins
}

// form is what an API publishes, as routes have it: exactly one thing. "" when it cannot be told.
func form(s *scope, x *manifest.APIComponent) string {
	var forms []string
	for _, f := range []string{routes.KindFiles, routes.KindPipelines, routes.KindMLComponent, routes.KindPipeline} {
		if x.Spec.Has(f) {
			forms = append(forms, f)
		}
	}
	switch {
	case len(forms) == 0:
		s.Errorf(x.Spec.Position,
			"APIComponent %s: one of files, pipelines, mlComponent and experimentPipeline is needed",
			x.Meta.Name.Value)
		return ""
	case len(forms) > 1:
		s.Errorf(x.Spec.Key(forms[1]),
			"APIComponent %s: %s exclude each other", x.Meta.Name.Value, strings.Join(forms, " and "))
		return ""
	}
	return forms[0]
}

// componentOf is the component whose API it is.
func componentOf(s *scope, x *manifest.APIComponent) string {
	ref := x.Spec.MLComponent
	if ref == nil || ref.Name.Value == "" {
		s.Errorf(x.Spec.Field(routes.KindMLComponent), "spec.mlComponent.name is missing")
		return ""
	}
	if name := ref.Name; s.read.Lacks("MLComponent", name.Value, s.components[name.Value] != nil) {
		s.Errorf(name.At, "spec.mlComponent.name: there is no MLComponent %q", name.Value)
	}
	return ref.Name.Value
}

// noteSpec says where an apiSpec has no effect.
func noteSpec(s *scope, x *manifest.APIComponent, kind string) {
	switch {
	case !x.Spec.Has("apiSpec"):
	case kind == routes.KindMLComponent:
		s.Notef(x.Spec.Key("apiSpec"),
			"spec.apiSpec has no effect for an mlComponent: its specification comes from the function's docstring")
	case kind == routes.KindFiles, kind == routes.KindPipelines:
		s.Notef(x.Spec.Key("apiSpec"), "spec.apiSpec has no effect for %s", kind)
	}
}

// pipelineOf is the pipeline whose API it is, and what callers may name: variables of the pipeline
// or of those that it continues with.
func pipelineOf(s *scope, x *manifest.APIComponent, c chains) (target string, spec routes.Spec) {
	ref := x.Spec.ExperimentPipeline
	if ref == nil || ref.Name.Value == "" {
		s.Errorf(x.Spec.Field(routes.KindPipeline), "spec.experimentPipeline.name is missing")
		return "", spec
	}
	name := ref.Name
	p := s.pipelines[name.Value]
	if s.read.Lacks("ExperimentPipeline", name.Value, p != nil) {
		s.Errorf(name.At,
			"spec.experimentPipeline.name: there is no ExperimentPipeline %q%s", name.Value, thereAre(s.pipelines))
	}
	if x.Spec.APISpec == nil {
		s.Errorf(x.Spec.Position,
			"APIComponent %s: spec.apiSpec is missing: it says which variables of the pipeline callers name",
			x.Meta.Name.Value)
		return name.Value, spec
	}
	v := apiVariables{scope: s, pipeline: p, named: map[string]bool{}}
	if p != nil {
		v.flow = c.flow(name.Value, c.specs[name.Value])
	}
	return name.Value, routes.Spec{
		Inputs:  v.decide("inputs", x.Spec.APISpec.Inputs),
		Outputs: v.decide("outputs", x.Spec.APISpec.Outputs),
	}
}

// apiVariables are those that callers of a pipeline name. pipeline is nil when it is not there.
type apiVariables struct {
	*scope
	pipeline *manifest.ExperimentPipeline
	flow     flow
	named    map[string]bool
}

func (a apiVariables) decide(list string, all []manifest.APIVariable) []routes.Variable {
	var out []routes.Variable
	for i, v := range all {
		if a.pipeline != nil {
			a.check(fmt.Sprintf("spec.apiSpec.%s[%d]", list, i), list, v)
		}
		o := routes.Variable{
			Name: v.Name.Value, Description: v.Description, Required: list == "inputs"}
		if v.Required != nil {
			o.Required = *v.Required
		}
		if v.Type != nil {
			o.Datatypes, o.ContentTypes = v.Type.Datatypes, v.Type.ContentTypes
		}
		out = append(out, o)
	}
	return out
}

func (a apiVariables) check(where, list string, v manifest.APIVariable) {
	name := v.Name.Value
	switch writer := a.flow.writer(name); {
	case name == "":
		a.Errorf(v.Field("name"), "%s.name is missing", where)
	case a.named[name]:
		a.Errorf(v.Name.At, "%s.name: %s is there twice", where, name)
	case !a.flow.whole():
	case !a.flow.declares(name):
		a.Errorf(v.Name.At, "%s.name: there is no variable %q%s", where, name, variablesOf(&a.pipeline.Spec))
	case list == "inputs" && writer != "":
		a.Errorf(v.Name.At, "%s.name: %s cannot be an input: stage %s writes it", where, name, writer)
	case list == "outputs" && writer == "":
		a.Errorf(v.Name.At, "%s.name: %s cannot be an output: no stage writes it", where, name)
	}
	a.named[name] = true
	a.checkType(where, v.Type)
}

// checkType checks the words of a variable's type.
func (a apiVariables) checkType(where string, t *manifest.VariableType) {
	if t == nil {
		return
	}
	for _, word := range t.Datatypes {
		if err := media.CheckDatatype(word); err != nil {
			a.Errorf(t.Key("datatypes"), "%s.type.datatypes: %v", where, err)
		}
	}
	for _, word := range t.ContentTypes {
		if err := media.CheckType(word); err != nil {
			a.Errorf(t.Key("content_types"), "%s.type.content_types: %q: %v", where, word, err)
		}
	}
}

// takes is what the APIs say of an input: the media types that any of them takes, none for all, and
// whether any takes a file.
func (c chains) takes(pipeline, variable string) (types []string, file bool) {
	named, all := false, false
	for _, x := range c.read.APIs {
		ref := x.Spec.ExperimentPipeline
		if ref == nil || x.Spec.APISpec == nil {
			continue
		}
		for _, v := range x.Spec.APISpec.Inputs {
			if v.Name.Value != variable || !c.leadsTo(ref.Name.Value, pipeline) {
				continue
			}
			named = true
			t := cmp.Or(v.Type, &manifest.VariableType{})
			all = all || len(t.ContentTypes) == 0
			file = file || len(t.Datatypes) == 0 || slices.Contains(t.Datatypes, media.File)
			types = append(types, t.ContentTypes...)
		}
	}
	if all {
		types = nil
	}
	slices.Sort(types)
	return slices.Compact(types), file || !named
}

// kept are the outputs of a pipeline's APIs that a later stage reads, sorted.
func (c chains) kept(pipeline string, f flow) []string {
	var all []string
	for _, x := range c.read.APIs {
		ref := x.Spec.ExperimentPipeline
		if ref == nil || x.Spec.APISpec == nil || ref.Name.Value != pipeline {
			continue
		}
		for _, v := range x.Spec.APISpec.Outputs {
			if f.writer(v.Name.Value) != "" && len(f.Readers(v.Name.Value)) > 0 {
				all = append(all, v.Name.Value)
			}
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// pipelinesPath is where the API of runs is, unless the manifest says otherwise.
const pipelinesPath = "pipelines"

// pathOf is where an API is served. Files are always at "files", where clients look for them; runs
// at "pipelines" unless the manifest says otherwise. taken are the paths of the APIs before.
func pathOf(found *scope, spec manifest.APIComponentSpec, taken map[string]manifest.Position) string {
	p := spec.RestfulAPI.Path
	key := strings.Trim(p.Value, "/")
	switch {
	case spec.Has(routes.KindFiles) && (key == "" || key == routes.FilesPath):
		key = routes.FilesPath
	case spec.Has(routes.KindFiles):
		found.Errorf(p.At,
			"spec.restfulApi.path: %q: the file API is always at files, where the platform's clients look for it",
			p.Value)
		return ""
	case spec.Has(routes.KindPipelines) && (key == "" || key == pipelinesPath):
		key = pipelinesPath
	default:
		if err := checkPath(p.Value); err != nil {
			found.Errorf(spec.RestfulAPI.Field("path"), "spec.restfulApi.path: %v", err)
			return ""
		}
	}
	at := spec.RestfulAPI.Field("path")
	if before, twice := taken[key]; twice {
		found.Errorf(at, "spec.restfulApi.path: %q is served by another API already, at %s", key, before)
	}
	taken[key] = at
	return key
}

var segment = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._~-]*[A-Za-z0-9])?$`)

// reservedPaths are first segments that other APIs of a module have.
var reservedPaths = []string{routes.FilesPath, pipelinesPath, "healthz", "readyz"}

func checkPath(p string) error {
	if strings.Trim(p, "/") == "" {
		return errors.New("a path is needed: the part of the URL after the namespace")
	}
	parts := strings.Split(strings.Trim(p, "/"), "/")
	for _, s := range parts {
		if !segment.MatchString(s) {
			return fmt.Errorf("%q: segments are letters, digits and . _ ~ -", p)
		}
	}
	if slices.Contains(reservedPaths, parts[0]) {
		return fmt.Errorf("%q begins with a word that the module's other APIs have", p)
	}
	return nil
}
