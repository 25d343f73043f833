package storage_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// program is a client that Debian has. In CI it is there; elsewhere a test says what is missing. With
// -short, as make check has it, it is left out: make test runs it.
func program(t *testing.T, name, deb string, probe ...string) string {
	t.Helper()
	if testing.Short() {
		t.Skip("slow programs")
	}
	for _, path := range []string{"/usr/bin/" + name, name} { // before what a version manager puts in PATH
		if exec.Command(path, probe...).Run() == nil {
			return path
		}
	}
	if os.Getenv("CI") != "" {
		t.Fatalf("install %s (make dev-clients)", deb)
	}
	t.Skipf("%s is not installed (make dev-clients)", deb)
	return ""
}

func run(t *testing.T, env []string, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", name, args, err, out)
	}
	return string(out)
}

// files writes a small file, and one that clients send in parts.
func files(t *testing.T) (small, large string, content []byte) {
	t.Helper()
	dir := t.TempDir()
	small, large = filepath.Join(dir, "small"), filepath.Join(dir, "large")
	content = bytes.Repeat([]byte("0123456789abcdef"), 1<<20+1)
	write(t, small, "small")
	if err := os.WriteFile(large, content, 0o600); err != nil {
		t.Fatal(err)
	}
	return small, large, content
}

func check(t *testing.T, name string, want []byte) {
	t.Helper()
	got, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got, want) {
		t.Errorf("%s: %d bytes, want %d, or others", name, len(got), len(want))
	}
}

func TestCurl(t *testing.T) {
	t.Parallel()
	curl := program(t, "curl", "curl", "--version")
	s := open(t, t.TempDir())
	c := client(t, s)
	_, large, content := files(t)
	const key = "users/ann/file_groups/g/имя + %41 &=.bin"
	write, err := c.PresignedPutObject(t.Context(), bucket, key, time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	run(t, nil, curl, "-fsS", "-T", large, write.String())
	check(t, filepath.Join(s.Folder(bucket), key), content)
	read, err := c.PresignedGetObject(t.Context(), bucket, key, time.Minute, nil)
	if err != nil {
		t.Fatal(err)
	}
	got := filepath.Join(t.TempDir(), "got")
	run(t, nil, curl, "-fsS", "-o", got, read.String())
	check(t, got, content)
	part := filepath.Join(t.TempDir(), "part")
	run(t, nil, curl, "-fsS", "-r", "16-31", "-o", part, read.String())
	check(t, part, content[16:32])
}

func TestAWS(t *testing.T) {
	t.Parallel()
	aws := program(t, "aws", "awscli", "--version")
	s := open(t, t.TempDir())
	x := s.Session(bucket, "")
	// Version 1 of the client signs links by signature version 2 unless it is told otherwise.
	config := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(config, []byte("[default]\ns3 =\n  signature_version = s3v4\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := []string{
		"AWS_ACCESS_KEY_ID=" + x.AccessKeyID, "AWS_SECRET_ACCESS_KEY=" + x.SecretAccessKey,
		"AWS_DEFAULT_REGION=" + x.Region, "AWS_CONFIG_FILE=" + config, "AWS_SHARED_CREDENTIALS_FILE=/dev/null",
		"AWS_EC2_METADATA_DISABLED=true", "AWS_PAGER=",
	}
	s3 := func(args ...string) string {
		return run(t, env, aws, append([]string{"--endpoint-url", s.Endpoint()}, args...)...)
	}
	small, large, content := files(t)
	at := "s3://" + bucket + "/users/ann/file_groups/g/"
	s3("s3", "cp", small, at+"имя + %41")
	s3("s3", "cp", large, at+"large")
	got := filepath.Join(t.TempDir(), "got")
	s3("s3", "cp", at+"large", got)
	check(t, got, content)
	s3("s3", "cp", at+"large", "s3://"+bucket+"/copy")
	check(t, filepath.Join(s.Folder(bucket), "copy"), content)
	dir := t.TempDir()
	s3("s3", "sync", "s3://"+bucket+"/users/", dir)
	check(t, filepath.Join(dir, "ann/file_groups/g/имя + %41"), []byte("small"))
	link := bytes.TrimSpace([]byte(s3("s3", "presign", at+"large")))
	if status, body := request(t, "GET", string(link), "", nil); status != 200 || body != string(content) {
		t.Errorf("%d, %d bytes", status, len(body))
	}
	s3("s3", "rm", "--recursive", "s3://"+bucket+"/users/")
	if left, err := os.ReadDir(filepath.Join(s.Folder(bucket), "users")); err == nil {
		t.Errorf("%v is left", left)
	}
}

func TestBoto3(t *testing.T) {
	t.Parallel()
	python := program(t, "python3", "python3-boto3", "-c", "import boto3")
	s := open(t, t.TempDir())
	x := s.Session(bucket, "")
	small, large, content := files(t)
	got := filepath.Join(t.TempDir(), "got")
	run(t, []string{"AWS_EC2_METADATA_DISABLED=true"}, python, "testdata/boto.py", s.Endpoint(), x.AccessKeyID,
		x.SecretAccessKey, bucket, small, large, got)
	check(t, got, content)
	check(t, filepath.Join(s.Folder(bucket), "a/large"), content)
}
