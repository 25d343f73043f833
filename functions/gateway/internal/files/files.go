// Package files is a module's file API: the files of a box's users, each seen only by the user
// whose they are. No byte of a file passes through it: it answers with presigned S3 links.
//
//	PUT    /<box>/<group…>/<file>   a link to write a file; 201, or 400 when there is one (unless
//	                                ?overwrite=true: 200); ?size=N for a file of N bytes
//	GET    /<box>/<group…>/<file>   what is known of a file, with links; ?redirect=true leads to its bytes
//	GET    /<box>/<group…>/         the files and groups in a group; ?limit, ?continue
//	HEAD                            as GET, without its body: whether there is such a file
//	DELETE /<box>/<group…>/<file>   and of a whole group
//	GET    /                        the boxes
//	PUT    /<box>:/<path>?size=N    a link to write a file into the developer's area, for developers
//	                                whom the box names
//
// A dataset is the developer's area of a box of another module: it can be read, its paths are keys,
// and its users' files are not in it.
//
// What a path means is a matter of its form: one segment after the box is a group, several are a
// group when they end in "/", else a file.
package files

import (
	"errors"
	"fmt"
	"mime"
	"net/http"
	"net/url"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/plainjson"
	"github.com/unip-knative/unip/functions/internal/problem"
)

const (
	// linkLife is how long a link works unless the caller asks otherwise; maxLinkLife is S3's own
	// limit.
	linkLife    = time.Hour
	maxLinkLife = 7 * 24 * time.Hour
	// maxList is S3's own limit of one listing.
	maxList = 1000
	// maxDelete bounds what one call deletes.
	maxDelete = 10_000
	// maxSize is S3's own limit of an object.
	maxSize = 5 << 40
)

// noUploadLinks is the problem of an installation whose S3 server lets through what strangers try with
// upload links.
const (
	noUploadLinks       = "no-upload-links"
	noUploadLinksDetail = "this installation's storage is not safe with upload links, so none are given; the operator " +
		"sees why by unip doctor"
)

// Handler serves the API.
type Handler struct {
	// Boxes are the names of the module's boxes.
	Boxes []string
	// Links bounds the upload links of unknown size; nil does not.
	Links *Links
	// Dataset reports boxes that are datasets.
	Dataset func(box string) bool
	// Open opens a box by name.
	Open func(box string) (*Box, error)
	// Developers are by box the whole identities of who may write into its developer's area, by a link
	// that Puts gets. Puts may be nil where there are none.
	Developers map[string][]string
	Puts       Puts
}

// Caller is who calls.
type Caller struct {
	// User is whose files are meant, Identity the same with what has proved it; "" is nobody's.
	User, Identity string
}

// call is one call, its path understood.
type call struct {
	w    http.ResponseWriter
	r    *http.Request
	box  *Box
	name string // of the box
	user string
	// links are the Handler's.
	links *Links
	path  string // below the user's files; ends in "/" for a group, "" for the box itself
}

