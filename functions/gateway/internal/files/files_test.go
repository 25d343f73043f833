//go:build integration

package files_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/gateway/internal/files"
)

type world struct {
	*files.Handler
	s3     *miniotest.Server
	bucket string
	usage  databox.UsageRef // of userdata
	dir    string           // of the sessions
}

// newWorld is boxes with sessions as the controller makes them: userdata of this module, herbarium a
// dataset that is the same bucket, pressed one that is a folder of it.
func newWorld(t *testing.T) world {
	t.Helper()
	w := world{s3: miniotest.Start(t)}
	w.bucket = w.s3.Bucket(t)
	w.usage = databox.UsageOf(w.s3.Bucket(t), "pu-ann", "userdata")
	dir := t.TempDir()
	w.dir = dir
	for box, uses := range map[string][]databox.Access{
		"userdata": {databox.Files, databox.GetLinks, databox.PutLinks}, "herbarium": {databox.Files, databox.GetLinks},
	} {
		w.session(t, box, "", uses...)
	}
	w.session(t, "pressed", "leaves/pressed/", databox.Files, databox.GetLinks)
	boxes := &files.Boxes{Dir: dir, Dataset: func(box string) bool { return box != "userdata" }}
	w.Handler = &files.Handler{Boxes: []string{"herbarium", "pressed", "userdata", "late"}, Open: boxes.Open}
	return w
}

