package files

import (
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/functions/internal/problem"
)

// Call is one call whose caller may have files.
type Call struct {
	// More is what the worker is told: {"files":[{"input","path"}…],"upload":"<box>/<group…>/"},
	// each where there is something to say; nil for nothing.
	More []byte
	// Returns is true when the function may return files.
	Returns bool

	files  *Files
	user   string
	group  Place  // where the outputs go: the path of a group, ending in "/"
	folder string // of its inputs, "" without any
	size   int64  // bytes reserved
}

// fetched tells the worker where an input is.
type fetched struct {
	Input int    `json:"input"`
	Path  string `json:"path"`
}

// Begin fetches the FILE inputs of a request's body for a user ("": anonymous). id is the
// request's; given says that the caller chose it. When no worker has the call any more, End must be
// called.
//
// The error is a problem.Problem.
func (f *Files) Begin(ctx context.Context, user, id string, given bool, body []byte) (*Call, error) {
	c := &Call{files: f, user: user}
	var inputs []input
	if Mentions(body) {
		inputs = inputsOf(body)
	}
	if user == "" {
		if len(inputs) > 0 {
			return nil, anonymous(fmt.Sprintf("/inputs/%d/datatype", inputs[0].index))
		}
		return c, nil
	}
	if box := f.Boxes.Written(); box != "" {
		c.Returns, c.group = true, Place{box, f.groupOf(id, given)}
	}
	if len(inputs) == 0 {
		if c.Returns { // names of boxes, and ids of requests, need no escapes
			c.More = []byte(`{"upload":"` + c.group.Box + "/" + c.group.Path + `"}`)
		}
		return c, nil
	}
	ctx, cancel := context.WithTimeout(ctx, f.Timeout)
	defer cancel()
	got, err := c.fetch(ctx, inputs)
	if err != nil {
		c.End()
		return nil, err
	}
	more := struct {
		Files  []fetched `json:"files"`
		Upload string    `json:"upload,omitempty"`
	}{Files: got}
	if c.Returns {
		more.Upload = c.group.Box + "/" + c.group.Path
	}
	c.More, _ = json.Marshal(more) // strings and numbers always encode
	return c, nil
}

// groupOf is the group of a call's outputs, <component>/<request id>/. An id that callers choose
// may come twice, and may look like a path: it becomes one segment, with a part of ours.
func (f *Files) groupOf(id string, given bool) string {
	if given {
		id = strings.NewReplacer("/", "-").Replace(id) + "-" + rand.Text()[:8]
	}
	return f.Component + "/" + id + "/"
}

// End removes the call's files. It may be called again.
func (c *Call) End() {
	if c.folder != "" {
		if err := os.RemoveAll(c.folder); err != nil {
			c.files.Log.Error("removing the files of a call", "error", err)
		}
	}
	c.files.used.Add(-c.size)
	c.folder, c.size = "", 0
}

// want is a file that inputs name.
type want struct {
	place   Place
	version Version
	path    string
	inputs  []int
}

// fetch brings each file that the inputs name, once.
func (c *Call) fetch(ctx context.Context, inputs []input) ([]fetched, error) {
	if len(inputs) > MaxFiles {
		return nil, refusal("invalid-request", http.StatusBadRequest, "/inputs",
			fmt.Sprintf("a call may have %d FILE inputs", MaxFiles))
	}
	all, err := c.places(inputs)
	if err != nil {
		return nil, err
	}
	if err := c.each(ctx, all, func(ctx context.Context, w *want) (err error) {
		w.version, err = c.files.Storage.Stat(ctx, c.user, w.place)
		return err
	}); err != nil {
		return nil, err
	}
	if err := c.room(ctx, all); err != nil {
		return nil, err
	}
	if err := c.each(ctx, all, c.bring); err != nil {
		return nil, err
	}
	var got []fetched
	for _, w := range all {
		for _, i := range w.inputs {
			got = append(got, fetched{i, w.path})
		}
	}
	return got, nil
}

// places reads what the inputs name.
func (c *Call) places(inputs []input) ([]*want, error) {
	var all []*want
	known := map[Place]*want{}
	for _, in := range inputs {
		pointer := fmt.Sprintf("/inputs/%d/data", in.index)
		var s string
		if in.data == nil || in.data[0] != '"' || json.Unmarshal(in.data, &s) != nil {
			return nil, refusal("invalid-request", http.StatusBadRequest, pointer,
				"data of a FILE input must be the place of a file: <group>/<file> or <box>/<group>/<file>")
		}
		p, err := c.files.Boxes.Parse(s, c.files.Namespace)
		switch {
		case errors.Is(err, errNoBox):
			return nil, refusal("file-not-found", http.StatusNotFound, pointer, err.Error())
		case err != nil:
			return nil, refusal("invalid-request", http.StatusBadRequest, pointer,
				"the place of a file is not valid: "+err.Error())
		}
		w := known[p]
		if w == nil {
			w = &want{place: p}
			known[p] = w
			all = append(all, w)
		}
		w.inputs = append(w.inputs, in.index)
	}
	return all, nil
}