// Serve answers a call; escaped is the path after the API's own, as it came: "<box>/…".
func (h *Handler) Serve(w http.ResponseWriter, r *http.Request, by Caller, escaped string) {
	c := &call{w: w, r: r, user: by.User, links: h.Links}
	if reads := r.Method == http.MethodGet || r.Method == http.MethodHead; escaped == "" && reads {
		c.json(http.StatusOK, map[string]any{"boxes": h.boxes()})
		return
	}
	name, err := c.parse(escaped)
	if err != nil {
		c.refuse(problem.BadRequest, http.StatusBadRequest, "", err.Error())
		return
	}
	if box, developers := strings.CutSuffix(name, ":"); developers {
		h.putByDeveloper(c, by.Identity, box, strings.HasSuffix(escaped, "/"))
		return
	}
	if !slices.Contains(h.Boxes, name) {
		c.refuse(problem.NotFound, http.StatusNotFound, "No such box", fmt.Sprintf("there is no box %q", name))
		return
	}
	if c.box, err = h.Open(name); err != nil {
		c.refuseStorage(err)
		return
	}
	reads := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch group := c.path == "" || strings.HasSuffix(c.path, "/"); {
	case c.box.Dataset && strings.HasPrefix(c.key(), databox.UsersArea): // not even whether there are any
		c.refuse(problem.NotFound, http.StatusNotFound, "No such file", "there is no such file")
	case c.box.Dataset && !reads:
		c.refuse("box-is-read-only", http.StatusForbidden, "The box can only be read",
			"it is a dataset of another module")
	case group && reads:
		c.list()
	case group && r.Method == http.MethodDelete && c.path != "":
		c.deleteGroup()
	case group:
		c.refuse(problem.BadRequest, http.StatusBadRequest, "Not a file",
			"the path is a group's: a file is /<box>/<group>/<file>, in a group and without a / at its end")
	case r.Method == http.MethodPut:
		c.put()
	case reads:
		c.get()
	default:
		c.deleteFile()
	}
}

// boxView is a box as the API shows it.
type boxView struct {
	Name     string `json:"name"`
	ReadOnly bool   `json:"read_only"`
}

// boxes are those of the module, by their names.
func (h *Handler) boxes() []boxView {
	all := []boxView{}
	for _, name := range slices.Sorted(slices.Values(h.Boxes)) {
		all = append(all, boxView{Name: name, ReadOnly: h.Dataset != nil && h.Dataset(name)})
	}
	return all
}

// parse takes the path apart. Each segment is decoded once.
func (c *call) parse(escaped string) (box string, err error) {
	var parts []string
	for s := range strings.SplitSeq(escaped, "/") {
		p, err := url.PathUnescape(s)
		if err != nil || strings.Contains(p, "/") {
			return "", errors.New("the path is not encoded as a path of a URL is")
		}
		parts = append(parts, p)
	}
	box, rest := parts[0], parts[1:]
	if len(rest) == 0 || (len(rest) == 1 && rest[0] == "") {
		return box, nil
	}
	p := strings.Join(rest, "/")
	if len(rest) == 1 { // one segment is a group, whatever it looks like
		p += "/"
	}
	if err := databox.CheckObjectPath(strings.TrimSuffix(p, "/")); err != nil {
		return "", err
	}
	c.path, c.name = p, box
	return box, nil
}

func (c *call) key() string {
	return c.box.Prefix + databox.Place{Developer: c.box.Dataset, Path: c.path}.Key(c.user)
}

func (c *call) refuse(slug string, status int, title, detail string) {
	problem.Answer(c.w, c.r, slug, status, title, detail)
}

// refuseStorage answers for an error of S3. Its text is for the log: it may name keys and buckets.
func (c *call) refuseStorage(err error) {
	if errors.Is(err, databox.ErrNoSession) {
		c.w.Header().Set("Retry-After", "5")
		c.refuse(problem.Unavailable, http.StatusServiceUnavailable, "The box is not ready",
			"its credentials are not there yet")
		return
	}
	if withheld, ok := errors.AsType[*databox.WithheldError](err); ok {
		logStorage(withheld) // its text is for operators
		c.refuse(noUploadLinks, http.StatusNotImplemented, "No upload links", noUploadLinksDetail)
		return
	}
	switch answer := s3.AnswerOf(err); {
	case answer == s3.BadRequest: // of names that it has other rules for than S3, as MinIO for "a\\..\\b"
		c.refuse(problem.BadRequest, http.StatusBadRequest, "", "the storage takes no such name")
	case answer == s3.NotThere:
		c.refuse(problem.NotFound, http.StatusNotFound, "No such file", "there is no such file")
	case s3.IsRefused(err):
		c.refuse("box-is-read-only", http.StatusForbidden, "The box can only be read", "the box does not take this")
	default:
		logStorage(err)
		c.w.Header().Set("Retry-After", "5")
		c.refuse(problem.Unavailable, http.StatusServiceUnavailable, "The storage does not answer", "try again")
	}
}

