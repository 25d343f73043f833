package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
)

// ErrNotInstalled is the error of an upgrade of nothing.
var ErrNotInstalled = errors.New("unip is not installed here: there is no Deployment " + systemNamespace + "/" +
	names.Controller)

var runKind = schema.GroupVersionKind{
	Group: "runtime.unified-platform.cs.hse.ru", Version: "v1alpha1", Kind: "PipelineRun",
}

// ExamineUpgrade says what an upgrade to a release would meet: which version is there, what becomes
// of the CRDs and of what is stored, runs under way, modules that have another release's images.
// gateway is the release's image. It reports whether anything stands in the way.
func (c *Cluster) ExamineUpgrade(
	ctx context.Context, objects []*Object, gateway string, tell func(Finding),
) (fine bool, err error) {
	controller := newObject(schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
		systemNamespace, names.Controller)
	live, err := c.get(ctx, controller)
	if err != nil {
		return false, err
	}
	if live == nil {
		return false, ErrNotInstalled
	}
	fine = true
	check := checker(func(f Finding) {
		fine = fine && f.OK
		tell(f)
	})
	check("installed", "", func() (string, error) { return between(live, objects), nil })
	check("CRDs", "docs/upgrading.md says how stored objects are brought to another version",
		func() (string, error) { return c.compareCRDs(ctx, objects) })
	check("runs under way", "", func() (string, error) { return c.countRuns(ctx) })
	check("images of modules", "", func() (string, error) { return c.otherGateways(ctx, gateway) })
	return fine, nil
}

// between says from which version to which.
func between(live *Object, objects []*Object) string {
	there := live.GetLabels()[label.Version]
	if there == "" {
		there = "of no release"
	}
	for _, o := range objects {
		if o.GetKind() != live.GetKind() || o.GetName() != live.GetName() {
			continue
		}
		wanted := o.GetLabels()[label.Version]
		switch {
		case wanted == live.GetLabels()[label.Version]:
			return there + ", and so is this"
		case later(live, o):
			return there + ", and this is the earlier " + wanted + ": CRDs stay as they are"
		}
		return there + ", and this is " + wanted
	}
	return there
}

// compareCRDs finds what of stored objects a new CRD would no longer know.
func (c *Cluster) compareCRDs(ctx context.Context, objects []*Object) (string, error) {
	var errs []error
	var news []string
	for _, o := range objects {
		if o.GroupVersionKind() != crdKind {
			continue
		}
		live, err := c.get(ctx, o)
		if err != nil {
			return "", err
		}
		switch {
		case live == nil:
			news = append(news, o.GetName()+" is new")
			continue
		case later(live, o):
			continue // it is not changed
		}
		before, after := schemas(live), schemas(o)
		stored, _, _ := unstructured.NestedStringSlice(live.Object, "status", "storedVersions")
		for _, v := range stored {
			if after[v] == nil {
				errs = append(errs, fmt.Errorf("objects of %s may be stored as %s, which the new one does not know",
					o.GetName(), v))
			}
		}
		for v, fields := range before {
			if after[v] == nil {
				continue
			}
			for _, f := range slices.Sorted(maps.Keys(fields)) {
				if !after[v][f] {
					errs = append(errs, fmt.Errorf("%s %s has no field %s any more", o.GetName(), v, f))
				}
			}
			if added := len(after[v]) - len(fields); added > 0 {
				news = append(news, fmt.Sprintf("%s %s has %d new fields", o.GetName(), v, added))
			}
		}
	}
	if len(news) == 0 {
		return "nothing that is stored changes", errors.Join(errs...)
	}
	return strings.Join(news, ", ") + "; nothing that is stored is lost", errors.Join(errs...)
}

// schemas are the fields that a CRD knows, by version.
func schemas(crd *Object) map[string]map[string]bool {
	all := map[string]map[string]bool{}
	versions, _, _ := unstructured.NestedSlice(crd.Object, "spec", "versions")
	for _, x := range versions {
		v, _ := x.(map[string]any)
		name, _ := v["name"].(string)
		top, _, _ := unstructured.NestedMap(v, "schema", "openAPIV3Schema")
		all[name] = map[string]bool{}
		addFields(all[name], "", top)
	}
	return all
}

func addFields(to map[string]bool, path string, s map[string]any) {
	for _, list := range []string{"items", "additionalProperties"} {
		if of, ok := s[list].(map[string]any); ok {
			addFields(to, path+"[]", of)
		}
	}
	properties, _ := s["properties"].(map[string]any)
	for name, x := range properties {
		at := strings.TrimPrefix(path+"."+name, ".")
		to[at] = true
		if of, ok := x.(map[string]any); ok {
			addFields(to, at, of)
		}
	}
}

// countRuns counts the runs that have not ended.
func (c *Cluster) countRuns(ctx context.Context) (string, error) {
	all, err := c.list(ctx, "", runKind)
	if err != nil {
		return "", err
	}
	n := 0
	for _, r := range all {
		if state, _, _ := unstructured.NestedString(r.Object, "status", "state"); !runtimev1.State(state).Done() {
			n++
		}
	}
	if n == 0 {
		return "none", nil
	}
	return fmt.Sprintf("%d; their stages go on, and the new controller takes them over", n), nil
}

// otherGateways names the modules whose gateway has another image than the release's. They go on as they
// are; what is new comes to them when they are applied again.
func (c *Cluster) otherGateways(ctx context.Context, gateway string) (string, error) {
	_, wanted, _ := strings.Cut(gateway, "@")
	all, err := c.list(ctx, "", generated[0])
	if err != nil {
		return "", err
	}
	n, other := 0, []string{}
	for _, s := range all {
		if s.GetName() != names.Gateway || s.GetLabels()[label.ManagedBy] != label.Unip {
			continue
		}
		n++
		containers, _, _ := unstructured.NestedSlice(s.Object, "spec", "template", "spec", "containers")
		for _, x := range containers {
			container, _ := x.(map[string]any)
			image, _ := container["image"].(string)
			if _, digest, _ := strings.Cut(image, "@"); digest != wanted {
				other = append(other, s.GetNamespace())
				break
			}
		}
	}
	if len(other) == 0 {
		return fmt.Sprintf("%d modules, all with this release's", n), nil
	}
	return fmt.Sprintf("%d of %d modules have another release's and go on with them; apply each again when it suits: %s",
		len(other), n, strings.Join(other, ", ")), nil
}
