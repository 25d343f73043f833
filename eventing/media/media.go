// Package media says what a variable of a pipeline's API takes: a file or a folder, and of which media
// types. translate checks the words, the gateway what a call names, the controller what was uploaded.
package media

import (
	"errors"
	"fmt"
	"mime"
	"path"
	"regexp"
	"slices"
	"strings"
)

// The datatypes of a pipeline's variables.
const (
	File   = "FILE"
	Folder = "FOLDER"
)

// ofComponents are the platform's words for what a call of a component passes directly.
var ofComponents = []string{"FP32", "FP64", "INT32", "str", "dict"}

// CheckDatatype reports a word that is no datatype of a pipeline's variable.
func CheckDatatype(word string) error {
	switch {
	case word == File || word == Folder:
		return nil
	case slices.Contains(ofComponents, word):
		return fmt.Errorf("%q is for components: a pipeline's variables are files and folders, %s and %s", word, File,
			Folder)
	}
	return fmt.Errorf("%q is no datatype of a pipeline's variable: %s and %s are", word, File, Folder)
}

var pattern = regexp.MustCompile(`^([a-z0-9][a-z0-9!#$&^_.+-]*/([a-z0-9][a-z0-9!#$&^_.+-]*|\*)|\*/\*)$`)

// CheckType reports what is no media type, nor all types of a kind.
func CheckType(t string) error {
	if !pattern.MatchString(t) {
		return errors.New("it is not a media type: write type/subtype in lower case and without parameters, " +
			"like text/csv, or image/* for all of a kind")
	}
	return nil
}

// Unknown is the type of a file of which nothing is known.
const Unknown = "application/octet-stream"

// Of is the media type of a file: the one that it was stored with, unless that says nothing or is a
// server's guess, else the one that its name says.
func Of(stored, name string) string {
	t, _, err := mime.ParseMediaType(stored)
	says := err == nil && t != Unknown && t != "binary/octet-stream" && strings.Contains(t, "/")
	named, known := byName[strings.ToLower(path.Ext(name))]
	switch {
	case says && !(known && guessed(stored, named)):
		return t
	case known:
		return named
	}
	return Unknown
}

// guessed reports a type that a server has found in the first bytes of a file which was stored without
// one (SeaweedFS does so), in the words of those who look there: of each table it says text, of each
// document of an office an archive.
func guessed(stored, named string) bool {
	switch stored {
	case "text/plain; charset=utf-8", "text/html; charset=utf-8", "text/xml; charset=utf-8", "application/x-gzip":
		return true
	case "application/zip":
		return strings.HasPrefix(named, "application/vnd.openxmlformats")
	}
	return false
}

// Takes reports whether a variable with these types takes one; without types it takes all.
func Takes(types []string, t string) bool {
	kind, _, _ := strings.Cut(t, "/")
	return len(types) == 0 || slices.Contains(types, t) || slices.Contains(types, kind+"/*") ||
		slices.Contains(types, "*/*")
}

// byName is what endings of names say. It is unip's own: that of the system is another one on each.
var byName = map[string]string{
	".csv": "text/csv", ".tsv": "text/tab-separated-values", ".txt": "text/plain", ".log": "text/plain",
	".md": "text/markdown", ".html": "text/html", ".htm": "text/html", ".css": "text/css", ".js": "text/javascript",
	".py": "text/x-python", ".json": "application/json", ".jsonl": "application/jsonl",
	".ndjson":  "application/x-ndjson",
	".geojson": "application/geo+json", ".ipynb": "application/x-ipynb+json", ".xml": "application/xml",
	".yaml": "application/yaml", ".yml": "application/yaml", ".toml": "application/toml", ".pdf": "application/pdf",
	".zip": "application/zip", ".gz": "application/gzip", ".tgz": "application/gzip", ".tar": "application/x-tar",
	".bz2": "application/x-bzip2", ".xz": "application/x-xz", ".7z": "application/x-7z-compressed",
	".zst": "application/zstd", ".parquet": "application/vnd.apache.parquet",
	".arrow": "application/vnd.apache.arrow.file",
	".h5":    "application/x-hdf5", ".hdf5": "application/x-hdf5", ".xls": "application/vnd.ms-excel",
	".xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
	".docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
	".pptx": "application/vnd.openxmlformats-officedocument.presentationml.presentation",
	".png":  "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif", ".webp": "image/webp",
	".bmp": "image/bmp", ".tif": "image/tiff", ".tiff": "image/tiff", ".svg": "image/svg+xml", ".heic": "image/heic",
	".mp3": "audio/mpeg", ".wav": "audio/wav", ".ogg": "audio/ogg", ".flac": "audio/flac", ".m4a": "audio/mp4",
	".mp4": "video/mp4", ".webm": "video/webm", ".mov": "video/quicktime", ".avi": "video/x-msvideo",
	".mkv": "video/x-matroska",
}