// session writes sessions of a box, whose keys begin with prefix.
func (w world) session(t *testing.T, box, prefix string, uses ...databox.Access) {
	t.Helper()
	if err := os.MkdirAll(filepath.Join(w.dir, box), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, use := range uses {
		g, err := databox.UseOf(w.bucket, box != "userdata", use, "")
		if err != nil {
			t.Fatal(err)
		}
		usage := databox.Grant{Bucket: w.usage.Bucket, Access: databox.Read, Keys: []string{w.usage.Key}}
		policy, err := databox.Policy(g.Below(prefix), usage)
		if err != nil {
			t.Fatal(err)
		}
		keys := s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}
		s, err := s3.AssumeRole(t.Context(), http.DefaultClient, w.s3.Endpoint, "us-east-1", keys, policy, 2*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		s.Endpoint, s.Region, s.Bucket, s.Prefix = w.s3.Endpoint, "us-east-1", w.bucket, prefix
		if box == "userdata" && use == databox.Files {
			s.Usage = &w.usage
		}
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.dir, box, string(use)+".json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// call calls the API as a user; path may have a query.
func (w world) call(t *testing.T, method, user, path string) (int, map[string]any, http.Header) {
	t.Helper()
	escaped, query, _ := strings.Cut(path, "?")
	r := httptest.NewRequest(method, "/", nil)
	r.URL.RawQuery = query
	rec := httptest.NewRecorder()
	w.Serve(rec, r, user, escaped)
	var body map[string]any
	if rec.Body.Len() > 0 && rec.Code != http.StatusTemporaryRedirect {
		if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
			t.Fatalf("%s %s: %v: %s", method, path, err, rec.Body)
		}
	}
	return rec.Code, body, rec.Header()
}

func send(t *testing.T, method, link, content string) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, link, strings.NewReader(content))
	if err != nil {
		t.Fatal(err)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, string(b)
}

func (w world) put(t *testing.T, user, path, content string) {
	t.Helper()
	code, body, _ := w.call(t, http.MethodPut, user, path)
	if code != http.StatusCreated {
		t.Fatalf("PUT %s: %d %v", path, code, body)
	}
	if code, said := send(t, http.MethodPut, body["presigned_put_url"].(string), content); code != http.StatusOK {
		t.Fatalf("writing to the link: %d %s", code, said)
	}
}

func TestTheCircleOfAFile(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, path := range []string{"userdata/data/a.csv", "userdata/data/deep/%D0%A4%D0%B0%D0%B9%D0%BB%201%2B2.csv",
		"userdata/data/$(HOME)%25.txt"} {
		w.put(t, "ann", path, "content")
		code, body, _ := w.call(t, http.MethodGet, "ann", path)
		if code != http.StatusOK || body["size"] != 7.0 || body["expires_at"] == nil ||
			body["presigned_put_url"] == nil {
			t.Fatalf("GET %s: %d %v", path, code, body)
		}
		if code, content := send(t, http.MethodGet, body["presigned_get_url"].(string), ""); code != http.StatusOK ||
			content != "content" {
			t.Errorf("%s: %d %q", path, code, content)
		}
		if code, body, _ := w.call(t, http.MethodPut, "ann", path); code != http.StatusBadRequest ||
			!strings.HasSuffix(body["type"].(string), "/file-exists") {
			t.Errorf("PUT of a file that exists: %d %v", code, body)
		}
		if code, _, _ := w.call(t, http.MethodPut, "ann", path+"?overwrite=true"); code != http.StatusOK {
			t.Errorf("PUT with overwrite: %d", code)
		}
		if code, _, h := w.call(t, http.MethodGet, "ann",
			path+"?redirect=true"); code != http.StatusTemporaryRedirect ||
			!strings.HasPrefix(h.Get("Location"), w.s3.Endpoint) {
			t.Errorf("redirect: %d %v", code, h)
		}
		code, _, h := w.call(t, http.MethodHead, "ann", path)
		if code != http.StatusOK || h.Get("Content-Type") != "application/json" {
			t.Errorf("HEAD: %d %v", code, h)
		}
		if code, _, _ := w.call(t, http.MethodHead, "boris", path); code != http.StatusNotFound {
			t.Errorf("HEAD of another user: %d", code)
		}
		_, _, h = w.call(t, http.MethodHead, "ann", path+"?redirect=true")
		if code, _ := send(t, http.MethodHead, h.Get("Location"), ""); code != http.StatusOK {
			t.Errorf("HEAD, led to the storage: %d", code)
		}
		// Another user has nothing there.
		if code, _, _ := w.call(t, http.MethodGet, "boris", path); code != http.StatusNotFound {
			t.Errorf("another user: %d", code)
		}
	}
	code, body, _ := w.call(t, http.MethodGet, "ann", "userdata/data/")
	if code != http.StatusOK || len(body["files"].([]any)) != 2 ||
		!slices.Equal(body["file_groups"].([]any), []any{"deep"}) {
		t.Errorf("listing: %d %v", code, body)
	}
	if code, _, _ := w.call(t, http.MethodHead, "ann", "userdata/data/"); code != http.StatusOK {
		t.Errorf("HEAD of a group: %d", code)
	}
	if code, body, _ := w.call(t, http.MethodGet, "ann", "userdata"); code != http.StatusOK ||
		!slices.Equal(body["file_groups"].([]any), []any{"data"}) {
		t.Errorf("the box: %d %v", code, body)
	}
	if code, _, _ := w.call(t, http.MethodDelete, "ann", "userdata/data/a.csv"); code != http.StatusNoContent {
		t.Errorf("DELETE: %d", code)
	}
	if code, _, _ := w.call(t, http.MethodDelete, "ann", "userdata/data/a.csv"); code != http.StatusNotFound {
		t.Errorf("DELETE again: %d", code)
	}
	if code, _, _ := w.call(t, http.MethodDelete, "ann", "userdata/data/"); code != http.StatusNoContent {
		t.Errorf("DELETE of a group: %d", code)
	}
	if code, body, _ := w.call(t, http.MethodGet, "ann", "userdata/data/"); code != http.StatusOK ||
		len(body["files"].([]any)) != 0 {
		t.Errorf("after that: %d %v", code, body)
	}
}

// A link that somebody copies out of what a terminal shows of an answer works.
func TestALinkIsCopiedAsItStands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := httptest.NewRecorder()
	w.Serve(rec, httptest.NewRequest(http.MethodPut, "/", nil), "ann", "userdata/incoming/t.csv")
	_, link, _ := strings.Cut(rec.Body.String(), `"presigned_put_url":"`)
	link, _, _ = strings.Cut(link, `"`)
	if code, said := send(t, http.MethodPut, link, "a,b"); code != http.StatusOK {
		t.Fatalf("%s: %d %s", link, code, said)
	}
	rec = httptest.NewRecorder()
	w.Serve(rec, httptest.NewRequest(http.MethodGet, "/", nil), "ann", "userdata/incoming/t.csv")
	_, link, _ = strings.Cut(rec.Body.String(), `"presigned_get_url":"`)
	link, _, _ = strings.Cut(link, `"`)
	if code, said := send(t, http.MethodGet, link, ""); code != http.StatusOK || said != "a,b" {
		t.Errorf("%s: %d %s", link, code, said)
	}
}

