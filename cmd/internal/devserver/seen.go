package devserver

import (
	"io/fs"
	"maps"
	"slices"
)

// Seen is how files were at one look.
type Seen map[string]stamp

type stamp struct{ size, time int64 }

// Note keeps how a file is.
func (s Seen) Note(path string, info fs.FileInfo) {
	s[path] = stamp{info.Size(), info.ModTime().UnixNano()}
}

// Other is a file that is new, gone or another at the next look, "" for none. Before the first look
// nothing is.
func (s Seen) Other(next Seen) string {
	if s == nil || maps.Equal(s, next) {
		return ""
	}
	for _, name := range slices.Sorted(maps.Keys(next)) {
		if was, ok := s[name]; !ok || was != next[name] {
			return name
		}
	}
	for _, name := range slices.Sorted(maps.Keys(s)) {
		if _, ok := next[name]; !ok {
			return name
		}
	}
	return ""
}
