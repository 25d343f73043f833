package module

import "github.com/unip-knative/unip/translate/manifest"

// Connection is a box that a component or a pipeline is connected to, and where it is in the
// containers.
type Connection struct {
	Box, Path string
	ReadOnly  bool
}

func connections(all []manifest.ConnectedBox) []Connection {
	var out []Connection
	for _, b := range all {
		switch {
		case b.MountS3Box != nil:
			out = append(out, Connection{b.Name.Value, b.MountS3Box.MountPath.Value, b.MountS3Box.ReadOnly})
		case b.MountDataset != nil:
			out = append(out, Connection{b.Name.Value, b.MountDataset.MountPath.Value, true})
		}
	}
	return out
}
