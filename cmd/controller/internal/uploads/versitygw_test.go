//go:build integration

package uploads

import (
	"bytes"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox/versitytest"
	"github.com/unip-knative/unip/eventing/events"
)

// What versitygw tells by its webhook, which sends no header, becomes the same events as what MinIO
// tells, whatever a file is called and however it comes and goes.
func TestVersityGW(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	hook := httptest.NewServer(http.HandlerFunc(func(rw http.ResponseWriter, req *http.Request) {
		body, err := io.ReadAll(req.Body)
		if err != nil {
			t.Error(err)
		}
		t.Logf("%s", body)
		req.Body = io.NopCloser(bytes.NewReader(body))
		w.ServeHTTP(rw, req)
	}))
	t.Cleanup(hook.Close)
	s := versitytest.Start(t, versitytest.Options{Webhook: hook.URL + "/v1/versitygw/secret"})
	if err := s.MakeBucket(t.Context(), w.bucket, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	next := func(kind, file string) {
		t.Helper()
		e := w.next(t)
		if e.Type() != kind || e.Subject() != file || e.Extensions()["user"] != "a/nn" {
			t.Errorf("%v, want %s of %q", e, kind, file)
		}
	}
	const at = "users/a%2Fnn/file_groups/"
	for _, file := range []string{"incoming/a.csv", "in coming/Таблица 1+2%25 $(X).csv"} {
		s.Put(t, w.bucket, at+file, "1")
		next(events.ObjectCreated, file)
		_, err := s.CopyObject(t.Context(), minio.CopyDestOptions{Bucket: w.bucket, Object: at + file + "2"},
			minio.CopySrcOptions{Bucket: w.bucket, Object: at + file})
		if err != nil {
			t.Fatal(err)
		}
		next(events.ObjectCreated, file+"2")
		if err := s.RemoveObject(t.Context(), w.bucket, at+file, minio.RemoveObjectOptions{}); err != nil {
			t.Fatal(err)
		}
		next(events.ObjectRemoved, file)
		several := make(chan minio.ObjectInfo, 1)
		several <- minio.ObjectInfo{Key: at + file + "2"}
		close(several)
		for e := range s.RemoveObjects(t.Context(), w.bucket, several, minio.RemoveObjectsOptions{}) {
			t.Error(e)
		}
		next(events.ObjectRemoved, file+"2")
	}
	_, err := s.PutObject(t.Context(), w.bucket, at+"large file", strings.NewReader(strings.Repeat("x", 6<<20)), -1,
		minio.PutObjectOptions{PartSize: 5 << 20})
	if err != nil {
		t.Fatal(err)
	}
	next(events.ObjectCreated, "large file")
}
