package files

import (
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"
	"unicode"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// Whatever the path and whoever calls: the key lies among the caller's own files of the box that
// the path names, each segment was decoded once, and a path that is refused reaches no storage.
func FuzzPath(f *testing.F) {
	for _, s := range []string{
		"data/g/f", "data/g/", "data/g", "data", "data/", "", "/", "data//g", "data/../weights/f",
		"data/g/%2e%2e/%2e%2e/bob/f", "data/g/..%2f..%2fbob", "data/g/a%5C..%5Cb", "data/%00/x", "data/g/%ff",
		"data/g/%c0%ae",
		"data/g/%252e%252e/x", "data/g/a%0d%0aX: y", "data/g/;x=1", "weights%2F..%2Fdata/g/f", "data:/m/x",
		"data/users/bob/file_groups/g/f", "data/g/" + strings.Repeat("a", 300), "data/g/${aws:username}/*", "data/g/ж",
		"da%74a/g/f", "data/g/%7f", "%", "data/g/+",
	} {
		f.Add("ann", s)
		f.Add("../bob", s)
	}
	f.Fuzz(func(t *testing.T, user, escaped string) {
		if user == "" {
			return // the gateway calls nobody so
		}
		c := &call{user: user, box: &Box{Box: &s3.Box{}}}
		box, err := c.parse(escaped)
		opened := false
		h := Handler{Boxes: []string{"data"}, Open: func(name string) (*Box, error) {
			if opened = true; name != "data" {
				t.Errorf("%q opens %q", escaped, name)
			}
			return nil, databox.ErrNoSession
		}}
		rec := httptest.NewRecorder()
		h.Serve(rec, httptest.NewRequest(http.MethodGet, "/", nil), Caller{User: user}, escaped)
		if escaped == "" { // the boxes' names
			if opened || rec.Code != http.StatusOK {
				t.Errorf("no path: %d, opened %v", rec.Code, opened)
			}
			return
		}
		if good := err == nil && box == "data"; good != opened || !opened && (rec.Code < 400 || rec.Code >= 500) ||
			rec.Body.Len() > 4096+6*len(escaped) {
			t.Errorf("%q: %d, opened %v, %d bytes", escaped, rec.Code, opened, rec.Body.Len())
		}
		if err != nil {
			return
		}
		key, prefix := c.key(), databox.UserPrefix(user)
		below := strings.TrimPrefix(key, prefix)
		if !strings.HasPrefix(key, prefix) || path.Clean(key) != strings.TrimSuffix(key, "/") ||
			strings.ContainsFunc(key, unicode.IsControl) && !strings.ContainsFunc(key,
				func(r rune) bool { return r > 0x7f }) {
			t.Errorf("%q of %q is %q", escaped, user, key)
		}
		if below == "" {
			return
		}
		if owner, p, ok := databox.SplitKey(key); !ok || owner != user || p != below {
			t.Errorf("%q of %q is %q's %q", escaped, user, owner, p)
		}
		var segments []string
		for s := range strings.SplitSeq(below, "/") {
			segments = append(segments, url.PathEscape(s))
		}
		again := &call{user: user}
		if b, err := again.parse(url.PathEscape(box) + "/" + strings.Join(segments, "/")); err != nil || b != box ||
			again.path != c.path {
			t.Errorf("%q: %q of %q comes back as %q of %q, %v", escaped, c.path, box, again.path, b, err)
		}
	})
}
