package storage

import (
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/versity/versitygw/backend/posix"

	"github.com/unip-knative/unip/eventing/databox"
)

// isKey reports a key that is a path which comes back as it was given.
func isKey(key string) bool {
	file := strings.TrimSuffix(key, "/")
	return file != "" && path.Clean("/"+file) == "/"+file && len(key) <= databox.MaxKey &&
		!databox.HasControl(key) && !isStray(file) && !slices.Contains(strings.Split(file, "/"), posix.MetaTmpDir)
}

// isStray reports a path that leads elsewhere on some system, which MinIO refuses as well.
func isStray(path string) bool {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
	return slices.ContainsFunc(segments, func(s string) bool {
		s = strings.TrimSpace(s)
		return s == "." || s == ".."
	})
}

// isPlain reports that nothing on the way to a key, and at it, is other than a folder or a file.
func isPlain(folder, key string) bool {
	for i := 0; i < len(key); i++ {
		if key[i] != '/' && i != len(key)-1 {
			continue
		}
		info, err := os.Lstat(filepath.Join(folder, key[:i+1]))
		if err != nil {
			return true // nothing is there, and so nothing below it
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}
