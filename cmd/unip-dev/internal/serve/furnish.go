package serve

import (
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/unip-knative/unip/cmd/internal/devserver"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/engine"
)

// furnish has the folders of a container lie at their paths. Where the machine lets a process have a file
// system of its own, the function finds them as in a cluster. Elsewhere they are where a link can be made,
// and the others are named.
func (c *component) furnish(log *slog.Logger) (err error) {
	places := engine.Places{Folders: map[string]string{}, Links: map[string]string{}}
	for _, m := range c.mounts {
		if m.File {
			places.Links[m.Path] = m.Local // it may be another file soon
		} else {
			places.Folders[m.Path] = m.Local
		}
	}
	s := c.served
	if len(c.mounts) == 0 || !s.engine.CanFurnish(places, s.dir, s.state, s.python, s.sockets, os.TempDir()) {
		c.undo, err = c.mounts.Place(os.Geteuid() == 0, log)
		return err
	}
	c.undo = func() {}
	for _, m := range c.mounts {
		folder := m.Local
		if m.File {
			folder = filepath.Dir(folder)
		}
		if err := os.MkdirAll(folder, 0o755); err != nil {
			return err
		}
		log.Info(m.Instead())
	}
	root := filepath.Join(c.dir, "root")
	if err := os.MkdirAll(root, 0o700); err != nil {
		return err
	}
	c.furnished = func(cmd *exec.Cmd) error { return s.engine.Furnish(cmd, places, root) }
	return nil
}

// elsewhere are the folders that the function does not find at their paths.
func (c *component) elsewhere() devserver.Mounts {
	if c.furnished != nil {
		return nil
	}
	return c.mounts
}
