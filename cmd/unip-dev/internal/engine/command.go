package engine

import (
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/translate/module"
)

// passedOn are the variables of the engine's own environment that processes have too. Others are the
// manifests' to name, as in a cluster: keys of the one who works here are not for a stage by
// accident.
var passedOn = []string{
	"PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "VIRTUAL_ENV", "CONDA_PREFIX", "PYTHONPATH",
	"LD_LIBRARY_PATH", "DYLD_LIBRARY_PATH", "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE",
	"CUDA_VISIBLE_DEVICES",
	"http_proxy", "https_proxy", "no_proxy", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "SYSTEMROOT",
}

// commandOf is the process of a stage. dir is the attempt's folder.
func (e *Engine) commandOf(r *runtimev1.PipelineRun, st *runtimev1.StageStatus, dir string) (command, error) {
	c := command{dir: filepath.Join(dir, workDir)}
	if err := plan.RefuseOwn(st); err != nil {
		return c, err
	}
	if e.Containers != "" {
		env := environment{}
		if err := env.ofManifest(&st.Spec, e.pipelines.Load().module); err != nil {
			return c, fmt.Errorf("stage %s: %w", st.Name, err)
		}
		env.ofRun(r, st)
		return e.containerOf(st, dir, env), nil
	}
	if len(st.Spec.Command) == 0 {
		return c, fmt.Errorf("stage %s has no command, and what its image %s runs by itself is not known here: name a "+
			"command in the manifest, or run the image with unip dev --engine podman (or docker)", st.Name, st.Spec.Image)
	}
	env := environment{}
	for _, name := range passedOn {
		if v, ok := os.LookupEnv(name); ok {
			env[name] = v
		}
	}
	env["PYTHONPATH"] = e.pythonPath(c.dir, env["PYTHONPATH"])
	if home, err := os.UserHomeDir(); err == nil { // where pip has put packages for this user
		env["PYTHONUSERBASE"] = filepath.Join(home, ".local")
	}
	env["PYTHONUNBUFFERED"] = "1"
	env["HOME"], env["TMPDIR"], env["PWD"] = filepath.Join(dir, homeDir), filepath.Join(dir, tmpDir), c.dir
	if err := env.ofManifest(&st.Spec, e.pipelines.Load().module); err != nil {
		return c, fmt.Errorf("stage %s: %w", st.Name, err)
	}
	env.ofRun(r, st)
	v := viewOf(st, filepath.Join(dir, dataDir))
	entered := len(v.Binds) == 0 || !v.hides(dir, e.Python) && e.Enters()
	if entered {
		c.view, c.root, c.manner = v, filepath.Join(dir, rootDir), e.manner
	} else {
		e.noteElsewhere(r.Spec.Pipeline, st)
	}
	for _, in := range st.Inputs {
		at := filepath.Join(dir, dataDir, in.Name)
		if in.Key != "" {
			at = filepath.Join(at, path.Base(in.Key))
		}
		if !entered || !isFixed(in.Name, in.Path) {
			env[pipeline.EnvName(in.Name)] = at
		}
	}
	for _, out := range st.Outputs {
		at := filepath.Join(dir, dataDir, out.Name)
		if !entered || !isFixed(out.Name, out.Path) {
			env[pipeline.EnvName(out.Name)] = at
		}
	}
	for _, name := range slices.Sorted(maps.Keys(env)) {
		c.env = append(c.env, name+"="+env[name])
	}
	limits := e.Defaults.Resources(st.Spec.Resources.Limits).Limits
	if q, ok := limits[corev1.ResourceMemory]; ok {
		c.memory = q.Value()
	}
	c.args = slices.Concat(st.Spec.Command, st.Spec.Args)
	var err error
	c.path, err = e.program(c.args[0], env["PATH"], c.dir)
	return c, err
}

// program finds a program as execvp would in the stage's working folder.
func (e *Engine) program(name, search, dir string) (string, error) {
	if e.Python != "" && (name == "python" || name == "python3") {
		return exec.LookPath(e.Python)
	}
	if strings.ContainsRune(name, filepath.Separator) {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, nil
	}
	for _, d := range filepath.SplitList(search) {
		if d == "" || !filepath.IsAbs(d) {
			continue
		}
		if found, err := exec.LookPath(filepath.Join(d, name)); err == nil {
			return found, nil
		}
	}
	if name == "python" { // which Debian has not
		return e.program("python3", search, dir)
	}
	return name, nil // starting it says that there is none
}

