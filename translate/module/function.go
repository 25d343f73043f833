package module

import (
	"path"
	"regexp"
	"strings"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/manifest"
)

var (
	// dotted is package.module:function, or with dots only.
	dotted = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*([:.][A-Za-z_][A-Za-z0-9_]*)+$`)
	// inFile is file.py:function.
	inFile = regexp.MustCompile(`^([^:]*[^:/]\.py):[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)
)

// PythonFile is the file of a function's place: as it stands there, or for a module the path below
// the working folder. A module that is a folder has another one.
func PythonFile(place string) string {
	if f := inFile.FindStringSubmatch(place); f != nil {
		return f[1]
	}
	module, _, colon := strings.Cut(place, ":")
	if !colon {
		module = place[:max(strings.LastIndex(place, "."), 0)]
	}
	return strings.ReplaceAll(module, ".", "/") + ".py"
}

// checkFunction checks the place of a function.
func checkFunction(found *scope, field string, f manifest.Text) {
	file := inFile.FindStringSubmatch(f.Value)
	switch {
	case file == nil && !dotted.MatchString(f.Value):
		found.Errorf(f.At, "spec.mlService.%s: %q is not of the form package.module:function, or /folder/file.py:function",
			field, f.Value)
	case file == nil:
	case path.Clean(file[1]) != file[1], strings.HasPrefix(file[1], "../"), databox.HasControl(f.Value):
		found.Errorf(f.At, "spec.mlService.%s: %q is not a clean path, absolute or below the working folder", field, file[1])
	}
}
