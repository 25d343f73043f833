//go:build integration

package files_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

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
	w.Serve(rec, r, files.Caller{User: user}, escaped)
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

// newWorldLike is w with boxes that are opened anew, so that nothing is remembered of how full they
// are.
func newWorldLike(w world) world {
	boxes := &files.Boxes{Dir: w.dir, Dataset: func(box string) bool { return box == "herbarium" }}
	w.Handler = &files.Handler{Boxes: w.Handler.Boxes, Open: boxes.Open, Links: w.Links}
	return w
}
