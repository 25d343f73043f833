//go:build integration

package files_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
)

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
