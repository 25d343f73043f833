package resources

import (
	"cmp"
	"encoding/json"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/module"
)

// mountsOf is what the server is told of a component's mounts.
func mountsOf(m Module, c module.Component) component.Mounts {
	all := component.Mounts{MaxSize: m.Config.Mounts.Bytes(), Models: c.Kept}
	for _, x := range c.Mounts {
		e := component.Mount{Box: x.Box, Prefix: x.Prefix, Path: x.Path, Write: x.Write}
		for _, name := range x.Links {
			e.Links = append(e.Links, component.Link{Name: name, Target: modelPlace(c.Model)})
		}
		all.Entries = append(all.Entries, e)
	}
	return all
}

// mountSessions are those of a mount, each with the file that it is in.
func mountSessions(x module.Mount) []sessionFile {
	object := cmp.Or(x.Prefix, databox.Root)
	all := []sessionFile{{x.Box, platformv1.Session{Use: string(databox.Mount), Object: object}, component.ReadSession}}
	if x.Write {
		all = append(all, sessionFile{x.Box, platformv1.Session{Use: string(databox.MountWrite), Object: object},
			component.WriteSession})
	}
	return all
}

func mountVolume(entry int) string { return "mount-" + component.Folder(entry) }

// mountVolumes are for the mounts: one volume that holds all of them, and the sessions of each.
func mountVolumes(m Module, c module.Component) []corev1.Volume {
	if len(c.Mounts) == 0 {
		return nil
	}
	write := slices.ContainsFunc(c.Mounts, func(x module.Mount) bool { return x.Write })
	size := *resource.NewQuantity(component.MountsSpace(m.Config.Mounts.Bytes(), write), resource.BinarySI)
	all := []corev1.Volume{{Name: "mounts",
		VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}}}
	for i, x := range c.Mounts {
		all = append(all, corev1.Volume{Name: mountVolume(i), VolumeSource: sessionVolume(mountSessions(x)...)})
	}
	return all
}

// addMounts gives the server what it needs for the mounts.
func addMounts(s *corev1.Container, m Module, c module.Component) {
	if len(c.Mounts) == 0 {
		return
	}
	told, _ := json.Marshal(mountsOf(m, c)) // texts and numbers always encode
	s.Args = append(s.Args, "--mounts="+Literal(string(told)), "--mount-folders="+mountsDir,
		"--mount-sessions="+mountedDir)
	s.VolumeMounts = append(s.VolumeMounts, corev1.VolumeMount{Name: "mounts", MountPath: mountsDir})
	for i := range c.Mounts {
		s.VolumeMounts = append(s.VolumeMounts, corev1.VolumeMount{Name: mountVolume(i),
			MountPath: mountedDir + "/" + component.Folder(i), ReadOnly: true})
	}
}

// mountPaths are the paths of all mounts, none of which has a colon.
func mountPaths(c module.Component) string {
	var all []string
	for _, x := range c.Mounts {
		all = append(all, x.Path)
	}
	return strings.Join(all, ":")
}

// mounted are the mounts as the function's container has them: each a folder of the one volume.
func mounted(c module.Component) []corev1.VolumeMount {
	var all []corev1.VolumeMount
	for i, x := range c.Mounts {
		all = append(all, corev1.VolumeMount{Name: "mounts", MountPath: x.Path, SubPath: component.Folder(i),
			ReadOnly: !x.Write})
	}
	return all
}