func TestPages(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, name := range []string{"a", "b", "c", "d", "e"} {
		w.s3.Put(t, w.bucket, "users/ann/file_groups/g/"+name, "1")
	}
	var got []string
	query := "?limit=2"
	for range 5 {
		_, body, _ := w.call(t, http.MethodGet, "ann", "userdata/g/"+query)
		for _, f := range body["files"].([]any) {
			got = append(got, f.(map[string]any)["name"].(string))
		}
		next, more := body["next"].(string)
		if !more {
			break
		}
		query = "?limit=2&continue=" + strings.ReplaceAll(strings.ReplaceAll(next, "+", "%2B"), "=", "%3D")
	}
	if !slices.Equal(got, []string{"a", "b", "c", "d", "e"}) {
		t.Errorf("%v", got)
	}
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.s3.Put(t, w.bucket, "users/boris/file_groups/g/secret", "boris")
	w.s3.Put(t, w.bucket, "model", "developer")
	long := "userdata/g/" + strings.Repeat("x", 1200)
	for _, c := range []struct {
		method, path string
		code         int
	}{
		{"GET", "nothing/g/f", 404}, {"GET", "userdata/g/none", 404}, {"GET", "late/g/f", 503},
		{"PUT", "userdata/example.png", 400}, {"PUT", "userdata/g/", 400}, {"PUT", "userdata", 400},
		{"DELETE", "userdata", 400}, {"DELETE", "userdata/", 400},
		{"GET", "userdata/../boris/file_groups/g/secret", 400},
		{"GET", "userdata/%2e%2e/%2e%2e/boris/file_groups/g/secret", 400}, {"GET", "userdata/g/..%2f..%2fx", 400},
		{"GET", "userdata/g//f", 400}, {"PUT", "userdata/g/%00", 400}, {"PUT", "userdata/g/a%0Ab", 400},
		{"PUT", "userdata/g/%FF", 400}, {"PUT", "userdata/g/%zz", 400}, {"PUT", long, 400},
		{"GET", "userdata/g/?limit=0", 400}, {"GET", "userdata/g/?limit=x", 400},
		{"PUT", "userdata/g/f?expires=0", 400},
		{"PUT", "userdata/g/f?expires=99999999", 400},
		{"PUT", "herbarium/g/f", 403}, {"DELETE", "herbarium/g/f", 403},
		{"GET", `userdata/g/a%5C..%5Cb`, 400}, {"PUT", `userdata/g/a%5C..%5Cb`, 400},
		{"DELETE", `userdata/g/a%5C..%5Cb`, 400}, {"GET", `userdata/g/a%5C..%5Cb/`, 400},
		{"GET", "userdata/g/.. /f", 400}, {"GET", "userdata/g/" + strings.Repeat("x", 256), 400},
		{"PUT", "userdata/g/" + strings.Repeat("x", 256), 400},
		{"PUT", "userdata/" + strings.Repeat("x", 256) + "/f", 400},
		{"PUT", "userdata/g/" + strings.Repeat("%D0%B9", 128), 400},
		{"GET", "userdata/" + strings.Repeat("x", 256) + "/", 400},
		{"DELETE", "userdata/" + strings.Repeat("x", 256) + "/", 400},
		{"PUT", "userdata/g/" + strings.Repeat("%D0%B9", 127), 201},
		{"GET", "userdata/g/?continue=AAAA", 400}, {"GET", "userdata/g/?continue=!", 400},
		{"PUT", "userdata/g/f?size=-1", 400}, {"PUT", "userdata/g/f?size=1k", 400},
		{"PUT", "userdata/g/f?size=99999999999999", 400},
	} {
		code, body, _ := w.call(t, c.method, "ann", c.path)
		if code != c.code || body["detail"] == "" {
			t.Errorf("%s %s: %d %v, want %d", c.method, c.path, code, body, c.code)
		}
	}
	// No user's name leads to another's files.
	for _, user := range []string{"../users/boris", "boris/", "boris/file_groups/..", "%62oris", "..", "."} {
		if code, body, _ := w.call(t, http.MethodGet, user, "userdata/g/secret"); code != http.StatusNotFound {
			t.Errorf("user %q: %d %v", user, code, body)
		}
	}
}

