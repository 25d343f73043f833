package resources

import (
	"cmp"
	"maps"
	"slices"

	corev1 "k8s.io/api/core/v1"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/module"
)

func sessionOf(use databox.Access) platformv1.Session { return platformv1.Session{Use: string(use)} }

// modelSession is that of a component's model.
func modelSession(m *module.Model) platformv1.Session {
	return platformv1.Session{Use: string(databox.Model), Object: m.Object}
}

// fileSession is that of a component for its callers' files.
func fileSession(b module.FileBox) platformv1.Session {
	if b.ReadOnly {
		return sessionOf(databox.CallsRead)
	}
	return sessionOf(databox.Calls)
}

// gatewaySessions are those of the gateway: with one it looks at files, with the others it signs
// links, each with no more than the link is for.
func gatewaySessions(s module.Storage, box string) []platformv1.Session {
	all := []platformv1.Session{sessionOf(databox.Files)}
	if s.Links {
		all = append(all, sessionOf(databox.GetLinks))
		if !slices.Contains(s.Datasets, box) {
			all = append(all, sessionOf(databox.PutLinks))
		}
	}
	return all
}

// Sessions are what the pods of a module hold, by box; each session once.
func Sessions(components []module.Component, storage module.Storage) map[string][]platformv1.Session {
	held := map[string]map[platformv1.Session]bool{}
	hold := func(box string, all ...platformv1.Session) {
		if held[box] == nil {
			held[box] = map[platformv1.Session]bool{}
		}
		for _, s := range all {
			held[box][s] = true
		}
	}
	for _, c := range components {
		if c.Model != nil {
			hold(c.Model.Box, modelSession(c.Model))
		}
		for _, b := range c.Boxes {
			hold(b.Name, fileSession(b))
		}
		for _, x := range c.Mounts {
			for _, f := range mountSessions(x) {
				hold(f.box, f.session)
			}
		}
	}
	for _, box := range storage.Boxes {
		hold(box, gatewaySessions(storage, box)...)
	}
	sorted := map[string][]platformv1.Session{}
	for box, all := range held {
		sorted[box] = slices.SortedFunc(maps.Keys(all), func(a, b platformv1.Session) int {
			return cmp.Or(cmp.Compare(a.Use, b.Use), cmp.Compare(a.Object, b.Object))
		})
	}
	return sorted
}

// sessionFile is a session of a box and the file that it is in.
type sessionFile struct {
	box     string
	session platformv1.Session
	file    string
}

// sessionVolume is a volume with sessions, each in a file. The controller makes their Secrets,
// whose names are the box's and a suffix; such names stand in projected volumes and nowhere else,
// which tells tools that prefix a module's names where to prefix these too.
func sessionVolume(all ...sessionFile) corev1.VolumeSource {
	optional := true
	var sources []corev1.VolumeProjection
	for _, s := range all {
		sources = append(sources, corev1.VolumeProjection{Secret: &corev1.SecretProjection{
			LocalObjectReference: corev1.LocalObjectReference{Name: databox.Access(s.session.Use).Secret(s.box,
				s.session.Object)},
			Optional: &optional,
			Items:    []corev1.KeyToPath{{Key: databox.SessionKey, Path: s.file}},
		}})
	}
	return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: sources}}
}