func (c *call) json(status int, v any) {
	b, err := plainjson.Marshal(v)
	if err != nil { // strings, numbers and times always encode
		panic(err)
	}
	c.w.Header().Set("Content-Type", "application/json")
	c.w.Header().Set("Cache-Control", "no-store") // links are as good as a password
	c.w.Header().Set("X-Content-Type-Options", "nosniff")
	c.w.WriteHeader(status)
	_, _ = c.w.Write(append(b, '\n'))
}

// life is how long links shall work: what the caller asks for, but not beyond the sessions that
// sign them.
func (c *call) life(signers ...signer) (time.Duration, error) {
	d := linkLife
	if s := c.r.URL.Query().Get("expires"); s != "" {
		n, err := strconv.Atoi(s)
		if d = time.Duration(n) * time.Second; err != nil || d < time.Second || d > maxLinkLife {
			return 0, badValue{fmt.Errorf("expires: %q is not a number of seconds from 1 to %d", s,
				int(maxLinkLife.Seconds()))}
		}
	}
	for _, s := range signers {
		var err error
		if d, err = s.life(d); err != nil {
			return 0, err
		}
	}
	return d, nil
}

// badValue is a mistake in the query.
type badValue struct{ error }

// refuseError answers for a mistake of the caller's, or for the storage.
func (c *call) refuseError(err error) {
	if bad, ok := errors.AsType[badValue](err); ok {
		c.refuse(problem.BadRequest, http.StatusBadRequest, "", bad.Error())
		return
	}
	c.refuseStorage(err)
}

// ends is when a link ends that is signed now.
func ends(life time.Duration) time.Time { return time.Now().Add(life).UTC().Truncate(time.Second) }

// size is what the caller says that the file will have: -1 if it does not say.
func (c *call) size() (int64, error) {
	s := c.r.URL.Query().Get("size")
	if s == "" {
		return -1, nil
	}
	n, err := strconv.ParseInt(s, 10, 64)
	if err != nil || n < 0 || n > maxSize {
		return 0, badValue{fmt.Errorf("size: %q is not a number of bytes from 0 to %d", s, int64(maxSize))}
	}
	return n, nil
}

func (c *call) put() {
	size, err := c.size()
	if err != nil {
		c.refuseError(err)
		return
	}
	life, err := c.life(c.box.puts)
	if err != nil {
		c.refuseError(err)
		return
	}
	status := http.StatusCreated
	old, err := c.box.StatObject(c.r.Context(), c.box.Bucket, c.key(), minio.StatObjectOptions{})
	switch {
	case err == nil && c.r.URL.Query().Get("overwrite") != "true":
		c.refuse("file-exists", http.StatusBadRequest, "The file exists",
			"GET gives a link to write it again; or PUT with ?overwrite=true")
		return
	case err == nil:
		status = http.StatusOK
	case !s3.IsMissing(err):
		c.refuseStorage(err)
		return
	}
	if !c.room(size, old.Size) {
		return
	}
	expires := ends(life)
	link, err := c.putLink(life, size)
	if err != nil {
		c.refuseStorage(err)
		return
	}
	c.json(status, map[string]any{"presigned_put_url": link, "expires_at": expires})
}

