package translate

import (
	"cmp"
	"slices"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/internal/parallel"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
	"github.com/unip-knative/unip/translate/resources"
	"github.com/unip-knative/unip/translate/validate"
)

// Options of a translation.
type Options struct {
	Config installation.Config
	Images resources.Images
	// Worker are the files of the worker, worker.py and what it reads.
	Worker map[string][]byte
	// NoNamespace leaves the Namespace object out.
	NoNamespace bool
	// Lenient turns unknown fields into warnings.
	Lenient bool
	// AllowForeign carries objects of other groups through wherever they go: into other namespaces,
	// and cluster-wide ones.
	AllowForeign bool
	// Pinned: the images' tags become digests before the module runs, so that none of them moves.
	Pinned bool
}

// Object is what is applied to a cluster.
type Object interface {
	metav1.Object
	runtime.Object
}

// Translate translates a module. When the findings hold an error, there are no objects.
func Translate(files []manifest.File, o Options) ([]Object, manifest.Diagnostics) {
	m, found := Decide(files, o)
	if m == nil {
		return nil, found
	}
	return Make(m, found, o)
}

// Decide reads a module and decides it. When the findings hold an error, there is none. Then what
// Kubernetes and Knative would refuse of the rest is among them: one round tells all.
func Decide(files []manifest.File, o Options) (*module.Module, manifest.Diagnostics) {
	read, found := manifest.Read(files)
	m, found := module.Draft(read, found, o.Config, module.Options{Lenient: o.Lenient, AllowForeign: o.AllowForeign,
		Pinned: o.Pinned})
	if !found.Failed() {
		return m, found
	}
	rest := m.Without(wrong(read, found))
	if o.Images == (resources.Images{}) { // nothing that has them is whole
		rest.Components, rest.APIs = nil, nil
	}
	made := makeAll(rest, o)
	checkCollisions(&found, made)
	checkRules(&found, made)
	found.Sort()
	return nil, found
}

// wrong are the objects, by their places, in which there is an error.
func wrong(read *manifest.Module, found manifest.Diagnostics) map[manifest.Position]bool {
	var all []manifest.Position
	for _, h := range read.Heads() {
		all = append(all, h.Position)
	}
	for _, x := range read.Foreign {
		all = append(all, x.Position)
	}
	slices.SortFunc(all, manifest.Position.Compare)
	places := map[manifest.Position]bool{}
	for _, d := range found {
		if d.Severity != manifest.Error {
			continue
		}
		i, ok := slices.BinarySearchFunc(all, d.Position, manifest.Position.Compare)
		if !ok {
			i-- // the last that begins before
		}
		if i >= 0 && all[i].File == d.File {
			places[all[i]] = true
		}
	}
	return places
}

// Make makes the objects of a module that has been decided, in the order in which they are applied.
// found are the findings so far; those of Kubernetes' and Knative's own rules, and of names that
// are there twice, come to them. When they hold an error, there are no objects.
func Make(m *module.Module, found manifest.Diagnostics, o Options) ([]Object, manifest.Diagnostics) {
	made := makeAll(m, o)
	found = slices.Clone(found)
	checkCollisions(&found, made)
	checkRules(&found, made)
	if !found.Failed() {
		for _, f := range m.Foreign {
			found.Notef(f.Position, "%s", f.Note)
		}
	}
	found.Sort()
	if found.Failed() {
		return nil, found
	}
	slices.SortStableFunc(made, func(a, b object) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.GetNamespace(), b.GetNamespace()),
			cmp.Compare(a.kind, b.kind), cmp.Compare(a.GetName(), b.GetName()))
	})
	out := make([]Object, len(made))
	for i, x := range made {
		out[i] = x.Object
	}
	return out, found
}

// checkRules finds what Kubernetes or Knative would refuse.
func checkRules(found *manifest.Diagnostics, made []object) {
	var rules validate.Rules
	problems := make([][]validate.Problem, len(made))
	_ = parallel.Do(len(made), func(i int) error { // nothing here fails
		problems[i] = rules.Object(made[i].Object)
		return nil
	})
	for i, x := range made {
		for _, problem := range problems[i] {
			at := x.from
			if x.component != nil {
				at = origin(x.component, problem.Path)
			}
			found.Errorf(at, "%s %s: %s", x.kind, x.GetName(), problem.Message)
		}
	}
}
