// Package folder says where in a user's container files may be brought: the rules of mountTo and of
// mountPath, and of the folder of a model. translate asks it of what the manifests say, and the
// controller again of what an object in the cluster says, or of a path that is made at run time.
package folder

import (
	"errors"
	"fmt"
	"path"
	"regexp"
	"strings"

	"github.com/unip-knative/unip/eventing/databox"
)

// Limits in bytes: of a whole path, so that names of files fit behind it, and Linux's own of one
// name in it.
const (
	MaxPath = 1024
	MaxName = 255
)

// ErrSystem is what a folder is refused with that would hide a part of the image or of unip.
var ErrSystem = errors.New("it would hide the image's own files, or unip's; choose a folder of its own, like /data/photos")

// system are the folders without which no program starts, and unip's own.
var system = regexp.MustCompile(`^/(bin|boot|dev|etc|lib|lib32|lib64|libx32|proc|root|run|sbin|sys|tmp|unip|usr|var)(/|$)`)

// code are folders that images usually have their code in.
var code = regexp.MustCompile(`^/(app|code|src|srv|workspace|workdir|work|project|repo|home/[^/]+)(/|$)`)

// OfCode reports a folder that is most likely the image's own, or lies in one.
func OfCode(p string) bool { return code.MatchString(p) }

// HidesCode reports one that is most likely the image's own itself: what is mounted there hides the
// image's code.
func HidesCode(p string) bool { return OfCode(p) && !OfCode(path.Dir(path.Clean(p))) }

// Check reports a path that is no place for files in a container: it is not clean, see CheckClean,
// or is one of the system, or lies in one. A "/" at its end is taken.
func Check(p string) error {
	if p == "/" || system.MatchString(p) {
		return fmt.Errorf("%q: %w", p, ErrSystem)
	}
	return CheckClean(p)
}

// CheckClean reports a path that no container runtime, or no file system, takes as it stands. It
// says nothing of where the path leads.
func CheckClean(p string) error {
	clean := strings.TrimSuffix(p, "/")
	switch {
	case !path.IsAbs(clean) || path.Clean(clean) != clean || clean == "/":
		return fmt.Errorf("%q is not a clean absolute path", p)
	case strings.Contains(p, ":"):
		return fmt.Errorf("%q has a colon, which container runtimes do not take in a path", p)
	case databox.HasControl(p):
		return fmt.Errorf("%q has a control character or is not UTF-8", p)
	case len(p) > MaxPath:
		return fmt.Errorf("the path is %d bytes long, more than %d", len(p), MaxPath)
	}
	for name := range strings.SplitSeq(clean, "/") {
		if len(name) > MaxName {
			return fmt.Errorf("%q: a name in it is longer than %d bytes", p, MaxName)
		}
	}
	return nil
}

// Nested reports that one of two folders is, or lies in, the other. One container cannot have both.
func Nested(a, b string) bool {
	a, b = strings.TrimSuffix(a, "/")+"/", strings.TrimSuffix(b, "/")+"/"
	return strings.HasPrefix(a, b) || strings.HasPrefix(b, a)
}
