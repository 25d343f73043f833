package plan

import (
	"fmt"
	"path"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/folder"
	"github.com/unip-knative/unip/eventing/pipeline"
)

// layout finds where in a stage's container its variables lie. A variable without a mountTo lies
// where the pipeline's mounts have its files. When a container cannot have that, it keeps the folder
// of its name: names in boxes are uploaders', and no such name ends a run.
type layout struct {
	stage  string
	mounts []runtimev1.Mount
	all    []lying
}

// lying is one variable.
type lying struct {
	name string
	// own is where it lies by its mountTo or its name, and covers what of the container that hides.
	own, covers string
	// wanted is where its files would lie by the mounts; without a path nowhere.
	wanted pipeline.Mounted
	wrong  error
}

// add adds a variable whose own path is that of a file, or of a folder, of the place at.
func (l *layout) add(name, own string, fixed bool, at databox.Place) {
	x := lying{name: name, own: own, covers: own}
	if at.Path != "" && !at.Folder() {
		x.covers = path.Dir(own)
	}
	if !fixed && at.Box != "" {
		x.wanted = pipeline.MountedAt(l.mounts, at)
	}
	if x.wanted.Path != "" {
		if x.wrong = x.wanted.Check(); x.wrong == nil {
			x.covers = x.wanted.Path
		}
	}
	l.all = append(l.all, x)
}

// settle gives the places in the order of the variables, and says which of them are not the wanted
// ones. Of two that would lie in one another both keep their own.
func (l *layout) settle() (all []pipeline.Mounted, kept []string) {
	for i := range l.all {
		x := &l.all[i]
		for j, y := range l.all {
			if i != j && x.wanted.Path != "" && x.wrong == nil && folder.Nested(x.covers, y.covers) {
				x.wrong = fmt.Errorf("%s and %s of %s lie in one another", x.covers, y.covers, y.name)
			}
		}
	}
	for _, x := range l.all {
		at := x.wanted
		if at.Path == "" || x.wrong != nil {
			at = pipeline.Mounted{Path: x.own}
		}
		if x.wrong != nil {
			kept = append(kept, fmt.Sprintf("in stage %s, %s lies at %s: %v", l.stage, x.name, x.own, x.wrong))
		}
		all = append(all, at)
	}
	return all, kept
}
