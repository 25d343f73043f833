package module

import (
	"path"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/folder"
	"github.com/unip-knative/unip/translate/manifest"
)

// Mount is a folder of a box whose files a component has in its container.
type Mount struct {
	manifest.Position
	Box string
	// Prefix is what lies in it: it ends in "/", or is empty for all that is not users'.
	Prefix string
	Path   string // in the user's container
	Write  bool   // what calls write there is stored
	// Links are the paths below it where the model lies.
	Links []string
}

// componentMounts finds what the entries of connectedBoxes mount, and says of the others why they mount
// nothing.
func componentMounts(s *scope, x *manifest.MLComponent, c Component) []Mount {
	on, _ := manifest.Mounts.Of(&x.Meta, s.Diagnostics)
	var all []Mount
	for _, b := range x.Spec.ConnectedBoxes {
		m, ok := mountOf(s, b)
		if !ok || on == manifest.Off {
			continue
		}
		if c.Model != nil && !m.besideModel(s, c.Model) {
			continue
		}
		if i := slices.IndexFunc(all, func(o Mount) bool { return folder.Nested(o.Path, m.Path) }); i >= 0 {
			s.Errorf(m.Position, "spec.connectedBoxes: mountPath %s lies in %s, or is the same; give them paths "+
				"beside one another", m.Path, all[i].Path)
		}
		if f := hidden(m.Path, c.Inference, c.Loader); f != "" {
			s.Errorf(m.Position, "spec.connectedBoxes: mountPath %s would hide the folder of %s", m.Path, f)
		} else if folder.HidesCode(m.Path) {
			s.Warnf(m.Position, "spec.connectedBoxes: what the image has in %s is hidden, which often is its code; choose a "+
				"mountPath of its own, like /data", m.Path)
		}
		if m.Write && c.Anonymous {
			s.Notef(m.Position, "what calls past the gateway write below %s is not stored", m.Path)
		}
		all = append(all, m)
	}
	return all
}

// hidden is the first of some functions whose folder is a mounted one, or lies in it; "" for none.
func hidden(mounted string, functions ...string) string {
	for _, f := range functions {
		place := functionFolder(f)
		if place != "" && strings.HasPrefix(strings.TrimSuffix(place, "/")+"/", mounted+"/") {
			return f
		}
	}
	return ""
}

// functionFolder is the folder of a function that is named by an absolute path, "" for another one.
func functionFolder(inference string) string {
	if file, _, _ := strings.Cut(inference, ":"); path.IsAbs(file) {
		return path.Dir(file)
	}
	return ""
}

// mountOf is what an entry mounts; ok is false when that is nothing.
func mountOf(s *scope, b manifest.ConnectedBox) (m Mount, ok bool) {
	box := s.boxes[b.Name.Value]
	m = Mount{Position: b.Position, Box: b.Name.Value}
	var at manifest.Text
	switch {
	case box == nil, (b.MountS3Box == nil) == (b.MountDataset == nil):
		return m, false // which is an error of its own
	case b.MountDataset != nil:
		at = b.MountDataset.MountPath
	default:
		at, m.Write = b.MountS3Box.MountPath, !b.MountS3Box.ReadOnly
		if m.Prefix, ok = prefixOf(s, b); !ok {
			return m, false
		}
	}
	if at.At.File != "" {
		m.Position = at.At
	}
	if folder.Check(at.Value) != nil {
		return m, false // which is an error of its own
	}
	m.Path = path.Clean(at.Value)
	return m, true
}

// prefixOf is the part of a box that an entry mounts, and whether it mounts any.
func prefixOf(s *scope, b manifest.ConnectedBox) (string, bool) {
	text := b.MountS3Box.S3Path
	prefix, some, err := mountedPrefix(*b.MountS3Box)
	switch {
	case err != nil:
		s.Errorf(text.At, "spec.connectedBoxes: s3Path %q: %v", text.Value, err)
	case !some:
		s.Notef(text.At, "connectedBoxes: %s mounts nothing of %s: users' files come when a FILE input names them, each "+
			"call's into a folder of its own", text.Value, b.Name.Value)
	}
	return prefix, some && err == nil
}

// mountedPrefix reads s3Path: a prefix that ends in "/", or is empty for a whole box. Users' files are
// no part of any; some is false for all of them, which is a form of the platform's.
func mountedPrefix(m manifest.MountS3Box) (prefix string, some bool, err error) {
	p := strings.Trim(m.S3Path.Value, "/")
	switch err := checkFolder(p); {
	case err != nil || p == "":
		return "", true, err
	case p+"/" == databox.UsersArea:
		return "", false, nil
	}
	if err := databox.CheckDeveloperPath(p + "/"); err != nil {
		return "", false, err
	}
	return p + "/", true, databox.CheckLiteral(p)
}

// besideModel has the model lie in the mount where their paths or their objects say so, and reports
// whether the mount is more than the model.
func (m *Mount) besideModel(s *scope, model *Model) bool {
	at, isFolder := path.Clean(model.Path), strings.HasSuffix(model.Path, "/")
	whole, place := strings.TrimSuffix(model.Object, "/"), modelFolder(model)
	if model.Linked {
		place = at // nothing else of the folder is the model's
	}
	same := m.Box == model.Box && isFolder && m.Prefix == model.Object
	switch rest, inside := strings.CutPrefix(at, m.Path+"/"); {
	case m.Path == at && same:
		return false // it is the model itself
	case inside:
		model.Inside, model.Linked = true, false
		m.Links = append(m.Links, rest)
	case folder.Nested(m.Path, place):
		s.Errorf(m.Position, "spec.connectedBoxes: mountPath %s and the model's folder %s lie in one another; give them "+
			"paths beside one another, or have the model lie below mountPath", m.Path, place)
		return false
	}
	rest, below := strings.CutPrefix(whole, m.Prefix)
	switch {
	case m.Box != model.Box:
	case same || isFolder && strings.HasPrefix(m.Prefix, model.Object):
		s.Errorf(m.Position, "spec.connectedBoxes: s3Path /%s is the model, or a part of it, which lies at %s: leave the "+
			"entry out, or mount more of the box", m.Prefix, model.Path)
		return false
	case below && !slices.Contains(m.Links, rest):
		m.Links = append(m.Links, rest)
	}
	return true
}

// modelFolder is the folder in the user's container that a model takes alone.
func modelFolder(m *Model) string {
	if strings.HasSuffix(m.Path, "/") {
		return path.Clean(m.Path)
	}
	return path.Dir(m.Path)
}

// keepModels tells each component the models in the boxes that it writes to.
func keepModels(all []Component) {
	models := map[string][]string{}
	for _, c := range all {
		if c.Model != nil && !slices.Contains(models[c.Model.Box], c.Model.Object) {
			models[c.Model.Box] = append(models[c.Model.Box], c.Model.Object)
		}
	}
	for _, keys := range models {
		slices.Sort(keys) // whatever the order of the manifests is
	}
	for i, c := range all {
		for _, m := range c.Mounts {
			if keys := models[m.Box]; m.Write && len(keys) > 0 {
				if all[i].Kept == nil {
					all[i].Kept = map[string][]string{}
				}
				all[i].Kept[m.Box] = keys
			}
		}
	}
}
