//go:build integration

package fetch_test

import (
	"encoding/json"
	"io"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/fetch"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
	"github.com/unip-knative/unip/functions/stage/internal/volume"
)

// BenchmarkFetch brings 256 MiB from a server on this machine:
// `go test -tags integration -run - -bench Fetch -benchtime 5x ./functions/stage/internal/fetch`.
func BenchmarkFetch(b *testing.B) {
	const size = 256 << 20
	s, sessions := miniotest.Start(b), b.TempDir()
	bucket := s.Bucket(b)
	content := io.LimitReader(rand.NewChaCha8([32]byte{1}), size)
	if _, err := s.PutObject(b.Context(), bucket, "in/k", content, size,
		minio.PutObjectOptions{PartSize: 64 << 20}); err != nil {
		b.Fatal(err)
	}
	session, err := json.Marshal(databox.Session{
		Endpoint: s.Endpoint, Region: "us-east-1", Bucket: bucket, AccessKeyID: miniotest.AccessKey,
		SecretAccessKey: miniotest.SecretKey,
	})
	if err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(sessions, "all.json"), session, 0o600); err != nil {
		b.Fatal(err)
	}
	v, err := volume.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	defer v.Close()
	plan := &stage.FetchPlan{Inputs: []stage.Input{{Name: "table", Session: "all.json", Bucket: bucket, Prefix: "in/"}}}
	b.SetBytes(size)
	for b.Loop() {
		if _, err := fetch.Run(b.Context(), storage.OpenSessions(sessions, storage.Limits{}), v, plan); err != nil {
			b.Fatal(err)
		}
	}
}