// A link never outlives the session that signs it, and works for an hour if nobody says otherwise.
func TestLinksEndWithTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for query, want := range map[string]time.Duration{"": time.Hour, "?expires=60": time.Minute,
		"?expires=86400": 2 * time.Hour} {
		_, body, _ := w.call(t, http.MethodPut, "ann", "userdata/g/f"+query)
		expires, err := time.Parse(time.RFC3339, body["expires_at"].(string))
		if left := time.Until(expires); err != nil || left > want || left < want-30*time.Second {
			t.Errorf("%q: the link works for %v: %v", query, left, err)
		}
	}
}

// Whatever a user adds to a link that he was given, it does no more than write the one file. MinIO
// obeys headers that the link does not sign, and copies by one of them with the rights of whoever
// signed.
func TestUploadLinksReadNothing(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.s3.Put(t, w.bucket, "users/bob/file_groups/in/secret.csv", "BOBS SECRET")
	w.s3.Put(t, w.bucket, "models/secret.joblib", "THE DEVELOPERS MODEL")
	w.put(t, "ann", "userdata/x/loot", "ann's own")
	for _, how := range []string{"PUT", "GET"} { // GET gives a link to write, too
		_, body, _ := w.call(t, how, "ann", "userdata/x/loot?overwrite=true")
		link := body["presigned_put_url"].(string)
		for header, value := range map[string]string{
			"X-Amz-Copy-Source":                "/" + w.bucket + "/users/bob/file_groups/in/secret.csv",
			"x-amz-copy-source":                w.bucket + "/models/secret.joblib",
			"X-Amz-Tagging":                    "a=b",
			"X-Amz-Meta-Snowball-Auto-Extract": "true",
		} {
			req, err := http.NewRequestWithContext(t.Context(), http.MethodPut, link, http.NoBody)
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set(header, value)
			resp, err := http.DefaultClient.Do(req)
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
			if resp.StatusCode < 400 {
				t.Errorf("link of %s with %s: %s is obeyed: %s", how, header, value, resp.Status)
			}
		}
		_, body, _ = w.call(t, http.MethodGet, "ann", "userdata/x/loot")
		if _, content := send(t, http.MethodGet, body["presigned_get_url"].(string), ""); content != "ann's own" {
			t.Errorf("the file is now %q", content)
		}
		for _, method := range []string{http.MethodGet, http.MethodDelete, http.MethodPost} {
			if code, said := send(t, method, link, ""); code < 400 {
				t.Errorf("%s of a link to write: %d %s", method, code, said)
			}
		}
	}
}

