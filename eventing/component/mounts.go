package component

import (
	"path"
	"strconv"
	"strings"
)

// Mounts is what server is told, as JSON, of the folders that entries of connectedBoxes are in the
// function's container.
type Mounts struct {
	// MaxSize is how many bytes all of them may have.
	MaxSize int64   `json:"maxSize"`
	Entries []Mount `json:"entries"`
	// Models are the keys of all models of the module, by box: what a call writes is never stored
	// there.
	Models map[string][]string `json:"models,omitempty"`
}

// Mount is one of them.
type Mount struct {
	// Box is its name in the manifests, Prefix what lies in the folder: it ends in "/", or is empty
	// for the developer's whole area.
	Box    string `json:"box"`
	Prefix string `json:"prefix,omitempty"`
	// Path is where the function has it.
	Path string `json:"path"`
	// Write says that what calls write there is stored.
	Write bool `json:"write,omitempty"`
	// Links are paths below the folder where the model lies. It is fetched once, to a volume of its
	// own.
	Links []Link `json:"links,omitempty"`
}

// Link leads from a path below a folder to the model's own place.
type Link struct {
	Name   string `json:"name"`
	Target string `json:"target"`
}

// Folder is the name of an entry's folder in the volume of mounts, and of that of its sessions.
func Folder(entry int) string { return strconv.Itoa(entry) }

// Files with the sessions of an entry.
const (
	ReadSession  = "read.json"
	WriteSession = "write.json"
)

// In reports that a name below the folder is where the model lies, or below that.
func (m Mount) In(name string) bool {
	for _, l := range m.Links {
		if name == l.Name || strings.HasPrefix(name, l.Name+"/") {
			return true
		}
	}
	return false
}

// Shown is a name below the folder as the function knows it.
func (m Mount) Shown(name string) string { return path.Join(m.Path, name) }

// MountsSpace is the size of the volume for folders of maxSize bytes: small files take whole blocks,
// and what calls write needs room beside what was there at the start.
func MountsSpace(maxSize int64, write bool) int64 {
	space := maxSize + maxSize/4 + MaxMounted*block
	if write {
		space += maxSize
	}
	return space
}

// MaxMounted is how many files all folders together may have.
const MaxMounted = 100_000

// block is what a file takes at the least.
const block = 4 << 10
