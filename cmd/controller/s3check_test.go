//go:build integration

package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/needs"
)

// The controller's program tries the server of its settings, and its report can be read by programs.
func TestS3Check(t *testing.T) {
	t.Parallel()
	server, dir := miniotest.Start(t), t.TempDir()
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("unip.yaml", fmt.Sprintf("s3: {endpoint: %q}", server.Endpoint))
	args := []string{"--config", filepath.Join(dir, "unip.yaml"), "--s3-credentials", dir}
	var out, progress bytes.Buffer
	code := s3Check(t.Context(), args, &out, &progress)
	if code != 3 || !strings.Contains(progress.String(), "unip-s3") {
		t.Errorf("without keys: %d %s", code, &progress)
	}
	write("accessKeyId", miniotest.AccessKey)
	write("secretAccessKey", miniotest.SecretKey)
	out.Reset()
	if code = s3Check(t.Context(), append(args, "-o", "json"), &out, io.Discard); code != 0 {
		t.Errorf("%d", code)
	}
	n := 0
	end, err := needs.ReadReport(&out, func(r needs.Result) {
		n++
		// This MinIO knows no target of the default's name.
		if r.Outcome == needs.NotMet && r.Check != needs.Notifications.Name && r.Check != needs.LinkHeaders.Name {
			t.Errorf("%+v", r)
		}
	})
	if err != nil || n != len(needs.Needs) || end.Left != "" || end.Err != "" {
		t.Errorf("%d results, %+v, %v", n, end, err)
	}
	if code := s3Check(t.Context(), []string{"--nothing"}, &out, io.Discard); code != 2 {
		t.Errorf("%d", code)
	}
}