// A link for a file of N bytes takes no other number of them.
func TestSizeIsSigned(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for size, content := range map[string]string{"7": "content", "0": ""} {
		_, body, _ := w.call(t, http.MethodPut, "ann", "userdata/g/f-"+size+"?size="+size)
		link := body["presigned_put_url"].(string)
		for _, other := range []string{content + "more", strings.Repeat("x", 1000)} {
			if code, said := send(t, http.MethodPut, link, other); code < 400 {
				t.Errorf("size %s, %d bytes: %d %s", size, len(other), code, said)
			}
		}
		if code, said := send(t, http.MethodPut, link, content); code != http.StatusOK {
			t.Errorf("size %s: %d %s", size, code, said)
		}
	}
}

// A dataset is the developer's area of another module's box. Its users' files are not in it,
// whatever the caller's name here.
func TestADatasetHasNoUsers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.s3.Put(t, w.bucket, "users/ann/file_groups/in/private.txt", "ANNS DIARY")
	w.s3.Put(t, w.bucket, "in/leaf.png", "a leaf")
	w.s3.Put(t, w.bucket, "top", "at the root")
	code, body, h := w.call(t, http.MethodGet, "ann", "herbarium/in/leaf.png")
	if code != http.StatusOK || body["presigned_put_url"] != nil || h.Get("X-Content-Type-Options") != "nosniff" {
		t.Fatalf("%d %v %v", code, body, h)
	}
	if code, content := send(t, http.MethodGet, body["presigned_get_url"].(string), ""); code != http.StatusOK ||
		content != "a leaf" {
		t.Errorf("%d %q", code, content)
	}
	for _, path := range []string{
		"in/private.txt", "users/ann/file_groups/in/private.txt", "users", "users/", "users/ann/",
		"users/ann/file_groups/in/", "%75sers/ann/file_groups/in/private.txt",
	} {
		if code, body, _ := w.call(t, http.MethodGet, "ann", "herbarium/"+path); code != http.StatusNotFound {
			t.Errorf("%s: %d %v", path, code, body)
		}
	}
	code, body, _ = w.call(t, http.MethodGet, "ann", "herbarium/")
	if code != http.StatusOK || len(body["files"].([]any)) != 1 ||
		!slices.Equal(body["file_groups"].([]any), []any{"in"}) {
		t.Errorf("the root: %d %v", code, body)
	}
}

// What a browser would run is saved, not shown: the uploader chooses a file's type.
func TestPagesAreSaved(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for contentType, saved := range map[string]bool{"text/html": true, "image/svg+xml": true,
		"application/xhtml+xml": true, "nonsense": true, "image/png": false, "text/csv": false} {
		_, err := w.s3.PutObject(t.Context(), w.bucket, "users/ann/file_groups/g/f", strings.NewReader("x"), 1,
			minio.PutObjectOptions{ContentType: contentType})
		if err != nil {
			t.Fatal(err)
		}
		_, body, _ := w.call(t, http.MethodGet, "ann", "userdata/g/f")
		resp, err := http.Get(body["presigned_get_url"].(string))
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if got := resp.Header.Get("Content-Disposition") == "attachment"; resp.StatusCode != http.StatusOK ||
			got != saved {
			t.Errorf("%s: %s %v", contentType, resp.Status, resp.Header)
		}
	}
}

