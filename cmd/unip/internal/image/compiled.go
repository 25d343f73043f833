package image

import (
	"path"
	"strings"
)

// Uncompiled: modules of Python without their compiled files, which each cold start compiles anew.
const Uncompiled Rule = "uncompiled"

const (
	// little is how much source of a folder a start may compile without a word.
	little = 1 << 20
	// maxModules bounds the modules that are remembered: what is read may be a stranger's.
	maxModules = 200_000
)

// modules are the files of Python in an image, and which of them are compiled. They may be in other
// layers than what is compiled of them.
type modules struct {
	sizes    map[string]int64
	compiled map[string]bool
}

func newModules() *modules { return &modules{sizes: map[string]int64{}, compiled: map[string]bool{}} }

// file notes a file, if it is one of Python.
func (m *modules) file(name string, size int64) {
	if len(m.sizes)+len(m.compiled) >= maxModules {
		return
	}
	dir, base := path.Split(name)
	switch path.Ext(base) {
	case ".py":
		m.sizes[name] = size
	case ".pyc":
		parent, ok := strings.CutSuffix(dir, "__pycache__/")
		if module, _, of := strings.Cut(base, "."); ok && of {
			m.compiled[parent+module+".py"] = true
		}
	}
}

// findings are the folders of which each start compiles much.
func (m *modules) findings() []Finding {
	sizes := map[string]int64{}
	for name, size := range m.sizes {
		if !m.compiled[name] {
			sizes[importedFrom(name)] += size
		}
	}
	var found []Finding
	for folder, size := range sizes {
		if size >= little {
			found = append(found, Finding{Rule: Uncompiled, Path: folder, Size: size,
				Cure: "RUN python3 -m compileall -q " + folder})
		}
	}
	return found
}

// importedFrom is the folder that a module lies in as an import sees it: Python's own, a package
// manager's, else the first of its path.
func importedFrom(file string) string {
	parts := strings.Split(file, "/")
	for i := len(parts) - 2; i > 0; i-- {
		switch {
		case parts[i] == "site-packages", parts[i] == "dist-packages", strings.HasPrefix(parts[i], "python3."):
			return strings.Join(parts[:i+1], "/")
		}
	}
	return strings.Join(parts[:2], "/")
}
