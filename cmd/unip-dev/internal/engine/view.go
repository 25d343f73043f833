package engine

import (
	"path"
	"path/filepath"
	"slices"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/plan"
)

// view is what a process sees elsewhere than it is, as a container sees its mounts.
type view struct {
	Binds []bind
	// Covers are folders in which there is nothing but what lies in boxes.
	Covers []string
}

type bind struct{ From, To string }

// has reports a path that is another one.
func (v view) has(at string) bool {
	return slices.ContainsFunc(v.Binds, func(b bind) bool { return b.To == at })
}

// below reports a folder below which some are.
func (v view) below(at string) bool {
	in := func(p string) bool { return strings.HasPrefix(p, at+"/") }
	return slices.ContainsFunc(v.Covers, in) || slices.ContainsFunc(v.Binds, func(b bind) bool { return in(b.To) })
}

// isFixed reports a variable that has a place of its own in a container: a mountTo, or a mountPath.
func isFixed(variable, at string) bool {
	own := plan.Inner(variable)
	return at != own && path.Dir(at) != own
}

// viewOf is the view of a stage whose variables lie below data.
func viewOf(st *runtimev1.StageStatus, data string) view {
	var v view
	add := func(from, to, mount string) {
		v.Binds = append(v.Binds, bind{From: filepath.Join(data, from), To: to})
		if mount != "" && mount != to && !slices.Contains(v.Covers, mount) {
			v.Covers = append(v.Covers, mount)
		}
	}
	for _, in := range st.Inputs {
		switch {
		case !isFixed(in.Name, in.Path):
		case in.Key != "" && in.Mount != "": // the file alone: its neighbours in the box may lie beside it
			add(filepath.Join(in.Name, path.Base(in.Key)), in.Path, in.Mount)
		case in.Key != "":
			add(in.Name, path.Dir(in.Path), in.Mount)
		default:
			add(in.Name, in.Path, in.Mount)
		}
	}
	for _, out := range st.Outputs {
		if isFixed(out.Name, out.Path) {
			add(out.Name, out.Path, out.Mount)
		}
	}
	return v
}
