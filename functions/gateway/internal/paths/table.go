// Package paths finds out what the path of a call means: which published API it is for, and which
// of its operations.
package paths

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/origins"
	"github.com/unip-knative/unip/eventing/routes"
)

// Table finds the API of a call.
type Table struct {
	namespace string
	file      routes.File
	byPath    map[string]routes.API
	origins   map[string]*origins.Sites // by path, as byPath
}

// New is the table of what is published in a namespace. In a module whose objects have all been
// prefixed, so are the names in the file. All mistakes are in the error.
func New(file routes.File, namespace, prefix string) (*Table, error) {
	if len(validation.IsDNS1123Label(namespace)) > 0 {
		return nil, fmt.Errorf("routes: %q is not a namespace", namespace)
	}
	file = file.Prefixed(prefix)
	errs := []error{file.Validate()}
	var own []string
	if file.Site != "" {
		own = []string{file.Site}
	}
	t := &Table{
		namespace: namespace, file: file,
		byPath: map[string]routes.API{}, origins: map[string]*origins.Sites{},
	}
	for _, a := range file.APIs {
		t.byPath[a.Path] = a
		sites, err := origins.New(a.TrustedOrigins, own...)
		if err != nil {
			errs = append(errs, fmt.Errorf("routes: API %q: %w", a.Name, err))
		}
		t.origins[a.Path] = sites
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// Origins are the sites whose pages may call an API.
func (t *Table) Origins(a routes.API) *origins.Sites { return t.origins[a.Path] }

// at are the APIs at a path. The pipelines API is at its usual one as well, behind the API that has that
// path: so programs find runs without being told where.
func (t *Table) at(path string) []routes.API {
	var all []routes.API
	if api, published := t.byPath[path]; published {
		all = append(all, api)
	}
	if path == routes.KindPipelines && t.RunsPath() != path {
		all = append(all, t.byPath[t.RunsPath()])
	}
	return all
}

// APIs is all of them, in the file's order.
func (t *Table) APIs() []routes.API { return t.file.APIs }

// APIsOf are the published APIs of a pipeline's own, by their names.
func (t *Table) APIsOf(pipeline string) []routes.API {
	var all []routes.API
	for _, a := range t.APIs() {
		if a.Kind == routes.KindPipeline && a.Target == pipeline {
			all = append(all, a)
		}
	}
	slices.SortFunc(all, func(a, b routes.API) int { return strings.Compare(a.Name, b.Name) })
	return all
}

// Boxes are the names of the module's boxes.
func (t *Table) Boxes() []string { return t.file.Boxes }

// Dataset reports a box that is another module's dataset.
func (t *Table) Dataset(box string) bool { return slices.Contains(t.file.Datasets, box) }

// Developers are by box who may write into its developer's area.
func (t *Table) Developers() map[string][]string { return t.file.Developers }

// RunsPath is where runs are looked at: the path of the pipelines API, and its usual one when none
// is published.
func (t *Table) RunsPath() string {
	for _, a := range t.APIs() {
		if a.Kind == routes.KindPipelines {
			return a.Path
		}
	}
	return routes.KindPipelines
}
