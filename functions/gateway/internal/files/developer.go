package files

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/databox/put"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// Puts asks those who make sessions for a link that writes one object into the developer's area of a
// box, for a developer whom the gateway has proved. A refusal is a *put.RefusedError.
type Puts func(ctx context.Context, box, developer string, asked put.Asked) (link string, expires time.Time, err error)

// putByDeveloper answers a call for the developer's area of a box. The path is c's; that of one segment
// has got a "/" to its end, as groups have.
func (h *Handler) putByDeveloper(c *call, identity, box string, folder bool) {
	key := c.path
	if !folder {
		key = strings.TrimSuffix(key, "/")
	}
	switch {
	case !slices.Contains(h.Boxes, box):
		c.refuse(problem.NotFound, http.StatusNotFound, "No such box", fmt.Sprintf("there is no box %q", box))
		return
	case c.r.Method != http.MethodPut:
		c.w.Header().Set("Allow", http.MethodPut)
		c.refuse(problem.MethodNotAllowed, http.StatusMethodNotAllowed, "",
			"the developer's area of a box, <box>:/<path>, has only PUT; <box>/<group>/<file> is a file of your own")
		return
	case h.Dataset != nil && h.Dataset(box):
		c.refuse("box-is-read-only", http.StatusForbidden, "The box can only be read",
			"it is a dataset of another module")
		return
	case identity == "":
		c.refuse(problem.NotAllowed, http.StatusForbidden, "This caller may not call",
			"whoever writes into the developer's area of a box is one of its developers, and logs in by an API with auth")
		return
	case h.Puts == nil || !slices.Contains(h.Developers[box], identity):
		c.refuse(problem.NotAllowed, http.StatusForbidden, "This caller may not call",
			fmt.Sprintf("the annotation developers of the box %s does not name %s", box, identity))
		return
	}
	size, err := c.size()
	if err == nil && size < 0 {
		err = badValue{errors.New("size: the link is for a file of known size: say ?size=N")}
	}
	if err != nil {
		c.refuseError(err)
		return
	}
	asked, err := put.Ask(key, size, c.r.URL.Query().Get("overwrite") == "true")
	if err != nil {
		c.refuse(problem.BadRequest, http.StatusBadRequest, "", err.Error())
		return
	}
	link, expires, err := h.Puts(c.r.Context(), box, identity, asked)
	if err != nil {
		c.refusePut(err)
		return
	}
	c.json(http.StatusOK, map[string]any{"presigned_put_url": link, "expires_at": expires.UTC()})
}

// refusePut answers for a request that got no link.
func (c *call) refusePut(err error) {
	no, ok := errors.AsType[*put.RefusedError](err)
	if !ok {
		slog.Error("a link was not answered", "error", err)
		c.w.Header().Set("Retry-After", "5")
		c.refuse(problem.Unavailable, http.StatusServiceUnavailable, "The box is not ready", "nobody gives a link now")
		return
	}
	switch no.Reason {
	case put.Exists:
		c.refuse("file-exists", http.StatusBadRequest, "The file exists",
			no.Message+"; PUT with ?overwrite=true replaces it")
	case put.BoxFull:
		c.refuse("box-full", http.StatusInsufficientStorage, "The box is full", no.Message)
	case put.LinksClosed:
		logStorage(no)
		c.refuse(noUploadLinks, http.StatusNotImplemented, "No upload links", noUploadLinksDetail)
	case put.NotNamed:
		c.refuse(problem.NotAllowed, http.StatusForbidden, "This caller may not call", no.Message)
	case put.ReadOnly:
		c.refuse("box-is-read-only", http.StatusForbidden, "The box can only be read", no.Message)
	case put.Invalid:
		c.refuse(problem.BadRequest, http.StatusBadRequest, "", no.Message)
	default: // its text is for the log: it may name buckets
		logStorage(no)
		c.w.Header().Set("Retry-After", "5")
		c.refuse(problem.Unavailable, http.StatusServiceUnavailable, "The box is not ready", "try again")
	}
}
