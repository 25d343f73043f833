//go:build integration

package modelbox

import (
	"encoding/json"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/functions/inference/internal/model"
)

// Users' files do not become a model, not even with a session that opens everything.
func TestUsersFilesAreNoModel(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	bucket, dir := s.Bucket(t), t.TempDir()
	for _, key := range []string{"users/bob/file_groups/in/secret.csv", "models/m", "usersand/m"} {
		s.Put(t, bucket, key, "BOBS SECRET")
	}
	b, err := json.Marshal(databox.Session{
		Endpoint: s.Endpoint, Region: "us-east-1", Bucket: bucket, AccessKeyID: miniotest.AccessKey,
		SecretAccessKey: miniotest.SecretKey,
		Expiration:      time.Now().Add(time.Hour),
	})
	if err != nil {
		t.Fatal(err)
	}
	session := filepath.Join(dir, "session.json")
	if err := os.WriteFile(session, b, 0o600); err != nil {
		t.Fatal(err)
	}
	for object, want := range map[string]error{
		"users/": model.ErrInvalid, "users": model.ErrInvalid, "/users/": model.ErrInvalid, "": model.ErrInvalid,
		"/":                                   model.ErrInvalid,
		"users/bob/file_groups/in/secret.csv": model.ErrInvalid, "users/bob/": model.ErrInvalid, "models/m": nil,
		"models/": nil, "usersand/": nil,
	} {
		to := filepath.Join(t.TempDir(), "model")
		source := Source{Session: session, Object: object, File: to, Path: to, Log: slog.New(slog.DiscardHandler)}
		if _, err := source.Fetch(t.Context()); !errors.Is(err, want) {
			t.Errorf("%q: %v, want %v", object, err, want)
		}
		if _, err := os.Stat(to); want != nil && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%q was brought: %v", object, err)
		}
	}
}
