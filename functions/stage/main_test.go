//go:build integration

package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
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
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/stage"
)

// TestMain lets the test's own binary be the program.
func TestMain(m *testing.M) {
	if os.Getenv("UNIP_STAGE") == "1" {
		main()
	}
	os.Exit(m.Run())
}

type world struct {
	s3       *miniotest.Server
	bucket   string
	sessions string // their folder
	data     string // the volume
}

// sessionFile is the one that all plans here name.
const sessionFile = "s.json"

// newWorld is a run bucket with a session that may do what a run's may.
func newWorld(t *testing.T) world {
	t.Helper()
	w := world{s3: miniotest.Start(t), sessions: t.TempDir(), data: t.TempDir()}
	w.bucket = w.s3.Bucket(t)
	w.give(t, w.session(t))
	return w
}

func (w world) session(t *testing.T) databox.Session {
	t.Helper()
	policy, err := databox.Policy(
		databox.Grant{Bucket: w.bucket, Prefix: "runs/r/", Access: databox.Write},
		databox.Grant{Bucket: w.bucket, Prefix: "users/ann/", Access: databox.Write},
	)
	if err != nil {
		t.Fatal(err)
	}
	s, err := s3.AssumeRole(t.Context(), http.DefaultClient, w.s3.Endpoint, "us-east-1",
		s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}, policy, time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	s.Endpoint, s.Region, s.Bucket = w.s3.Endpoint, "us-east-1", w.bucket
	return s
}

