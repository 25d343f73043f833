package main

import (
	"os/exec"
	"strings"
	"testing"
)

// Every command pays at its start for what is linked into any of them. unip serve has the inference server in it, which in a cluster fetches from S3; here nothing does, and the S3 client takes 1 to 2 ms to initialize.
func TestTheCommandLineIsWithoutS3(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if strings.HasPrefix(pkg, "github.com/minio/minio-go/") {
			t.Errorf("unip depends on %s", pkg)
		}
	}
}
