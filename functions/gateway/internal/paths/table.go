// Package paths finds out what the path of a call means: which published API it is for, and which
// of its operations.
package paths

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/routes"
)

// Table finds the API of a call.
type Table struct {
	namespace string
	file      routes.File
	byPath    map[string]routes.API
	origins   map[string]*http.CrossOriginProtection // by path, as byPath
}

// New is the table of what is published in a namespace. In a module whose objects have all been
// prefixed, so are the names in the file. All mistakes are in the error.
func New(file routes.File, namespace, prefix string) (*Table, error) {
	if len(validation.IsDNS1123Label(namespace)) > 0 {
		return nil, fmt.Errorf("routes: %q is not a namespace", namespace)
	}
	file = file.Prefixed(prefix)
	errs := []error{file.Validate()}
	t := &Table{
		namespace: namespace, file: file,
		byPath: map[string]routes.API{}, origins: map[string]*http.CrossOriginProtection{},
	}
	for _, a := range file.APIs {
		t.byPath[a.Path] = a
		protection, err := crossOrigin(a)
		if err != nil {
			errs = append(errs, fmt.Errorf("routes: API %q: %w", a.Name, err))
		}
		t.origins[a.Path] = protection
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t, nil
}

// crossOrigin lets through what the API's own pages and those of its trusted origins ask for.
func crossOrigin(a routes.API) (*http.CrossOriginProtection, error) {
	p := http.NewCrossOriginProtection()
	for _, o := range a.TrustedOrigins {
		if err := p.AddTrustedOrigin(o); err != nil {
			return nil, fmt.Errorf("trustedOrigins: %w", err)
		}
	}
	return p, nil
}

// CheckOrigin refuses what a page of another site makes a browser send, which would come with the
// login that the browser keeps. Programs send none of the headers that say so, and pass.
func (t *Table) CheckOrigin(a routes.API, r *http.Request) error { return t.origins[a.Path].Check(r) }

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
