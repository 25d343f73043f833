package translate

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/translate/manifest"
)

// apis checks the module's APIComponents.
func (c *checker) apis() {
	paths := map[string]manifest.Position{}
	for _, a := range c.module.APIs {
		s := a.Spec
		c.apiForm(a)
		if s.Published == nil {
			c.found.Errorf(s.Position, "APIComponent %s: spec.published is missing: true or false", a.Meta.Name.Value)
		}
		if s.RestfulAPI == nil {
			c.found.Errorf(s.Position, "APIComponent %s: spec.restfulApi is missing", a.Meta.Name.Value)
			continue
		}
		c.apiAuth(a)
		if s.MLComponent != nil && s.Has("apiSpec") {
			c.found.Notef(s.Key("apiSpec"), "spec.apiSpec has no effect for an mlComponent: its specification comes from the function's docstring")
		}
		key, ok := c.apiPath(a)
		if !ok {
			continue
		}
		p := s.RestfulAPI.Path
		if p.At.File == "" {
			p.At = s.RestfulAPI.Position
		}
		if before, twice := paths[key]; twice {
			c.found.Errorf(p.At, "spec.restfulApi.path: %q is served by another API already, at %s", key, before)
		}
		paths[key] = p.At
	}
}

// apiPath is where an API is served. Files are always at "files", where clients look for them; runs at "pipelines" unless the manifest says otherwise.
func (c *checker) apiPath(a *manifest.APIComponent) (string, bool) {
	s := a.Spec
	p := s.RestfulAPI.Path
	key := strings.Trim(p.Value, "/")
	switch {
	case s.Has("files") && (key == "" || key == "files"):
		return "files", true
	case s.Has("files"):
		c.found.Errorf(p.At, "spec.restfulApi.path: %q: the file API is always at files, where the platform's clients look for it", p.Value)
		return "", false
	case s.Has("pipelines") && (key == "" || key == "pipelines"):
		return "pipelines", true
	}
	if err := checkPath(p.Value); err != nil {
		c.found.Errorf(s.RestfulAPI.Field("path"), "spec.restfulApi.path: %v", err)
		return "", false
	}
	return key, true
}

