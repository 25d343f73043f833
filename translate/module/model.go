package module

import (
	"cmp"
	"path"
	"strings"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/folder"
	"github.com/unip-knative/unip/translate/manifest"
)

// Model says where a component's model is and where it goes.
type Model struct {
	Box    string
	Object string // key in the bucket; a folder's ends in "/"
	Path   string // in the user's container
	// Inside says that Path lies in a folder that is mounted: then the model has a volume beside that
	// folder, and a link leads there.
	Inside bool
	// Linked says that Path is a file in a folder which the image has files of its own in, most
	// likely: then the model has a volume beside that folder, too, and the worker makes the link.
	Linked bool
	// Updates is how a newer version is taken up, a value of manifest.ModelUpdates.
	Updates string
}

// decideModel finds the object of a component's model and where it goes; nil without a model.
func decideModel(s *scope, x *manifest.MLComponent) *Model {
	service := x.Spec.MLService
	box, p := service.ModelBox, service.ModelPath
	switch {
	case box.Value == "" && p.Value == "":
		if service.ModelLoader.Value != "" {
			s.Errorf(service.ModelLoader.At,
				"spec.mlService.modelLoader: there is no model to load without modelBox and modelPath")
		}
		return nil
	case box.Value == "" || p.Value == "":
		s.Errorf(service.Position, "spec.mlService: modelBox and modelPath belong together")
		return nil
	}
	s.lacksBox("spec.mlService.modelBox", box)
	if !checkModelPath(s, p) {
		return nil
	}
	key, entry := objectOf(x.Spec.ConnectedBoxes, box.Value, p.Value)
	at := p.At
	if entry != nil && entry.Has("s3Path") {
		at = entry.S3Path.At
		if _, _, err := mountedPrefix(*entry); err != nil {
			return nil // which the entry says
		}
	}
	if err := cmp.Or(databox.CheckDeveloperPath(key), databox.CheckLiteral(key)); err != nil {
		s.Errorf(at,
			"spec.mlService: the model is the object %q of box %s: %v; give it a path of its own, like models/v1/",
			key, box.Value, err)
		return nil
	}
	m := &Model{Box: box.Value, Object: key, Path: p.Value}
	m.apart(s, p.At, hidden(modelFolder(m), service.Inference.Value, service.ModelLoader.Value))
	return m
}

// apart keeps the model from hiding files of the image; function is the one whose folder its own
// would hide, "" for none.
func (m *Model) apart(s *scope, at manifest.Position, function string) {
	into, isFolder := modelFolder(m), strings.HasSuffix(m.Path, "/")
	switch {
	case isFolder && function != "":
		s.Errorf(at, "spec.mlService.modelPath: %s would hide the folder of %s; choose a folder of its own, like /models/",
			m.Path, function)
	case isFolder && folder.HidesCode(into):
		s.Warnf(at, "spec.mlService.modelPath: what the image has in %s is hidden, which often is its code; choose a folder "+
			"of its own, like /models/", into)
	case !isFolder && (function != "" || folder.OfCode(into)):
		m.Linked = true
	}
}

// noteLink says what a model needs that is a link in a folder of the image.
func noteLink(s *scope, x *manifest.MLComponent, m *Model) {
	if m == nil || !m.Linked {
		return
	}
	s.Notef(x.Spec.MLService.ModelPath.At, "spec.mlService.modelPath: so that %s keeps the image's files, the model lies "+
		"elsewhere and %s is a link to it: the image's user must be able to write there, or choose a folder of its own, like "+
		"/models/%s", path.Dir(m.Path), m.Path, path.Base(m.Path))
}

// checkModelPath checks where the model goes in the user's container.
func checkModelPath(found *scope, p manifest.Text) bool {
	clean := path.Clean(p.Value)
	into := path.Dir(clean)
	if strings.HasSuffix(p.Value, "/") {
		into = clean
	}
	if !path.IsAbs(p.Value) || (clean != p.Value && clean+"/" != p.Value) {
		found.Errorf(p.At, "spec.mlService.modelPath: %q is not a clean absolute path", p.Value)
		return false
	}
	if err := folder.Check(into); err != nil {
		found.Errorf(p.At, "spec.mlService.modelPath: the model's folder %v", err)
		return false
	}
	return true
}

// objectOf maps a path of the container to a key of the box: by the longest entry of connectedBoxes
// for that box whose mountPath is a prefix of it, which is given too when it has an s3Path, else the
// path itself.
func objectOf(connected []manifest.ConnectedBox, box, p string) (string, *manifest.MountS3Box) {
	key, longest := strings.TrimPrefix(p, "/"), -1
	var entry *manifest.MountS3Box
	for _, b := range connected {
		var at, s3Path string
		switch {
		case b.Name.Value != box:
			continue
		case b.MountS3Box != nil:
			at, s3Path = b.MountS3Box.MountPath.Value, b.MountS3Box.S3Path.Value
		case b.MountDataset != nil:
			at = b.MountDataset.MountPath.Value
		}
		mount := strings.TrimSuffix(at, "/") + "/"
		if rest, ok := strings.CutPrefix(p, mount); ok && at != "" && len(mount) > longest {
			longest, entry = len(mount), b.MountS3Box
			key = strings.TrimPrefix(path.Join(s3Path, rest), "/")
			if strings.HasSuffix(p, "/") {
				key += "/"
			}
		}
	}
	return key, entry
}

// decideUpdates says how a component's model is taken up when it changes.
func decideUpdates(s *scope, x *manifest.MLComponent, m *Model) {
	how, set := manifest.ModelUpdates.Of(&x.Meta, s.Diagnostics)
	switch {
	case m != nil:
		m.Updates = how
	case set && x.Spec.MLService.ModelBox.Value == "":
		s.Notef(x.Meta.Annotations[manifest.ModelUpdates.Name].At, "%s has no effect: the component has no model",
			manifest.ModelUpdates.Name)
	}
}