// room reports whether a file of size bytes (-1 when it is not known) fits into the box in place of
// one of old bytes, and answers when it does not.
func (c *call) room(size, old int64) bool {
	err := c.box.Fit(c.r.Context(), max(size-old, 0))
	if full, ok := errors.AsType[*databox.FullError](err); ok {
		if old > 0 && size >= 0 && size <= old { // the box gets no fuller
			return true
		}
		c.refuse("box-full", http.StatusInsufficientStorage, "The box is full", full.Error())
		return false
	}
	if err != nil {
		c.refuseStorage(err)
		return false
	}
	if grows, capacity := max(size-old, 0), c.box.Capacity(); grows > 0 && capacity > 0 &&
		!c.links.TakeSize(c.user, c.name, grows, capacity, time.Now()) {
		c.w.Header().Set("Retry-After", "60")
		c.refuse("too-many-links", http.StatusTooManyRequests, "Too many upload links", fmt.Sprintf(
			"a user gets links for at most %d times a box's capacity within an hour", mostGrowth))
		return false
	}
	if size < 0 && !c.links.Take(c.user, c.name, time.Now()) {
		c.w.Header().Set("Retry-After", "60")
		c.refuse("too-many-links", http.StatusTooManyRequests, "Too many upload links",
			"a user gets only so many links for files of unknown size within an hour; say the file's size with ?size=")
		return false
	}
	return true
}

