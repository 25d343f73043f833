package stage

import (
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/printable"
)

const (
	// MaxCommit bounds a commit in bytes when it is read: about 300,000 files.
	MaxCommit = 64 << 20
	// MaxName bounds a file's path below its output's folder: S3 keys end at 1024 bytes, and the
	// prefix needs its part.
	MaxName = 700
)

// Commit says which attempt of a stage won and what it left. It is the only thing that later stages
// believe.
type Commit struct {
	Attempt int               `json:"attempt"`
	Outputs map[string][]File `json:"outputs"` // by output; empty for a folder without files
	// Packs are the names of each output's packs, where it has some.
	Packs map[string][]string `json:"packs,omitempty"`
	// Folders are the paths of each output's empty folders, where it has some.
	Folders map[string][]string `json:"folders,omitempty"`
}

// File is one file of an output.
type File struct {
	// Path below the output's folder, with slashes.
	Path string `json:"path"`
	Size int64  `json:"size"`
	// SHA256 of the content, lower-case hexadecimal.
	SHA256 string `json:"sha256"`
	// Pack is the number of the output's pack in which the content lies, from 1, and Offset where in
	// it. Without them the file is an object of its own.
	Pack   int   `json:"pack,omitempty"`
	Offset int64 `json:"offset,omitempty"`
	// Object is the path of the file of the output in whose object the content lies, where that is
	// another one: this is a link to it, or it has both names.
	Object string `json:"object,omitempty"`
}

// As is the same file under another path of the output. The content lies where it lay.
func (f File) As(path string) File {
	if f.Pack == 0 && f.ObjectPath() != path {
		f.Object = f.ObjectPath()
	}
	f.Path = path
	return f
}

// ObjectPath is the path, below the output's part of the bucket, of the object with the content of a
// file that is in no pack.
func (f File) ObjectPath() string { return cmp.Or(f.Object, f.Path) }

// ClosedCommit stands in a commit's place where the run has ended without the stage: who comes to
// commit later finds it, and publishes nothing. It has no attempt, so that nobody takes it for one's.
const ClosedCommit = `{"closed":true}`

// ErrClosed: there is a ClosedCommit.
var ErrClosed = errors.New("the run ended without this stage, whose outputs are not taken any more")

// DecodeCommit reads a commit and checks every path and every place in it: whoever reads it writes
// files at those paths, and makes keys of the packs' names.
func DecodeCommit(b []byte) (*Commit, error) {
	var c Commit
	if string(b) == ClosedCommit {
		return nil, ErrClosed
	}
	if err := json.Unmarshal(b, &c); err != nil {
		return nil, fmt.Errorf("reading a commit: %w", err)
	}
	if c.Attempt < 1 {
		return nil, errors.New("reading a commit: no attempt")
	}
	for output, packs := range c.Packs {
		if i := slices.IndexFunc(packs, func(name string) bool { return !isSum(name) }); i >= 0 {
			return nil, fmt.Errorf("reading a commit: output %s: %q is not a pack's name", output, packs[i])
		}
	}
	for output, folders := range c.Folders {
		for _, p := range folders {
			if err := CheckPath(p); err != nil {
				return nil, fmt.Errorf("reading a commit: output %s: %w", output, err)
			}
		}
	}
	for output, files := range c.Outputs {
		for _, f := range files {
			if err := errors.Join(CheckPath(f.Path), CheckPath(f.ObjectPath())); err != nil {
				return nil, fmt.Errorf("reading a commit: output %s: %w", output, err)
			}
			if f.Size < 0 || len(f.SHA256) != 64 {
				return nil, fmt.Errorf("reading a commit: output %s: %q has no size or checksum", output, f.Path)
			}
			if err := f.checkPlace(len(c.Packs[output])); err != nil {
				return nil, fmt.Errorf("reading a commit: output %s: %q %w", output, f.Path, err)
			}
		}
	}
	return &c, nil
}

// CheckPath reports an error for a path that must not be joined to a folder or to a key: one that
// leaves the folder, or is too long.
func CheckPath(p string) error {
	if err := databox.CheckFileName(p); err != nil {
		return err
	}
	if len(p) > MaxName {
		return fmt.Errorf("%.80q… is longer than %d bytes", p, MaxName)
	}
	return nil
}

// Result is what fetch and publish leave as their termination message, for the controller: at most
// 4096 bytes, Kubernetes' limit.
type Result struct {
	Files int   `json:"files"`
	Bytes int64 `json:"bytes"`
	// Attempt that won, when it is not this one's number another attempt was faster. Only from
	// publish.
	Attempt int `json:"attempt,omitempty"`
	// Kept counts the copies that were not made, because a file that came after the commit lies in
	// their place. Only from publish.
	Kept int `json:"kept,omitempty"`
	// Error says in one sentence what went wrong; Retry whether another attempt may help (storage
	// did not answer) or not (an output holds a link).
	Error string `json:"error,omitempty"`
	Retry bool   `json:"retry,omitempty"`
	// WaitedSeconds is how long storage had not answered then.
	WaitedSeconds int64 `json:"waitedSeconds,omitempty"`
	// BoxFull: the outputs do not fit into the box that they were to go to. Nothing of them is
	// visible.
	BoxFull bool `json:"boxFull,omitempty"`
}

// MaxMessage is Kubernetes' limit of a termination message.
const MaxMessage = 4096

// Encode gives the message, its error in one printable line and cut where it would not fit.
func (r Result) Encode() []byte {
	r.Error = printable.Summary(r.Error, MaxMessage)
	for {
		b, _ := json.Marshal(r) // strings and numbers always encode
		over := len(b) - MaxMessage
		if over <= 0 {
			return b
		}
		r.Error = strings.ToValidUTF8(r.Error[:max(0, len(r.Error)-over-3)], "") + "…"
	}
}
