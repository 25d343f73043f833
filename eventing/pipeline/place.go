package pipeline

import (
	"errors"
	"fmt"
	"strings"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/folder"
)

// Places in boxes as manifests write them: a path in the developer's area, or users/<path>, which is
// that path among the files of whoever the run is for. No manifest names a user.

// PathOf is a place as manifests write it.
func PathOf(p databox.Place) string {
	if p.Developer {
		return p.Path
	}
	return databox.UsersArea + p.Path
}

// OutputPlace is the folder that a mountFrom names for a variable that a stage writes.
func OutputPlace(m runtimev1.BoxPath) (databox.Place, error) {
	p := databox.Place{Box: m.Box, Developer: true, Path: strings.TrimPrefix(m.Path, "/")}
	own := strings.HasPrefix(p.Path, databox.UsersArea)
	switch {
	case p.Path == "":
		return p, errors.New("a whole box cannot take an output: name a folder in it, like models/")
	case !p.Folder():
		return p, fmt.Errorf("%q is not a folder, and an output is one: end it in /", m.Path)
	case p.Path == databox.UsersArea:
		return p, errors.New("users/ is where all users' files are: name a folder in it, like users/models/, " +
			"which is the caller's own")
	case own:
		p.Developer, p.Path = false, strings.TrimPrefix(p.Path, databox.UsersArea)
	}
	if err := databox.CheckObjectPath(strings.TrimSuffix(p.Path, "/")); err != nil {
		return p, fmt.Errorf("%q: %w", m.Path, err)
	}
	if _, below, _ := strings.Cut(p.Path, "/"); own && strings.HasPrefix(below, "file_groups/") {
		return p, fmt.Errorf("%q names a user: users/<path>/ is the caller's own folder, whoever calls", m.Path)
	}
	return p, databox.CheckLiteral(p.Path)
}

// Mounted is where in a container something of a box lies by the mounts of a pipeline.
type Mounted struct {
	// Path of the file or folder, without a slash at its end; "" when no mount has it.
	Path string
	// Mount is the mount's own folder, which Path is, or lies in.
	Mount string
}

// MountedAt finds where a place lies: below the mountPath of the mount whose folder it is in. Of
// several the longest folder counts.
func MountedAt(mounts []runtimev1.Mount, p databox.Place) Mounted {
	var found Mounted
	at, longest := PathOf(p), -1
	for _, m := range mounts {
		prefix := strings.Trim(m.Path, "/")
		if prefix != "" {
			prefix += "/"
		}
		rest, in := strings.CutPrefix(at, prefix)
		if m.Box != p.Box || !in || len(prefix) <= longest {
			continue
		}
		mount := strings.TrimSuffix(m.MountPath, "/")
		found, longest = Mounted{strings.TrimSuffix(mount+"/"+rest, "/"), mount}, len(prefix)
	}
	return found
}

// Check reports a place that a container cannot have. The names in it are those that uploaders chose.
func (m Mounted) Check() error {
	for _, p := range []string{m.Mount, m.Path} {
		if err := folder.Check(p); err != nil {
			return err
		}
	}
	return nil
}
