package devserver

import (
	"os"
	"path/filepath"
	"strings"
)

// Place is where a function of the manifests is found on this machine. A file of the container, such
// as /app/src/serve.py:function, is looked for below the working folder by the longest end of its
// path that is there: src/serve.py, then serve.py. What is nowhere stays as it is, and Python says
// so.
func Place(dir, place string) string {
	file, function, _ := strings.Cut(place, ":")
	if !filepath.IsAbs(file) {
		return place
	}
	for rest := strings.TrimPrefix(file, "/"); rest != ""; {
		if info, err := os.Stat(filepath.Join(dir, rest)); err == nil && info.Mode().IsRegular() {
			return rest + ":" + function
		}
		_, rest, _ = strings.Cut(rest, "/")
	}
	return place
}