// environment is a process's.
type environment map[string]string

// ofManifest adds what a stage's manifest sets, from Secrets and ConfigMaps of the module as well.
func (env environment) ofManifest(st *runtimev1.Stage, m *module.Module) error {
	for _, from := range st.EnvFrom {
		kind, name, optional := module.SourceOf(from)
		all, known := m.Values(kind, name)
		if !known && !optional {
			return fmt.Errorf("envFrom: %w", errNotHere(kind, name))
		}
		for k, v := range all {
			env[from.Prefix+k] = v
		}
	}
	for _, e := range st.Env {
		if e.ValueFrom == nil {
			env[e.Name] = e.Value
			continue
		}
		kind, name, key, optional := module.KeyOf(&corev1.EnvVarSource{SecretKeyRef: e.ValueFrom.SecretKeyRef,
			ConfigMapKeyRef: e.ValueFrom.ConfigMapKeyRef})
		all, known := m.Values(kind, name)
		value, set := all[key]
		switch {
		case set:
			env[e.Name] = value
		case optional:
		case known:
			return fmt.Errorf("env %s: %s %s has no key %s", e.Name, kind, name, key)
		default:
			return fmt.Errorf("env %s: %w", e.Name, errNotHere(kind, name))
		}
	}
	return nil
}

func errNotHere(kind, name string) error {
	return fmt.Errorf("there are no values of %s %s in the manifests: write some for unip dev", kind, name)
}

// ofRun adds whose run it is, where the stage may know that, and where a container has its variables.
func (env environment) ofRun(r *runtimev1.PipelineRun, st *runtimev1.StageStatus) {
	if user := users.Known(r.Spec.User); user != "" && r.Spec.IdentityPassThrough {
		env[pipeline.UserEnv] = user
	}
	for _, in := range st.Inputs {
		env[pipeline.EnvName(in.Name)] = in.Path
	}
	for _, out := range st.Outputs {
		env[pipeline.EnvName(out.Name)] = out.Path
	}
}

// noteElsewhere tells, once for each, which variables of a stage do not lie at the fixed paths that
// they have in a container.
func (e *Engine) noteElsewhere(pipelineName string, st *runtimev1.StageStatus) {
	note := func(variable, at string) {
		if !isFixed(variable, at) {
			return
		}
		key := pipelineName + "/" + st.Name + "/" + variable
		e.mu.Lock()
		told := e.elsewhere[key]
		e.elsewhere[key] = true
		e.mu.Unlock()
		if !told {
			e.tell(Happening{Kind: KindNote, Pipeline: pipelineName, Stage: st.Name, Text: fmt.Sprintf(
				"%s is not at %s here: its path is in %s", variable, at, pipeline.EnvName(variable))})
		}
	}
	for _, in := range st.Inputs {
		note(in.Name, in.Path)
	}
	for _, out := range st.Outputs {
		note(out.Name, out.Path)
	}
}

// noteLinked tells once which of the module's files a stage has as they are, and not as a copy.
func (e *Engine) noteLinked(names []string) {
	e.mu.Lock()
	told := e.elsewhere[ofLinks] || len(names) == 0
	e.elsewhere[ofLinks] = e.elsewhere[ofLinks] || !told
	e.mu.Unlock()
	if told {
		return
	}
	text := strings.Join(names[:min(len(names), 3)], ", ")
	if more := len(names) - 3; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	e.tell(Happening{Kind: KindNote, Text: "stages work on a copy of the code but for " + text + ", which would be much to " +
		"copy: what a stage writes there changes the module's own"})
}

// ofLinks stands among what was told for that.
const ofLinks = "links"

// pythonPath finds the code in the working folder, also where the developer's own variable names a
// folder of the code.
func (e *Engine) pythonPath(work, own string) string {
	all := []string{work}
	for _, dir := range filepath.SplitList(own) {
		if real, err := filepath.EvalSymlinks(dir); err == nil && filepath.IsAbs(dir) {
			dir = real
		}
		if rel, err := filepath.Rel(e.Code, dir); e.Code != "" && err == nil && filepath.IsLocal(rel) {
			dir = filepath.Join(work, rel)
		}
		if dir != "" && !slices.Contains(all, dir) {
			all = append(all, dir)
		}
	}
	return strings.Join(all, string(filepath.ListSeparator))
}