// A full box gives no link to write, unless the box gets no fuller by it; to read and to delete it
// goes on.
func TestAFullBox(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, "ann", "userdata/g/old", "0123456789")
	if err := s3.WriteUsage(t.Context(), w.s3.Client, w.usage, databox.Usage{Capacity: 100, Used: 90}); err != nil {
		t.Fatal(err)
	}
	full := newWorldLike(w)
	for path, want := range map[string]int{
		"userdata/g/new?size=10": 201, "userdata/g/new?size=11": 507, "userdata/g/new": 201,
		"userdata/g/old?size=20&overwrite=true": 200, "userdata/g/old?size=21&overwrite=true": 507,
	} {
		if code, body, _ := full.call(t, http.MethodPut, "ann", path); code != want {
			t.Errorf("PUT %s at 90 of 100 bytes: %d %v, want %d", path, code, body, want)
		}
	}
	if err := s3.WriteUsage(t.Context(), w.s3.Client, w.usage, databox.Usage{Capacity: 100, Used: 120}); err != nil {
		t.Fatal(err)
	}
	full = newWorldLike(w)
	for path, want := range map[string]int{
		"userdata/g/new": 507, "userdata/g/new?size=0": 507, "userdata/g/old?size=10&overwrite=true": 200,
		"userdata/g/old?overwrite=true": 507, "userdata/g/old?size=11&overwrite=true": 507,
	} {
		code, body, _ := full.call(t, http.MethodPut, "ann", path)
		if code != want {
			t.Errorf("PUT %s at 120 of 100 bytes: %d %v, want %d", path, code, body, want)
		}
		if code == 507 && !strings.HasSuffix(body["type"].(string), "/box-full") {
			t.Errorf("PUT %s: %v", path, body)
		}
	}
	if code, body, _ := full.call(t, http.MethodGet, "ann", "userdata/g/old"); code != 200 ||
		body["presigned_put_url"] != nil || body["presigned_get_url"] == nil {
		t.Errorf("GET in a full box: %d %v", code, body)
	}
	if code, _, _ := full.call(t, http.MethodDelete, "ann", "userdata/g/old"); code != 204 {
		t.Errorf("DELETE in a full box: %d", code)
	}
}

// newWorldLike is w with boxes that are opened anew, so that nothing is remembered of how full they
// are.
func newWorldLike(w world) world {
	boxes := &files.Boxes{Dir: w.dir, Dataset: func(box string) bool { return box == "herbarium" }}
	w.Handler = &files.Handler{Boxes: w.Handler.Boxes, Open: boxes.Open, Links: w.Links}
	return w
}

// Links with a size fit one by one, but live on: a user who gathers them while there is room cannot
// fill the box far beyond its capacity with them later.
func TestLinksWithASizeAreBoundedTogether(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Links = &files.Links{Most: 2}
	w.put(t, "ann", "userdata/g/old", "0123456789")
	usage := databox.Usage{Capacity: 100, Used: 60}
	if err := s3.WriteUsage(t.Context(), w.s3.Client, w.usage, usage); err != nil {
		t.Fatal(err)
	}
	w = newWorldLike(w)
	put := func(user, path string, want int) {
		t.Helper()
		code, body, header := w.call(t, http.MethodPut, user, path)
		if code != want || code == 429 && header.Get("Retry-After") == "" {
			t.Errorf("%s: PUT %s: %d %v, want %d", user, path, code, body, want)
		}
	}
	for i := range 25 {
		put("ann", fmt.Sprintf("userdata/g/new%d?size=40", i), 201)
	}
	put("ann", "userdata/g/more?size=40", 429)
	put("ann", "userdata/g/more?size=1", 429)
	put("ann", "userdata/g/old?size=10&overwrite=true", 200) // the box does not grow
	put("ann", "userdata/g/more?size=0", 201)
	put("ann", "userdata/g/more", 201)
	put("bob", "userdata/g/more?size=40", 201)
}

