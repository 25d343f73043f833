package main

import (
	"context"
	"encoding/json"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/translate/names"
)

// TestMain lets the test's own binary be the program.
func TestMain(m *testing.M) {
	if os.Getenv("UNIP_STAGE") == "1" {
		main()
	}
	os.Exit(m.Run())
}

type world struct {
	s3      *miniotest.Server
	bucket  string
	session string
	secret  string
}

// newWorld is a run bucket with a session that may do what a run's may.
func newWorld(t *testing.T) world {
	t.Helper()
	w := world{s3: miniotest.Start(t), session: filepath.Join(t.TempDir(), databox.SessionKey)}
	w.bucket = w.s3.Bucket(t)
	policy, err := databox.Policy(databox.Grant{Bucket: w.bucket, Prefix: "runs/r/", Access: names.Write}, databox.Grant{Bucket: w.bucket, Prefix: "users/ann/", Access: names.Write})
	if err != nil {
		t.Fatal(err)
	}
	s, err := databox.AssumeRole(t.Context(), http.DefaultClient, w.s3.Endpoint, "us-east-1",
		databox.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}, policy, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint, s.Region, s.Bucket = w.s3.Endpoint, "us-east-1", w.bucket
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.session, b, 0o600); err != nil {
		t.Fatal(err)
	}
	w.secret = s.SecretAccessKey
	return w
}

// stage runs the program as a process of its own and gives its exit code, its result, and what it said.
func (w world) stage(t *testing.T, command string, plan any) (int, stage.Result, string) {
	t.Helper()
	argument, err := stage.Encode(plan)
	if err != nil {
		t.Fatal(err)
	}
	message := filepath.Join(t.TempDir(), "message")
	c := exec.CommandContext(t.Context(), os.Args[0], command, "--plan="+strings.ReplaceAll(argument, "$$", "$"), "--session="+w.session, "--termination-log="+message)
	c.Env = append(os.Environ(), "UNIP_STAGE=1", "GOMEMLIMIT=48MiB")
	out, _ := c.CombinedOutput()
	if strings.Contains(string(out), w.secret) {
		t.Error("the session's secret is in the log")
	}
	b, err := os.ReadFile(message)
	if err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	var r stage.Result
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return c.ProcessState.ExitCode(), r, string(out)
}

func TestFetchAndPublishAsProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.s3.Put(t, w.bucket, "users/ann/file_groups/in/Файл $(HOME) 1.csv", "1,2\n")
	w.s3.Put(t, w.bucket, "users/boris/file_groups/in/secret", "boris")
	dir := t.TempDir()
	in, out := filepath.Join(dir, "in", "Файл $(HOME) 1.csv"), filepath.Join(dir, "out")
	code, r, said := w.stage(t, "fetch", &stage.FetchPlan{
		Inputs:  []stage.Input{{Name: "table", Path: in, Bucket: w.bucket, Key: "users/ann/file_groups/in/Файл $(HOME) 1.csv"}},
		Outputs: []string{out},
	})
	if code != 0 || r.Files != 1 || r.Bytes != 4 || r.Error != "" {
		t.Fatalf("fetch: %d %+v %s", code, r, said)
	}
	if b, err := os.ReadFile(in); err != nil || string(b) != "1,2\n" {
		t.Errorf("%q %v", b, err)
	}
	if i, err := os.Stat(out); err != nil || i.Mode().Perm() != 0o777 {
		t.Errorf("the output's folder: %v %v", i, err)
	}
	if err := os.WriteFile(filepath.Join(out, "model"), []byte("m"), 0o600); err != nil {
		t.Fatal(err)
	}
	plan := &stage.PublishPlan{Run: "r", Stage: "s", Attempt: 1, Bucket: w.bucket, Outputs: []stage.Output{
		{Name: "model", Path: out, Copies: []stage.Folder{{Bucket: w.bucket, Prefix: "users/ann/file_groups/models/"}}},
	}}
	for range 2 { // the second finds the first one's commit
		if code, r, said := w.stage(t, "publish", plan); code != 0 || r.Attempt != 1 || r.Files != 1 {
			t.Fatalf("publish: %d %+v %s", code, r, said)
		}
	}
	for _, key := range []string{"users/ann/file_groups/models/model", "runs/r/s/1/model/model", "runs/r/s/commit"} {
		if _, err := w.s3.StatObject(context.Background(), w.bucket, key, minio.StatObjectOptions{}); err != nil {
			t.Errorf("%s: %v", key, err)
		}
	}
}

func TestFailuresSayWhetherToTryAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.s3.Put(t, w.bucket, "users/boris/file_groups/in/secret", "boris")
	w.s3.Put(t, w.bucket, "users/ann/file_groups/in/a", "a")
	dir := t.TempDir()
	for name, c := range map[string]struct {
		command string
		plan    any
		code    int
		want    string
	}{
		"no such file":        {"fetch", &stage.FetchPlan{Inputs: []stage.Input{{Name: "x", Path: dir + "/x", Bucket: w.bucket, Key: "users/ann/file_groups/gone"}}}, 1, "input x"},
		"another version":     {"fetch", &stage.FetchPlan{Inputs: []stage.Input{{Name: "x", Path: dir + "/x", Bucket: w.bucket, Key: "users/ann/file_groups/in/a", ETag: "0123"}}}, 1, "input x"},
		"another user's file": {"fetch", &stage.FetchPlan{Inputs: []stage.Input{{Name: "x", Path: dir + "/y", Bucket: w.bucket, Key: "users/boris/file_groups/in/secret"}}}, 1, "input x"},
		"not a plan":          {"fetch", map[string]string{"nonsense": "1"}, 2, "unknown field"},
		"no outputs' folder":  {"publish", &stage.PublishPlan{Run: "r", Stage: "t", Attempt: 1, Bucket: w.bucket, Outputs: []stage.Output{{Name: "o", Path: dir + "/gone"}}}, 1, "output o"},
	} {
		code, r, said := w.stage(t, c.command, c.plan)
		if code != c.code || !strings.Contains(r.Error, c.want) || r.Retry {
			t.Errorf("%s: exit %d, %+v\n%s", name, code, r, said)
		}
	}
	// A storage that is not there may come back.
	b, err := os.ReadFile(w.session)
	if err != nil {
		t.Fatal(err)
	}
	var s databox.Session
	if err := json.Unmarshal(b, &s); err != nil {
		t.Fatal(err)
	}
	s.Endpoint = "http://127.0.0.1:1"
	if b, err = json.Marshal(s); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(w.session, b, 0o600); err != nil {
		t.Fatal(err)
	}
	code, r, said := w.stage(t, "publish", &stage.PublishPlan{Run: "r", Stage: "u", Attempt: 1, Bucket: w.bucket})
	if code != exitRetry || !r.Retry {
		t.Errorf("no storage: exit %d, %+v\n%s", code, r, said)
	}
}