// give puts a session in the place of the one before, as kubelet does: whole, under the same name.
func (w world) give(t *testing.T, s databox.Session) {
	t.Helper()
	b, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	next := filepath.Join(w.sessions, "next")
	if err := os.WriteFile(next, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(next, filepath.Join(w.sessions, sessionFile)); err != nil {
		t.Fatal(err)
	}
}

// program is the program as a process of its own, and the file of its result.
func (w world) program(t *testing.T, command string, plan any) (*exec.Cmd, string) {
	t.Helper()
	argument, err := stage.Encode(plan)
	if err != nil {
		t.Fatal(err)
	}
	message := filepath.Join(t.TempDir(), "message")
	c := exec.CommandContext(t.Context(), os.Args[0], command, "--plan="+strings.ReplaceAll(argument, "$$", "$"),
		"--sessions="+w.sessions, "--data="+w.data, "--termination-log="+message)
	c.Env = append(os.Environ(), "UNIP_STAGE=1", "GOMEMLIMIT=48MiB")
	return c, message
}

func resultIn(t *testing.T, message string) stage.Result {
	t.Helper()
	b, err := os.ReadFile(message)
	if err != nil {
		t.Fatal(err)
	}
	var r stage.Result
	if err := json.Unmarshal(b, &r); err != nil {
		t.Fatal(err)
	}
	return r
}

// stage runs the program and gives its exit code, its result, and what it said.
func (w world) stage(t *testing.T, command string, plan any) (int, stage.Result, string) {
	t.Helper()
	c, message := w.program(t, command, plan)
	out, _ := c.CombinedOutput()
	if s, err := databox.ReadSession(filepath.Join(w.sessions, sessionFile)); err == nil &&
		strings.Contains(string(out), s.SecretAccessKey) {
		t.Error("the session's secret is in the log")
	}
	return c.ProcessState.ExitCode(), resultIn(t, message), string(out)
}

func TestFetchAndPublishAsProcesses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.s3.Put(t, w.bucket, "users/ann/file_groups/in/Файл $(HOME) 1.csv", "1,2\n")
	w.s3.Put(t, w.bucket, "users/boris/file_groups/in/secret", "boris")
	in, out := filepath.Join(w.data, "table", "Файл $(HOME) 1.csv"), filepath.Join(w.data, "model")
	code, r, said := w.stage(t, "fetch", &stage.FetchPlan{
		Inputs: []stage.Input{{Name: "table", Session: sessionFile, Bucket: w.bucket,
			Key: "users/ann/file_groups/in/Файл $(HOME) 1.csv"}},
		Outputs: []string{"model"},
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
	plan := &stage.PublishPlan{Run: "r", Stage: "s", Attempt: 1, Bucket: w.bucket, Session: sessionFile,
		Outputs: []stage.Output{
			{Name: "model", Copies: []stage.Folder{{Bucket: w.bucket, Prefix: "users/ann/file_groups/models/",
				Session: sessionFile}}},
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
	in := func(key, etag string) *stage.FetchPlan {
		return &stage.FetchPlan{Inputs: []stage.Input{{Name: "x", Session: sessionFile, Bucket: w.bucket, Key: key,
			ETag: etag}}}
	}
	out := func(name, stageName string, outputs ...stage.Output) *stage.PublishPlan {
		return &stage.PublishPlan{Run: name, Stage: stageName, Attempt: 1, Bucket: w.bucket, Session: sessionFile,
			Outputs: outputs}
	}
	if err := os.Mkdir(filepath.Join(w.data, "named"), 0o777); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(w.data, "named", "\x1b[2Jboo\rfake"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	w.s3.Put(t, w.bucket, stage.CommitKey("r", "closed"), stage.ClosedCommit)
	for name, c := range map[string]struct {
		command string
		plan    any
		code    int
		want    string
	}{
		"no such file":        {"fetch", in("users/ann/file_groups/gone", ""), 1, "input x"},
		"another version":     {"fetch", in("users/ann/file_groups/in/a", "0123"), 1, "input x"},
		"another user's file": {"fetch", in("users/boris/file_groups/in/secret", ""), 1, "input x"},
		"not a plan":          {"fetch", map[string]string{"nonsense": "1"}, 2, "unknown field"},
		"no outputs' folder":  {"publish", out("r", "t", stage.Output{Name: "gone"}), 1, "output gone"},
		"the run has ended":   {"publish", out("r", "closed"), 1, "the run ended without this stage"},
		"a terminal's name": {"publish", out("r", "t", stage.Output{Name: "named"}), 1,
			`output named: "\x1b[2Jboo\rfake"`},
	} {
		code, r, said := w.stage(t, c.command, c.plan)
		if code != c.code || !strings.Contains(r.Error, c.want) || r.Retry {
			t.Errorf("%s: exit %d, %+v\n%s", name, code, r, said)
		}
	}
	// A storage that is not there may come back. It is said how long it was waited for.
	away := w.session(t)
	away.Endpoint = "http://127.0.0.1:1"
	w.give(t, away)
	patient := out("r", "u")
	patient.PatienceSeconds = 2
	code, r, said := w.stage(t, "publish", patient)
	if code != exitRetry || !r.Retry || r.WaitedSeconds < 2 {
		t.Errorf("no storage: exit %d, %+v\n%s", code, r, said)
	}
}

// A session that ends while publish works is no failure: publish waits for the next one, which
// kubelet brings in the place of the one before, and goes on.
func TestASessionThatEndsIsReplaced(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*databox.Session){
		"unknown to S3": func(s *databox.Session) { s.AccessKeyID = "ENDED" + s.AccessKeyID[5:] },
		"refused": func(s *databox.Session) {
			s.Expiration, s.SecretAccessKey = time.Now().Add(-time.Second),
				"another"
		},
		"forged token": func(s *databox.Session) {
			s.SessionToken = s.SessionToken[:len(s.SessionToken)-8] + "AAAAAAAA"
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			w := newWorld(t)
			if err := os.Mkdir(filepath.Join(w.data, "model"), 0o777); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(w.data, "model", "m"), []byte("m"), 0o600); err != nil {
				t.Fatal(err)
			}
			dead := w.session(t)
			end(&dead)
			w.give(t, dead)
			c, message := w.program(t, "publish", &stage.PublishPlan{Run: "r", Stage: "s", Attempt: 1, Bucket: w.bucket,
				Session: sessionFile, Outputs: []stage.Output{
					{Name: "model", Copies: []stage.Folder{{Bucket: w.bucket, Prefix: "users/ann/file_groups/models/",
						Session: sessionFile}}},
				}})
			said, err := c.StderrPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(said)
			for waiting := false; !waiting && lines.Scan(); {
				waiting = strings.Contains(lines.Text(), "no other has come")
				t.Log(lines.Text())
			}
			w.give(t, w.session(t))
			_, _ = io.Copy(io.Discard, said)
			if err := c.Wait(); err != nil {
				t.Fatalf("%v %+v", err, resultIn(t, message))
			}
			if r := resultIn(t, message); r.Files != 1 || r.Error != "" {
				t.Errorf("%+v", r)
			}
			if _, err := w.s3.StatObject(t.Context(), w.bucket, "users/ann/file_groups/models/m",
				minio.StatObjectOptions{}); err != nil {
				t.Error(err)
			}
		})
	}
}
