//go:build integration

package files_test

import (
	"net/http"
	"os"
	"path/filepath"
	"testing"

	"github.com/unip-knative/unip/eventing/databox"
)

// Where the session that signs upload links is withheld there are none, and all else goes on. It is
// back without a restart.
func TestUploadLinksThatAreWithheld(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.put(t, "ann", "userdata/in/there.txt", "content")
	file := filepath.Join(w.dir, "userdata", string(databox.PutLinks)+".json")
	none := []byte(`{"endpoint":"` + w.s3.Endpoint + `","bucket":"` + w.bucket + `","region":"us-east-1",` +
		`"accessKeyId":"","secretAccessKey":"","expiration":"0001-01-01T00:00:00Z","withheld":"upload link: copies"}`)
	if err := os.WriteFile(file, none, 0o600); err != nil {
		t.Fatal(err)
	}
	fresh := newWorld(t) // a gateway that starts with it
	session := filepath.Join(fresh.dir, "userdata", string(databox.PutLinks)+".json")
	if err := os.WriteFile(session, none, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, gateway := range map[string]world{"one that runs": w, "one that starts": fresh} {
		code, body, _ := gateway.call(t, http.MethodPut, "ann", "userdata/in/new.txt?size=3")
		if code != http.StatusNotImplemented ||
			body["type"] != "https://unified-platform.cs.hse.ru/problems/no-upload-links" {
			t.Errorf("%s: %d %v", name, code, body)
		}
	}
	code, body, _ := w.call(t, http.MethodGet, "ann", "userdata/in/there.txt")
	if code != http.StatusOK || body["presigned_put_url"] != nil {
		t.Fatalf("%d %v", code, body)
	}
	if code, text := send(t, http.MethodGet, body["presigned_get_url"].(string), ""); code != http.StatusOK ||
		text != "content" {
		t.Errorf("%d %s", code, text)
	}
	w.session(t, "userdata", "", databox.PutLinks)
	if code, body, _ := w.call(t, http.MethodPut, "ann", "userdata/in/new.txt"); code != http.StatusCreated {
		t.Errorf("%d %v", code, body)
	}
}
