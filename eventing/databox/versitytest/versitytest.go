//go:build integration

package versitytest

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3api"
	"github.com/versity/versitygw/s3api/middlewares"
	"github.com/versity/versitygw/s3event"

	"github.com/unip-knative/unip/e2e/freeport"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// The keys of every server's root account.
const (
	AccessKey = "unip-test"
	SecretKey = "unip-test-secret"
)

const region = "us-east-1"

// Options of a server.
type Options struct {
	// Address of the server, HOST:PORT; "" is any on loopback.
	Address string
	// Webhook is where the server tells of changes, "" is nowhere. It must answer when the server
	// starts.
	Webhook string
	// Users have no right but those that policies of buckets give them.
	Users []s3.Keys
}

// Server is a running versitygw.
type Server struct {
	// Endpoint with its scheme, http://127.0.0.1:PORT.
	Endpoint string
	*minio.Client
}

// given is what the process is told, as JSON in its environment.
type given struct {
	Dir string
	Options
}

const variable = "UNIP_TEST_VERSITYGW"

func init() {
	text := os.Getenv(variable)
	if text == "" {
		return
	}
	var g given
	err := json.Unmarshal([]byte(text), &g)
	if err == nil {
		err = g.serve()
	}
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}

func (g given) serve() error {
	for _, dir := range []string{"files", "attributes", "accounts"} {
		if err := os.MkdirAll(filepath.Join(g.Dir, dir), 0o700); err != nil {
			return err
		}
	}
	beside := filepath.Join(g.Dir, "attributes")
	kept, err := meta.NewSideCar(beside)
	if err != nil {
		return err
	}
	files, err := posix.New(filepath.Join(g.Dir, "files"), kept, posix.PosixOpts{SideCarDir: beside,
		CopyObjectThreshold: 5 << 30})
	if err != nil {
		return err
	}
	root := auth.Account{Access: AccessKey, Secret: SecretKey, Role: auth.RoleAdmin}
	accounts, err := auth.NewInternal(root, filepath.Join(g.Dir, "accounts"))
	if err != nil {
		return err
	}
	for _, u := range g.Users {
		if err := accounts.CreateAccount(auth.Account{Access: u.AccessKeyID, Secret: u.SecretAccessKey,
			Role: auth.RoleUser}); err != nil {
			return err
		}
	}
	var events s3event.S3EventSender
	if g.Webhook != "" {
		if events, err = s3event.InitEventSender(&s3event.EventConfig{WebhookURL: g.Webhook}); err != nil {
			return err
		}
	}
	api, err := s3api.New(files, middlewares.RootUserConfig{Access: root.Access, Secret: root.Secret}, region, accounts,
		nil, nil, events, nil, s3api.WithQuiet(), s3api.WithKeepAlive(), s3api.WithConcurrencyLimiter(1024, 512),
		s3api.WithMpMaxParts(10000))
	if err != nil {
		return err
	}
	return api.ServeMultiPort([]string{g.Address})
}

// Start starts a server with nothing in it, which ends with the test.
func Start(t testing.TB, o Options) *Server {
	t.Helper()
	if o.Address == "" {
		o.Address = freeport.Address(t)
	}
	g := given{Dir: t.TempDir(), Options: o}
	text, err := json.Marshal(g)
	if err != nil {
		t.Fatal(err)
	}
	program, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	log, err := os.Create(filepath.Join(t.TempDir(), "versitygw.log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd := exec.Command(program)
	cmd.Env, cmd.Stdout, cmd.Stderr = append(os.Environ(), variable+"="+string(text)), log, log
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting versitygw: %v", err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	s := &Server{Endpoint: "http://" + g.Address}
	for deadline := time.Now().Add(30 * time.Second); ; time.Sleep(20 * time.Millisecond) {
		resp, err := http.Get(s.Endpoint)
		if err == nil {
			resp.Body.Close()
			break
		}
		if time.Now().After(deadline) {
			b, _ := os.ReadFile(log.Name())
			t.Fatalf("versitygw is not ready: %v\n%s", err, b)
		}
	}
	s.Client = s.As(t, s3.Keys{AccessKeyID: AccessKey, SecretAccessKey: SecretKey})
	return s
}

// As is a client of the server with other keys.
func (s *Server) As(t testing.TB, k s3.Keys) *minio.Client {
	t.Helper()
	c, err := minio.New(s.Endpoint[len("http://"):], &minio.Options{
		Creds: credentials.NewStaticV4(k.AccessKeyID, k.SecretAccessKey, ""), Region: region,
		BucketLookup: minio.BucketLookupPath,
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// Put writes an object.
func (s *Server) Put(t testing.TB, bucket, key, content string) {
	t.Helper()
	_, err := s.PutObject(context.Background(), bucket, key, strings.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
}

// Allow gives a user rights in a bucket, as its policy: verbs ("s3:GetObject") on the bucket and on
// all objects in it. It replaces what was allowed before.
func (s *Server) Allow(t testing.TB, bucket string, rights map[string][]string) {
	t.Helper()
	type statement struct {
		Effect    string
		Principal map[string][]string
		Action    []string
		Resource  []string
	}
	policy := struct {
		Version   string
		Statement []statement
	}{Version: "2012-10-17"}
	for user, verbs := range rights {
		for _, v := range verbs {
			resource := "arn:aws:s3:::" + bucket + "/*"
			if v == "s3:ListBucket" {
				resource = "arn:aws:s3:::" + bucket
			}
			policy.Statement = append(policy.Statement, statement{Effect: "Allow",
				Principal: map[string][]string{"AWS": {user}}, Action: []string{v}, Resource: []string{resource}})
		}
	}
	b, err := json.Marshal(policy)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetBucketPolicy(context.Background(), bucket, string(b)); err != nil {
		t.Fatal(err)
	}
}
