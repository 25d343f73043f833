//go:build integration

package main

import (
	"context"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/put"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/service"
)

// Stories of a module's files: a real gateway with a box of a real S3 server, and one into which no
// upload links are given.
func TestScriptsOfFiles(t *testing.T) {
	t.Parallel()
	server := miniotest.Start(t)
	bucket, dir := server.Bucket(t), t.TempDir()
	for _, box := range []string{"userdata", "closed"} {
		if err := os.MkdirAll(filepath.Join(dir, box), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	write := func(box string, use databox.Access, session databox.Session) {
		b, err := json.Marshal(session)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, box, string(use)+".json"), b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, use := range []databox.Access{databox.Files, databox.GetLinks, databox.PutLinks} {
		grant, err := databox.UseOf(bucket, false, use, "")
		if err != nil {
			t.Fatal(err)
		}
		policy, err := databox.Policy(grant)
		if err != nil {
			t.Fatal(err)
		}
		keys := s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}
		session, err := s3.AssumeRole(t.Context(), http.DefaultClient, server.Endpoint, "us-east-1", keys, policy,
			2*time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		session.Endpoint, session.Region, session.Bucket = server.Endpoint, "us-east-1", bucket
		write("userdata", use, session)
		if use == databox.PutLinks {
			session.AccessKeyID, session.SecretAccessKey, session.SessionToken = "", "", ""
			session.Withheld = "upload link: copies"
		}
		write("closed", use, session)
	}
	file, err := routes.Decode([]byte(`{"apis":[{"name":"files","kind":"files","path":"files"}],` +
		`"boxes":["userdata","closed"]}`))
	if err != nil {
		t.Fatal(err)
	}
	g, err := service.New(service.Options{Namespace: "ns", Routes: file, Boxes: dir})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	developers := developersOf(t, server, bucket)
	scripts(t, testscript.Params{Dir: "testdata/files", Cmds: commands()}, "UNIP_URL="+srv.URL+"/ns",
		"DEVELOPERS="+developers.URL+"/ns",
		"PATH="+os.Getenv("PATH"))
}

// developersOf is a module whose box names ann as its developer. Links are signed here.
func developersOf(t *testing.T, server *miniotest.Server, bucket string) *httptest.Server {
	t.Helper()
	file, err := routes.Decode([]byte(`{"apis":[{"name":"files","kind":"files","path":"files",` +
		`"auth":{"basic":{"credentials":"users"}}}],"boxes":["userdata"],` +
		`"developers":{"userdata":["basic:users/ann"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "users"), 0o755); err != nil {
		t.Fatal(err)
	}
	for _, user := range []string{"ann", "boris"} {
		if err := os.WriteFile(filepath.Join(dir, "users", user), []byte("secret"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	g, err := service.New(service.Options{Namespace: "ns", Routes: file, Passwords: dir,
		Puts: func(ctx context.Context, _, _ string, asked put.Asked) (string, time.Time, error) {
			signed := http.Header{"Content-Length": {strconv.FormatInt(asked.Size, 10)}}
			u, err := server.PresignHeader(ctx, http.MethodPut, bucket, asked.Key, time.Minute, nil, signed)
			if err != nil {
				return "", time.Time{}, err
			}
			return u.String(), time.Now().Add(time.Minute), nil
		}})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(g)
	t.Cleanup(srv.Close)
	return srv
}