// each does something for all files, some at a time, and makes a problem of the first error.
func (c *Call) each(ctx context.Context, all []*want, do func(context.Context, *want) error) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, w := range all {
		g.Go(func() error {
			if err := do(ctx, w); err != nil {
				return c.explain(ctx, w, err)
			}
			return nil
		})
	}
	return g.Wait()
}

// room reserves the disk's space and makes the folder, which the function's container can read
// whatever its user is.
func (c *Call) room(ctx context.Context, all []*want) error {
	var size int64
	for _, w := range all {
		if size += w.version.Size; w.version.Size > MaxSize || size > MaxSize {
			return refusal("file-too-large", http.StatusRequestEntityTooLarge,
				fmt.Sprintf("/inputs/%d/data", w.inputs[0]), fmt.Sprintf("the files of a call may have %d bytes",
					MaxSize))
		}
	}
	if !c.files.reserve(size) {
		return refusal("overloaded", http.StatusServiceUnavailable, "",
			"the files of other calls take the space there is")
	}
	c.size = size
	c.folder = filepath.Join(c.files.Dir, rand.Text())
	for i, w := range all {
		folder := filepath.Join(c.folder, strconv.Itoa(i))
		w.path = filepath.Join(folder, w.place.name())
		// whatever the umask is
		if err := errors.Join(os.MkdirAll(folder, 0o755), os.Chmod(c.folder, 0o755),
			os.Chmod(folder, 0o755)); err != nil {
			return c.explain(ctx, w, err)
		}
	}
	return nil
}

// bring fetches a file; one that is replaced meanwhile is looked at once more.
func (c *Call) bring(ctx context.Context, w *want) error {
	err := c.files.Storage.Fetch(ctx, c.user, w.place, w.version, w.path)
	if !errors.Is(err, ErrChanged) {
		return err
	}
	again, err := c.files.Storage.Stat(ctx, c.user, w.place)
	if err != nil {
		return err
	}
	if again.Size > w.version.Size { // more than is reserved
		return ErrChanged
	}
	return c.files.Storage.Fetch(ctx, c.user, w.place, again, w.path)
}

// explain makes a problem of what went wrong with an input. It never says whether others have a
// file of that name.
func (c *Call) explain(ctx context.Context, w *want, err error) error {
	pointer := fmt.Sprintf("/inputs/%d/data", w.inputs[0])
	var disk *fs.PathError
	switch {
	case errors.Is(err, ErrMissing):
		return refusal("file-not-found", http.StatusNotFound, pointer, "you have no such file in the box "+w.place.Box)
	case errors.Is(err, ErrChanged):
		return refusal(problem.Unavailable, http.StatusServiceUnavailable, pointer,
			"the file was replaced while it was fetched")
	// The call's own time: a connection that is not made in its few seconds is a DeadlineExceeded too.
	case errors.Is(ctx.Err(), context.DeadlineExceeded):
		return refusal(problem.Timeout, http.StatusGatewayTimeout, pointer,
			"the file was not fetched within "+c.files.Timeout.String())
	case errors.Is(err, context.Canceled):
		return err
	case errors.As(err, &disk):
		c.files.Log.Error("fetching a file", "box", w.place.Box, "full", diskFull(err), "error", err)
		return refusal("overloaded", http.StatusServiceUnavailable, pointer, "the disk does not take the file")
	default:
		c.files.Log.Error("fetching a file", "box", w.place.Box, "error", err)
		return refusal("storage-unavailable", http.StatusServiceUnavailable, pointer,
			"the storage of the box "+w.place.Box+" does not answer")
	}
}

func refusal(slug string, status int, pointer, detail string) problem.Problem {
	p := problem.New(slug, status, "", detail)
	if pointer != "" {
		p.Errors = []problem.Fault{{Pointer: pointer, Detail: detail}}
	}
	return p
}

// anonymous refuses files to a caller who is not known.
func anonymous(pointer string) problem.Problem {
	return refusal("file-needs-user", http.StatusForbidden, pointer,
		"FILE needs to know who calls, for files belong to users, and this call is anonymous: call through an "+
			"APIComponent of the component that has auth (restfulApi.auth.basic or oidc), and log in")
}
