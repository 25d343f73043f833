package engine

import (
	"os/exec"
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
	// Links are where links lie that lead elsewhere.
	Links []bind
	// Covers are folders in which there is nothing but what lies in boxes.
	Covers []string
}

type bind struct{ From, To string }

// has reports a path that is another one.
func (v view) has(at string) bool {
	is := func(b bind) bool { return b.To == at }
	return slices.ContainsFunc(v.Binds, is) || slices.ContainsFunc(v.Links, is)
}

// below reports a folder below which some are.
func (v view) below(at string) bool {
	in := func(p string) bool { return strings.HasPrefix(p, at+"/") }
	to := func(b bind) bool { return in(b.To) }
	return slices.ContainsFunc(v.Covers, in) || slices.ContainsFunc(v.Binds, to) || slices.ContainsFunc(v.Links, to)
}

// hides reports that a place of this machine would not be there, for it lies below what is elsewhere.
// "" is no place.
func (v view) hides(places ...string) bool {
	return slices.ContainsFunc(places, func(place string) bool {
		covers := func(at string) bool {
			return place != "" && (at == "/" || at == place || strings.HasPrefix(place, at+"/"))
		}
		to := func(b bind) bool { return covers(b.To) }
		return slices.ContainsFunc(v.Covers, covers) || slices.ContainsFunc(v.Binds, to) ||
			slices.ContainsFunc(v.Links, to)
	})
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

// Enters reports whether processes can have a file system of their own here. It is tried once, when it
// first matters.
func (e *Engine) Enters() bool {
	e.entering.Do(func() {
		m, err := findManner(e.Dir)
		if err != nil {
			e.Logger.Info("paths of containers are elsewhere", "why", err)
			return
		}
		e.canEnter, e.manner = true, m
	})
	return e.canEnter
}

// Places are folders of this machine by the paths at which a process sees them, and links by theirs.
type Places struct{ Folders, Links map[string]string }

func (p Places) view() view {
	var v view
	for at, folder := range p.Folders {
		v.Binds = append(v.Binds, bind{From: folder, To: path.Clean(at)})
	}
	for at, to := range p.Links {
		v.Links = append(v.Links, bind{From: to, To: path.Clean(at)})
	}
	return v
}

// CanFurnish reports whether a process can see them there, and find besides what it needs: files
// and folders of this machine.
func (e *Engine) CanFurnish(p Places, need ...string) bool {
	return !p.view().hides(need...) && e.Enters()
}

// Furnish has a command see them there. root is an empty folder, for its file system.
func (e *Engine) Furnish(cmd *exec.Cmd, p Places, root string) error {
	return entering(cmd, inside{Root: root, View: p.view(), Path: cmd.Path, Args: cmd.Args, Dir: cmd.Dir}, e.manner)
}
