package files_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/functions/gateway/internal/files"
	"github.com/unip-knative/unip/translate/names"
)

type world struct {
	*files.Handler
	s3     *miniotest.Server
	bucket string
}

// newWorld is two boxes with sessions as the controller makes them: userdata to write, herbarium to read.
func newWorld(t *testing.T) world {
	t.Helper()
	w := world{s3: miniotest.Start(t)}
	w.bucket = w.s3.Bucket(t)
	dir := t.TempDir()
	for box, access := range map[string]names.Access{"userdata": names.Write, "herbarium": names.Read} {
		policy, err := databox.Policy(databox.Grant{Bucket: w.bucket, Access: access})
		if err != nil {
			t.Fatal(err)
		}
		s, err := databox.AssumeRole(t.Context(), http.DefaultClient, w.s3.Endpoint, "us-east-1", databox.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}, policy, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		s.Endpoint, s.Region, s.Bucket = w.s3.Endpoint, "us-east-1", w.bucket
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.MkdirAll(filepath.Join(dir, box), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, box, databox.SessionKey), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	boxes := &files.Boxes{Dir: dir, ReadOnly: func(box string) bool { return box == "herbarium" }}
	w.Handler = &files.Handler{Boxes: []string{"herbarium", "userdata", "late"}, Open: boxes.Open}
	return w
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
	for _, path := range []string{"userdata/data/a.csv", "userdata/data/deep/%D0%A4%D0%B0%D0%B9%D0%BB%201%2B2.csv", "userdata/data/$(HOME)%25.txt"} {
		w.put(t, "ann", path, "content")
		code, body, _ := w.call(t, http.MethodGet, "ann", path)
		if code != http.StatusOK || body["size"] != 7.0 || body["expires_at"] == nil || body["presigned_put_url"] == nil {
			t.Fatalf("GET %s: %d %v", path, code, body)
		}
		if code, content := send(t, http.MethodGet, body["presigned_get_url"].(string), ""); code != http.StatusOK || content != "content" {
			t.Errorf("%s: %d %q", path, code, content)
		}
		if code, body, _ := w.call(t, http.MethodPut, "ann", path); code != http.StatusBadRequest || !strings.HasSuffix(body["type"].(string), "/file-exists") {
			t.Errorf("PUT of a file that exists: %d %v", code, body)
		}
		if code, _, _ := w.call(t, http.MethodPut, "ann", path+"?overwrite=true"); code != http.StatusOK {
			t.Errorf("PUT with overwrite: %d", code)
		}
		if code, _, h := w.call(t, http.MethodGet, "ann", path+"?redirect=true"); code != http.StatusTemporaryRedirect || !strings.HasPrefix(h.Get("Location"), w.s3.Endpoint) {
			t.Errorf("redirect: %d %v", code, h)
		}
		// Another user has nothing there.
		if code, _, _ := w.call(t, http.MethodGet, "boris", path); code != http.StatusNotFound {
			t.Errorf("another user: %d", code)
		}
	}
	code, body, _ := w.call(t, http.MethodGet, "ann", "userdata/data/")
	if code != http.StatusOK || len(body["files"].([]any)) != 2 || !slices.Equal(body["file_groups"].([]any), []any{"deep"}) {
		t.Errorf("listing: %d %v", code, body)
	}
	if code, body, _ := w.call(t, http.MethodGet, "ann", "userdata"); code != http.StatusOK || !slices.Equal(body["file_groups"].([]any), []any{"data"}) {
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
	if code, body, _ := w.call(t, http.MethodGet, "ann", "userdata/data/"); code != http.StatusOK || len(body["files"].([]any)) != 0 {
		t.Errorf("after that: %d %v", code, body)
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
		{"PUT", "userdata/example.png", 400}, {"PUT", "userdata/g/", 400}, {"PUT", "userdata", 400}, {"DELETE", "userdata", 400}, {"DELETE", "userdata/", 400},
		{"GET", "userdata/../boris/file_groups/g/secret", 400}, {"GET", "userdata/%2e%2e/%2e%2e/boris/file_groups/g/secret", 400}, {"GET", "userdata/g/..%2f..%2fx", 400},
		{"GET", "userdata/g//f", 400}, {"PUT", "userdata/g/%00", 400}, {"PUT", "userdata/g/a%0Ab", 400}, {"PUT", "userdata/g/%FF", 400}, {"PUT", "userdata/g/%zz", 400}, {"PUT", long, 400},
		{"GET", "userdata/g/?limit=0", 400}, {"GET", "userdata/g/?limit=x", 400}, {"PUT", "userdata/g/f?expires=0", 400}, {"PUT", "userdata/g/f?expires=99999999", 400},
		{"PUT", "herbarium/g/f", 403}, {"DELETE", "herbarium/g/f", 404},
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

// A link never outlives the session that signs it.
func TestLinksEndWithTheSession(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	_, body, _ := w.call(t, http.MethodPut, "ann", "userdata/g/f?expires=86400")
	expires, err := time.Parse(time.RFC3339, body["expires_at"].(string))
	if left := time.Until(expires); err != nil || left > time.Hour || left < 50*time.Minute {
		t.Errorf("the link works for %v: %v", left, err)
	}
}