// putLink is a link that writes the file. With a size it takes a body of that many bytes and no
// other.
func (c *call) putLink(life time.Duration, size int64) (string, error) {
	signed := http.Header{}
	if size >= 0 {
		signed.Set("Content-Length", strconv.FormatInt(size, 10))
	}
	u, err := c.box.puts.PresignHeader(c.r.Context(), http.MethodPut, c.box.Bucket, c.key(), life, nil, signed)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// getLink is a link that reads the file. What a browser might run it saves instead, unless it is
// known to be harmless: whoever uploads a file chooses its type, and the storage may have one name
// with other things of the browser's user.
func (c *call) getLink(life time.Duration, contentType string) (string, error) {
	q := url.Values{}
	if !harmless(contentType) {
		q.Set("response-content-disposition", "attachment")
	}
	method := http.MethodGet
	if c.r.Method == http.MethodHead { // who is led to the storage comes there with the same method
		method = http.MethodHead
	}
	u, err := c.box.gets.Presign(c.r.Context(), method, c.box.Bucket, c.key(), life, q)
	if err != nil {
		return "", err
	}
	return u.String(), nil
}

// harmless reports types that a browser shows without running anything of them.
func harmless(contentType string) bool {
	t, _, err := mime.ParseMediaType(contentType)
	if err != nil {
		return contentType == ""
	}
	kind, _, _ := strings.Cut(t, "/")
	return kind == "audio" || kind == "video" || slices.Contains([]string{
		"application/octet-stream", "application/json", "application/pdf", "text/plain", "text/csv",
		"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/tiff",
	}, t)
}

// file is one file in an answer.
type file struct {
	Get          string     `json:"presigned_get_url,omitempty"`
	Put          string     `json:"presigned_put_url,omitempty"`
	Name         string     `json:"name"`
	Size         int64      `json:"size"`
	ETag         string     `json:"etag"`
	ContentType  string     `json:"content_type,omitempty"`
	LastModified time.Time  `json:"last_modified"`
	Expires      *time.Time `json:"expires_at,omitempty"`
}

func (c *call) get() {
	signers := []signer{c.box.gets}
	writes := !c.box.Dataset && !c.box.puts.withheld()
	if writes {
		signers = append(signers, c.box.puts)
	}
	life, err := c.life(signers...)
	if err != nil {
		c.refuseError(err)
		return
	}
	o, err := c.box.StatObject(c.r.Context(), c.box.Bucket, c.key(), minio.StatObjectOptions{})
	if err != nil {
		c.refuseStorage(err)
		return
	}
	expires := ends(life)
	get, err := c.getLink(life, o.ContentType)
	if err != nil {
		c.refuseStorage(err)
		return
	}
	if c.r.URL.Query().Get("redirect") == "true" {
		c.w.Header().Set("Cache-Control", "no-store")
		http.Redirect(c.w, c.r, get, http.StatusTemporaryRedirect)
		return
	}
	f := file{
		Get: get, Name: path.Base(c.path), Size: o.Size, ETag: o.ETag, ContentType: o.ContentType,
		LastModified: o.LastModified.UTC(), Expires: &expires,
	}
	// A full box, or a user who has all links there may be, has none to write here. They are
	// counted apart from those of PUT: who reads many files does not lose the links to write
	// others.
	if c.r.Method == http.MethodGet && writes && c.box.Fit(c.r.Context(), 0) == nil &&
		c.links.Take(c.user, c.name+"/"+http.MethodGet, time.Now()) {
		if f.Put, err = c.putLink(life, -1); err != nil {
			c.refuseStorage(err)
			return
		}
	}
	c.json(http.StatusOK, f)
}

func (c *call) list() {
	limit := maxList
	if s := c.r.URL.Query().Get("limit"); s != "" {
		n, err := strconv.Atoi(s)
		if err != nil || n < 1 || n > maxList {
			c.refuse(problem.BadRequest, http.StatusBadRequest, "",
				fmt.Sprintf("limit: %q is not a number from 1 to %d", s, maxList))
			return
		}
		limit = n
	}
	core := minio.Core{Client: c.box.Client}
	from := c.r.URL.Query().Get("continue")
	page, err := core.ListObjectsV2(c.box.Bucket, c.key(), "", from, "/", limit)
	// MinIO calls a value that it cannot read not implemented.
	if r := minio.ToErrorResponse(err); from != "" &&
		(r.StatusCode == http.StatusBadRequest || r.StatusCode == http.StatusNotImplemented) {
		c.refuse(problem.BadRequest, http.StatusBadRequest, "", "continue: not a value that a listing gave")
		return
	}
	if err != nil {
		c.refuseStorage(err)
		return
	}
	answer := struct {
		Files  []file   `json:"files"`
		Groups []string `json:"file_groups"`
		Next   string   `json:"next,omitempty"`
	}{[]file{}, []string{}, page.NextContinuationToken}
	for _, o := range page.Contents {
		if o.Key == c.key() {
			continue // a placeholder that some tools write for a folder
		}
		answer.Files = append(answer.Files,
			file{Name: path.Base(o.Key), Size: o.Size, ETag: strings.Trim(o.ETag, `"`),
				LastModified: o.LastModified.UTC()})
	}
	for _, p := range page.CommonPrefixes {
		if c.box.Dataset && p.Prefix == databox.UsersArea {
			continue
		}
		answer.Groups = append(answer.Groups, path.Base(p.Prefix))
	}
	c.json(http.StatusOK, answer)
}

func (c *call) deleteFile() {
	if _, err := c.box.StatObject(c.r.Context(), c.box.Bucket, c.key(), minio.StatObjectOptions{}); err != nil {
		c.refuseStorage(err)
		return
	}
	if err := c.box.RemoveObject(c.r.Context(), c.box.Bucket, c.key(), minio.RemoveObjectOptions{}); err != nil {
		c.refuseStorage(err)
		return
	}
	c.w.WriteHeader(http.StatusNoContent)
}

// deleteGroup deletes all files of a group, at most maxDelete in one call.
func (c *call) deleteGroup() {
	n := 0
	for o := range c.box.ListObjectsIter(c.r.Context(), c.box.Bucket,
		minio.ListObjectsOptions{Prefix: c.key(), Recursive: true}) {
		if n == maxDelete {
			c.json(http.StatusOK, map[string]any{"deleted": n, "more": true})
			return
		}
		err := o.Err
		if err == nil {
			err = c.box.RemoveObject(c.r.Context(), c.box.Bucket, o.Key, minio.RemoveObjectOptions{})
		}
		if err != nil {
			c.refuseStorage(err)
			return
		}
		n++
	}
	if n == 0 {
		c.refuse(problem.NotFound, http.StatusNotFound, "No such group", "the group has no files")
		return
	}
	c.w.WriteHeader(http.StatusNoContent)
}
