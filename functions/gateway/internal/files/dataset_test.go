//go:build integration

package files_test

import (
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/databox"
)

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