var segment = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._~-]*[A-Za-z0-9])?$`)

// reservedPaths are first segments that other APIs of a module have.
var reservedPaths = []string{"files", "pipelines", "healthz", "readyz"}

func checkPath(p string) error {
	if strings.Trim(p, "/") == "" {
		return fmt.Errorf("a path is needed: the part of the URL after the namespace")
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

// apiForm checks that an API publishes exactly one thing, which exists.
func (c *checker) apiForm(a *manifest.APIComponent) {
	s := a.Spec
	var forms []string
	for _, f := range []string{"files", "pipelines", "mlComponent", "experimentPipeline"} {
		if s.Has(f) {
			forms = append(forms, f)
		}
	}
	switch {
	case len(forms) == 0:
		c.found.Errorf(s.Position, "APIComponent %s: one of files, pipelines, mlComponent and experimentPipeline is needed", a.Meta.Name.Value)
	case len(forms) > 1:
		c.found.Errorf(s.Key(forms[1]), "APIComponent %s: %s exclude each other", a.Meta.Name.Value, strings.Join(forms, " and "))
	case forms[0] == "experimentPipeline":
		c.pipelineAPI(a)
	case forms[0] == "files" || forms[0] == "pipelines":
		if s.Has("apiSpec") {
			c.found.Notef(s.Key("apiSpec"), "spec.apiSpec has no effect for %s", forms[0])
		}
	case s.MLComponent == nil || s.MLComponent.Name.Value == "":
		c.found.Errorf(s.Field("mlComponent"), "spec.mlComponent.name is missing")
	case c.module.Lacks("MLComponent", s.MLComponent.Name.Value, c.parts[s.MLComponent.Name.Value] != nil):
		c.found.Errorf(s.MLComponent.Name.At, "spec.mlComponent.name: there is no MLComponent %q", s.MLComponent.Name.Value)
	}
}

// pipelineAPI checks what an API of a pipeline lets its callers name: variables of the pipeline or of those that it continues with.
func (c *checker) pipelineAPI(a *manifest.APIComponent) {
	s := a.Spec
	if s.ExperimentPipeline == nil || s.ExperimentPipeline.Name.Value == "" {
		c.found.Errorf(s.Field("experimentPipeline"), "spec.experimentPipeline.name is missing")
		return
	}
	name := s.ExperimentPipeline.Name
	x := c.pipelines[name.Value]
	if c.module.Lacks("ExperimentPipeline", name.Value, x != nil) {
		c.found.Errorf(name.At, "spec.experimentPipeline.name: there is no ExperimentPipeline %q%s", name.Value, c.pipelineNames())
	}
	if s.APISpec == nil {
		c.found.Errorf(s.Position, "APIComponent %s: spec.apiSpec is missing: it says which variables of the pipeline callers name", a.Meta.Name.Value)
		return
	}
	if x == nil {
		return
	}
	f := c.flow(x)
	named := map[string]bool{}
	for list, all := range map[string][]manifest.APIVariable{"inputs": s.APISpec.Inputs, "outputs": s.APISpec.Outputs} {
		for i, v := range all {
			where, name := fmt.Sprintf("spec.apiSpec.%s[%d]", list, i), v.Name.Value
			_, declared := f.declared[name]
			switch {
			case name == "":
				c.found.Errorf(v.Field("name"), "%s.name is missing", where)
			case named[name]:
				c.found.Errorf(v.Name.At, "%s.name: %s is there twice", where, name)
			case !f.whole:
			case !declared:
				c.found.Errorf(v.Name.At, "%s.name: there is no variable %q%s", where, name, variablesOf(&x.Spec))
			case list == "inputs" && f.writers[name] != "":
				c.found.Errorf(v.Name.At, "%s.name: %s cannot be an input: stage %s writes it", where, name, f.writers[name])
			case list == "outputs" && f.writers[name] == "":
				c.found.Errorf(v.Name.At, "%s.name: %s cannot be an output: no stage writes it", where, name)
			}
			named[name] = true
			if list == "outputs" && v.Required != nil {
				c.found.Notef(v.Key("required"), "%s.required has no effect: a caller may always leave an output to its usual place", where)
			}
		}
	}
}

// routes are the published APIs.
func (c *checker) routes() []routes.API {
	var all []routes.API
	for _, a := range c.module.APIs {
		s := a.Spec
		if !*s.Published {
			continue
		}
		key, _ := c.apiPath(a)
		r := routes.API{Name: a.Meta.Name.Value, Path: key}
		switch {
		case s.MLComponent != nil:
			r.Kind, r.Target = routes.KindMLComponent, s.MLComponent.Name.Value
			r.TimeoutSeconds, r.IdentityPassThrough = c.timeout(c.parts[r.Target]), passThrough(s.RestfulAPI)
		case s.ExperimentPipeline != nil:
			r.Kind, r.Target = routes.KindPipeline, s.ExperimentPipeline.Name.Value
			r.Spec = routes.Spec{Inputs: variables(s.APISpec.Inputs, true), Outputs: variables(s.APISpec.Outputs, false)}
		case s.Has("files"):
			r.Kind = routes.KindFiles
		default:
			r.Kind = routes.KindPipelines
		}
		r.Auth = c.routeAuth(s.RestfulAPI.Auth)
		all = append(all, r)
	}
	return all
}

func variables(all []manifest.APIVariable, inputs bool) []routes.Variable {
	var out []routes.Variable
	for _, v := range all {
		o := routes.Variable{Name: v.Name.Value, Description: v.Description, Required: inputs && (v.Required == nil || *v.Required)}
		if v.Type != nil {
			o.Datatypes, o.ContentTypes = v.Type.Datatypes, v.Type.ContentTypes
		}
		out = append(out, o)
	}
	return out
}
