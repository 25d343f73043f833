package translate

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/unip-knative/unip/translate/manifest"
)

// place is a file or a folder (its path ends in "/" or is empty) in a box, as databox.Place is: that package's S3 client is not wanted on the way of a translation, so a test holds the two together.
type place struct {
	box       string
	developer bool // the developer's area: "<box>:/<path>"
	path      string
}

func parsePlace(s string) (place, error) {
	box, p, ok := strings.Cut(s, "/")
	if !ok || strings.TrimSuffix(box, ":") == "" {
		return place{}, fmt.Errorf("%q is not of the form <box>/<group>/ or, in the developer's area, <box>:/<folder>/", s)
	}
	pl := place{strings.TrimSuffix(box, ":"), strings.HasSuffix(box, ":"), p}
	if err := checkObjectPath(strings.TrimSuffix(p, "/")); err != nil && (p != "" || !pl.developer) {
		return place{}, fmt.Errorf("%q: %w", s, err)
	}
	return pl, nil
}

func (p place) folder() bool { return p.path == "" || strings.HasSuffix(p.path, "/") }

// maxPath is S3's limit of a key less what stands before a user's path.
const maxPath = 1024 - 128

// checkObjectPath is databox.CheckObjectPath.
func checkObjectPath(p string) error {
	switch {
	case p == "":
		return errors.New("the path is empty")
	case path.Clean(p) != p || path.IsAbs(p) || p == "." || p == ".." || strings.HasPrefix(p, "../"):
		return errors.New("the path has an empty, \".\" or \"..\" segment")
	case len(p) > maxPath:
		return fmt.Errorf("the path is longer than %d bytes", maxPath)
	case strings.ContainsFunc(p, control):
		return errors.New("the path has a control character or is not UTF-8")
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f || r == 0xfffd }

// checkKey checks a path of a manifest that becomes a key of a box, or with a "/" at its end a folder
// of keys: every one that reads or writes the developer's area, so that none is among users' files.
func checkKey(p string) error {
	if err := checkObjectPath(strings.TrimSuffix(p, "/")); err != nil {
		return err
	}
	if p == "users" || strings.HasPrefix(p, "users/") {
		return errors.New("users/ is where users' files are, and no part of the developer's area")
	}
	return nil
}

// box finds a box that a field names.
func (c *checker) box(where string, name manifest.Text) *manifest.DataBox {
	b, ok := c.boxes[name.Value]
	if c.module.Lacks("DataBox", name.Value, ok) {
		c.found.Errorf(name.At, "%s: there is no DataBox %q%s", where, name.Value, c.near())
	}
	return b
}
