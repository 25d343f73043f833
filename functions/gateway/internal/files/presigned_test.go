//go:build integration

package files_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/gateway/internal/files"
)

// A link that somebody copies out of what a terminal shows of an answer works.
func TestALinkIsCopiedAsItStands(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	rec := httptest.NewRecorder()
	w.Serve(rec, httptest.NewRequest(http.MethodPut, "/", nil), files.Caller{User: "ann"}, "userdata/incoming/t.csv")
	_, link, _ := strings.Cut(rec.Body.String(), `"presigned_put_url":"`)
	link, _, _ = strings.Cut(link, `"`)
	if code, said := send(t, http.MethodPut, link, "a,b"); code != http.StatusOK {
		t.Fatalf("%s: %d %s", link, code, said)
	}
	rec = httptest.NewRecorder()
	w.Serve(rec, httptest.NewRequest(http.MethodGet, "/", nil), files.Caller{User: "ann"}, "userdata/incoming/t.csv")
	_, link, _ = strings.Cut(rec.Body.String(), `"presigned_get_url":"`)
	link, _, _ = strings.Cut(link, `"`)
	if code, said := send(t, http.MethodGet, link, ""); code != http.StatusOK || said != "a,b" {
		t.Errorf("%s: %d %s", link, code, said)
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
