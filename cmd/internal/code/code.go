// Package code looks at the Python of a module's functions, as far as it lies beside the manifests,
// for what cannot work here.
package code

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/unip-knative/unip/cmd/internal/devserver"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

// maxSource bounds what is read of a file, in bytes.
const maxSource = 1 << 20

var (
	// imports are the lines that import something: what, in group 1 or 2.
	imports = regexp.MustCompile(`(?m)^[ \t]*(?:import[ \t]+([^#\r\n]+)|from[ \t]+([A-Za-z0-9_.]+)[ \t]+import\b)`)
	// library are names of the platform's own server library. What it is called is not known: these
	// are its project's names.
	library = regexp.MustCompile(`^(unip|unified_platform|mlops_platform)(_[a-z0-9_]*)?$`)
)

// Check looks at the files below a folder in which the components' functions and loaders are, and
// finds imports of the platform's own server library. The platform installs it into the image at
// each start; here nothing is, and nothing of it is needed.
func Check(dir string, m *module.Module) (found manifest.Diagnostics, err error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	seen := map[string]bool{}
	for _, c := range m.Components {
		for _, place := range []string{c.Inference, c.Loader} {
			if place == "" || seen[place] {
				continue
			}
			seen[place] = true
			name, source, err := read(root, module.PythonFile(devserver.Place(dir, place)))
			switch {
			case err != nil:
				found.Notef(c.Position, "MLComponent %s: the file of %s cannot be looked at below %s: %v", c.Name, place, dir, err)
			case !seen[name]:
				seen[name] = true
				check(&found, filepath.Join(dir, name), source)
			}
		}
	}
	found.Sort()
	return found, nil
}

// read reads the file of a module, or that of a package of the same name.
func read(root *os.Root, name string) (string, []byte, error) {
	name = strings.TrimPrefix(name, "/")
	f, err := root.Open(name)
	if errors.Is(err, fs.ErrNotExist) {
		name = strings.TrimSuffix(name, ".py") + "/__init__.py"
		f, err = root.Open(name)
	}
	if err != nil {
		return "", nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxSource))
	return name, b, err
}

func check(found *manifest.Diagnostics, file string, source []byte) {
	for _, at := range imports.FindAllSubmatchIndex(source, -1) {
		from, to := at[2], at[3]
		if from < 0 {
			from, to = at[4], at[5]
		}
		for name := range strings.SplitSeq(string(source[from:to]), ",") {
			top, _, _ := strings.Cut(strings.TrimSpace(name), ".")
			top, _, _ = strings.Cut(top, " ")
			if !library.MatchString(top) {
				continue
			}
			line := 1 + strings.Count(string(source[:from]), "\n")
			found.Warnf(manifest.Position{File: file, Line: line, Column: 1},
				"%s looks like the platform's own server library, which is not installed here, so that the import fails: "+
					"take it out, and leave a plain function with its docstring, which unip's server calls (docs/inference.md); "+
					"a model is loaded by modelLoader", top)
		}
	}
}
