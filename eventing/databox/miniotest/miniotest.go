//go:build integration

package miniotest

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/unip-knative/unip/e2e/freeport"
	"github.com/unip-knative/unip/e2e/programs"
)

// The keys of every server of a test.
const (
	AccessKey = "unip-test"
	SecretKey = "unip-test-secret"
)

// Server is a running MinIO, or SeaweedFS.
type Server struct {
	// Endpoint with its scheme, http://127.0.0.1:PORT.
	Endpoint string
	*minio.Client
	// SeaweedFS says that it is one, for what it does not do as S3 does.
	SeaweedFS bool

	program, log, health string
	args, env            []string
	cmd                  *exec.Cmd
}

// Away takes the server away until the function that it gives is called: connections are taken, and
// nothing is answered.
func (s *Server) Away(t testing.TB) (back func()) {
	t.Helper()
	signal := func(sig os.Signal) {
		if err := s.cmd.Process.Signal(sig); err != nil {
			t.Fatal(err)
		}
	}
	signal(syscall.SIGSTOP)
	return func() { signal(syscall.SIGCONT) }
}

// Start starts a server with nothing in it. env adds to its environment ("NAME=VALUE").
func Start(t testing.TB, env ...string) *Server {
	t.Helper()
	address := freeport.Address(t)
	s := &Server{Endpoint: "http://" + address, log: filepath.Join(t.TempDir(), "s3.log")}
	s.program = os.Getenv("UNIP_SEAWEEDFS")
	if s.SeaweedFS = s.program != ""; s.SeaweedFS {
		s.seaweedFS(t, address, env)
	} else {
		s.program, s.health = programs.Find(t, "UNIP_MINIO", "minio"), "/minio/health/ready"
		s.args = []string{"server", "--quiet", "--address", address, t.TempDir()}
		s.env = append(append(os.Environ(),
			"MINIO_ROOT_USER="+AccessKey, "MINIO_ROOT_PASSWORD="+SecretKey, "MINIO_BROWSER=off", "MINIO_UPDATE=off",
			"MINIO_CI_CD=on", "GOMEMLIMIT=256MiB"), env...)
	}
	var err error
	s.Client, err = minio.New(address, &minio.Options{
		Creds: credentials.NewStaticV4(AccessKey, SecretKey, ""), Region: "us-east-1",
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.Kill)
	s.Restart(t)
	return s
}

// Kill ends the server at once, as a machine that fails does.
func (s *Server) Kill() {
	if s.cmd.Process != nil {
		_ = s.cmd.Process.Kill()
		_ = s.cmd.Wait()
	}
}

// Restart starts a server that was killed, with all that it had, and waits until it answers.
func (s *Server) Restart(t testing.TB) {
	t.Helper()
	s.cmd = exec.Command(s.program, s.args...)
	s.cmd.Env = s.env
	log, err := os.Create(s.log)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	s.cmd.Stdout, s.cmd.Stderr = log, log
	if err := s.cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", s.program, err)
	}
	deadline := time.Now().Add(time.Minute)
	for {
		resp, err := http.Get(s.Endpoint + s.health)
		if err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				if err = s.sessions(); err == nil { // its accounts are there a moment after its storage
					return
				}
			} else {
				err = fmt.Errorf("%s", resp.Status)
			}
		}
		if time.Now().After(deadline) {
			b, _ := os.ReadFile(s.log)
			t.Fatalf("%s is not ready: %v\n%s", s.program, err, b)
		}
		time.Sleep(20 * time.Millisecond)
	}
}

// sessions reports whether the server gives sessions yet.
func (s *Server) sessions() error {
	sts := &credentials.STSAssumeRole{STSEndpoint: s.Endpoint, Options: credentials.STSAssumeRoleOptions{
		AccessKey: AccessKey, SecretKey: SecretKey, Location: "us-east-1", DurationSeconds: 900, RoleSessionName: "unip",
	}}
	_, err := sts.RetrieveWithCredContext(&credentials.CredContext{Client: http.DefaultClient})
	return err
}

var buckets atomic.Int64

// Bucket makes a new bucket and returns its name.
func (s *Server) Bucket(t testing.TB) string {
	t.Helper()
	name := fmt.Sprintf("test-%d", buckets.Add(1))
	if err := s.MakeBucket(context.Background(), name, minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return name
}

// Put writes an object.
func (s *Server) Put(t testing.TB, bucket, key, content string) {
	t.Helper()
	_, err := s.PutObject(context.Background(), bucket, key,
		strings.NewReader(content), int64(len(content)), minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// PutAt writes an object that came at another time, with user metadata. MinIO's own replication does
// so.
func (s *Server) PutAt(t testing.TB, bucket, key, content string, at time.Time, metadata map[string]string) {
	t.Helper()
	_, err := s.PutObject(context.Background(), bucket, key,
		strings.NewReader(content), int64(len(content)), minio.PutObjectOptions{UserMetadata: metadata,
			Internal: minio.AdvancedPutOptions{SourceMTime: at}})
	if err != nil {
		t.Fatal(err)
	}
}
