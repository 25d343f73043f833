package storage_test

import (
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

// Another attempt of a stage is made for what it may mend, and for nothing else.
func TestClassify(t *testing.T) {
	t.Parallel()
	answer := func(code string, status int) error { return minio.ErrorResponse{Code: code, StatusCode: status} }
	for _, c := range []struct {
		err   error
		retry bool
	}{
		{nil, false},
		{answer("NoSuchKey", 404), false}, {answer("NoSuchBucket", 404), false}, {answer("AccessDenied", 403), false},
		{answer("PreconditionFailed", 412), false}, {s3.ErrChanged, false}, {s3.ErrNoFolder, false},
		{answer("SlowDown", 503), true}, {answer("ExpiredToken", 403), true},
		{answer("SignatureDoesNotMatch", 403), true},
		{s3.ErrCorrupt, true}, {errors.New("connection reset"), true},
	} {
		if got := storage.Retry(storage.Classify(c.err)); got != c.retry {
			t.Errorf("%v: retry %v", c.err, got)
		}
		if c.err == nil {
			continue
		}
		if err := storage.Classify(fmt.Errorf("wrapped: %w", c.err)); storage.Retry(err) != c.retry ||
			!errors.Is(err, c.err) {
			t.Errorf("%v, wrapped: %v", c.err, err)
		}
	}
}

// Whoever reads a commit writes files at its paths, so that nothing comes of one with a path that
// leaves its folder.
func TestReadCommit(t *testing.T) {
	t.Parallel()
	file := func(path string) string {
		return `{"attempt":2,"outputs":{"o":[{"path":"` + path + `","size":1,"sha256":"` + strings.Repeat("0",
			64) + `"}]}}`
	}
	for body, ok := range map[string]bool{
		file("a/b"): true, file("../a"): false, file("/a"): false, file("a//b"): false, `{"outputs":{}}`: false,
		"nonsense": false, "": false,
	} {
		server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("ETag", `"0123456789abcdef0123456789abcdef"`)
			w.Header().Set("Last-Modified", "Mon, 02 Mar 2026 12:00:00 GMT")
			_, _ = w.Write([]byte(body))
		}))
		session := databox.Session{Endpoint: server.URL, Region: "us-east-1", Bucket: "runs", AccessKeyID: "k",
			SecretAccessKey: "s"}
		c, err := s3.NewClient(session, s3.Static(session))
		if err != nil {
			t.Fatal(err)
		}
		commit, err := storage.ReadCommit(t.Context(), c, "runs", "runs/r/s/commit")
		switch {
		case ok && (err != nil || commit.Attempt != 2 || len(commit.Outputs["o"]) != 1):
			t.Errorf("%s: %+v, %v", body, commit, err)
		case !ok && (err == nil || storage.Retry(err) || commit != nil):
			t.Errorf("%s: %+v, %v; want a permanent error", body, commit, err)
		}
		server.Close()
	}
}
