package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/http"
	"os"
	"path"
	"strings"
	"unicode"

	"github.com/unip-knative/unip/functions/inference/internal/rights"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// NoPlace is the slug of the worker's problem when the function returns a file and the call has no
// place for it.
const NoPlace = "file-not-supported"

// Anonymous is the problem in place of NoPlace where the reason is that nobody knows who calls.
func (f *Files) Anonymous() problem.Problem { return anonymous("") }

// returned is what the worker says of a file that it hands over.
type returned struct {
	Output int    `json:"output"`
	Name   string `json:"name"`
	Type   string `json:"content_type"`
}

// Store stores the files of an answer among the caller's: meta is the answer's, with
// {"files":[{"output","name","content_type"}…]}, handed the descriptors in the same order, which
// are closed. The answer itself says already where the files are, for the worker knew the group.
//
// The error is a problem.Problem, or the context's.
func (c *Call) Store(ctx context.Context, meta []byte, handed []*os.File) error {
	defer rights.Close(handed)
	var said struct {
		Files []returned `json:"files"`
	}
	if len(meta) > 0 {
		if err := json.Unmarshal(meta, &said); err != nil {
			return broken("what the worker says of its files cannot be read")
		}
	}
	if len(said.Files) != len(handed) || len(handed) > 0 && !c.Returns {
		return broken("the worker speaks of %d files and hands over %d", len(said.Files), len(handed))
	}
	if len(handed) == 0 {
		return nil
	}
	contents, err := c.contents(said.Files, handed)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, c.files.Timeout)
	defer cancel()
	switch err := c.files.Storage.Store(ctx, c.user, contents); {
	case err == nil:
		return nil
	case errors.Is(ctx.Err(), context.DeadlineExceeded): // as in explain
		return refusal(problem.Timeout, http.StatusGatewayTimeout, "",
			"the function's files were not stored within "+c.files.Timeout.String())
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, ErrFull):
		return refusal("box-full", http.StatusInsufficientStorage, "",
			"the function's files do not fit into the box "+c.group.Box)
	default:
		c.files.Log.Error("storing the files of an answer", "box", c.group.Box, "error", err)
		return refusal("storage-unavailable", http.StatusServiceUnavailable, "",
			"the storage of the box "+c.group.Box+" does not take the function's files")
	}
}

// contents looks at what was handed over: the function's process may hand over anything.
func (c *Call) contents(said []returned, handed []*os.File) ([]Content, error) {
	var all []Content
	var size int64
	names := map[string]bool{}
	for i, r := range said {
		p := Place{c.group.Box, c.group.Path + r.Name}
		if err := checkPath(p.Path); err != nil || strings.Contains(r.Name, "/") || names[r.Name] {
			return nil, broken("output %d: the worker gives its file a name that cannot be", r.Output)
		}
		names[r.Name] = true
		info, err := handed[i].Stat()
		if err != nil || !info.Mode().IsRegular() {
			return nil, broken("output %d: not a regular file", r.Output)
		}
		if size += info.Size(); size > MaxSize {
			return nil, broken("output %d: the files that a call returns may have %d bytes", r.Output, MaxSize)
		}
		all = append(all, Content{p, mediaType(r.Type, r.Name), handed[i], info.Size()})
	}
	return all, nil
}

// mediaType is the one that is given, else what the file's name tells. It is written anew: what is
// read as a media type may have line breaks, which no header takes.
func mediaType(given, name string) string {
	if t, parameters, err := mime.ParseMediaType(given); err == nil && strings.Contains(t, "/") {
		// A tab may stand in a parameter, but not in S3's signature of the header.
		if t = mime.FormatMediaType(t, parameters); t != "" && !strings.ContainsFunc(t, unicode.IsControl) {
			return t
		}
	}
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}

func broken(format string, args ...any) problem.Problem {
	return refusal("invalid-result", http.StatusInternalServerError, "", fmt.Sprintf(format, args...))
}