// Links of unknown size are counted for each user; those with a size are not.
func TestLinksOfUnknownSizeAreCounted(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.Links = &files.Links{Most: 2}
	for i, want := range []int{201, 201, 429} {
		if code, body, header := w.call(t, http.MethodPut, "ann", "userdata/g/f"); code != want || code == 429 &&
			header.Get("Retry-After") == "" {
			t.Errorf("link %d: %d %v, want %d", i, code, body, want)
		}
	}
	if code, _, _ := w.call(t, http.MethodPut, "ann", "userdata/g/f?size=3"); code != 201 {
		t.Errorf("a link with a size: %d", code)
	}
	if code, _, _ := w.call(t, http.MethodPut, "bob", "userdata/g/f"); code != 201 {
		t.Errorf("another user's link: %d", code)
	}
	w.s3.Put(t, w.bucket, databox.UserPrefix("ann")+"g/there", "x")
	w.s3.Put(t, w.bucket, databox.UserPrefix("eve")+"g/there", "x")
	for _, user := range []string{"ann", "eve"} { // ann has no link of PUT left; links of GET are counted apart
		for i := range 3 {
			code, body, _ := w.call(t, http.MethodGet, user, "userdata/g/there")
			if code != 200 || (body["presigned_put_url"] != nil) != (i < 2) {
				t.Errorf("GET %d of %s: %d %v", i, user, code, body)
			}
		}
	}
	if code, _, _ := w.call(t, http.MethodPut, "eve", "userdata/g/f"); code != 201 {
		t.Errorf("PUT after many GETs: %d", code)
	}
}

// A dataset that is a folder of a box shows that folder, and nothing beside it.
func TestADatasetThatIsAFolder(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, key := range []string{"leaves/pressed/oak/1.png", "leaves/pressed/users/x/f", "leaves/pressed-not/g/f",
		"oak/1.png", "users/ann/file_groups/oak/1.png"} {
		w.s3.Put(t, w.bucket, key, key)
	}
	code, body, _ := w.call(t, http.MethodGet, "ann", "pressed/")
	if groups := fmt.Sprint(body["file_groups"]); code != http.StatusOK || groups != "[oak users]" {
		t.Errorf("%d %v", code, body)
	}
	code, body, _ = w.call(t, http.MethodGet, "ann", "pressed/oak/1.png")
	if code != http.StatusOK {
		t.Fatalf("%d %v", code, body)
	}
	answer, err := http.Get(body["presigned_get_url"].(string))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if b, err := io.ReadAll(answer.Body); err != nil || string(b) != "leaves/pressed/oak/1.png" {
		t.Errorf("%q %v", b, err)
	}
	for _, path := range []string{"pressed/g/f", "pressed/leaves/pressed/oak/1.png"} {
		if code, body, _ := w.call(t, http.MethodGet, "ann", path); code != http.StatusNotFound {
			t.Errorf("%s: %d %v", path, code, body)
		}
	}
	if code, _, _ := w.call(t, http.MethodPut, "ann", "pressed/oak/2.png"); code != http.StatusForbidden {
		t.Errorf("a PUT: %d", code)
	}
}

// A dataset whose folder becomes another one shows that, without a restart: its session says so.
// One that is only renewed goes on as before.
func TestADatasetThatMoves(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for _, key := range []string{"leaves/pressed/oak/1.png", "leaves/dried/elm/1.png"} {
		w.s3.Put(t, w.bucket, key, key)
	}
	shows := func(group string, want bool) {
		t.Helper()
		code, body, _ := w.call(t, http.MethodGet, "ann", "pressed/"+group+"/1.png")
		if !want {
			if code != http.StatusNotFound {
				t.Errorf("%s: %d %v", group, code, body)
			}
			return
		}
		if code != http.StatusOK {
			t.Errorf("%s: %d %v", group, code, body)
			return
		}
		if code, text := send(t, http.MethodGet, body["presigned_get_url"].(string), ""); code != http.StatusOK ||
			!strings.HasSuffix(text, "/"+group+"/1.png") {
			t.Errorf("%s: %d %s", group, code, text)
		}
	}
	shows("oak", true)
	w.session(t, "pressed", "leaves/pressed/", databox.Files, databox.GetLinks) // it is renewed
	shows("oak", true)
	w.session(t, "pressed", "leaves/dried/", databox.Files, databox.GetLinks)
	shows("elm", true)
	shows("oak", false)
}
