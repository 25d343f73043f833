package main

import (
	"os/exec"
	"strings"
	"testing"
)

// Every command pays at its start for what is linked into any of them. unip serve has the inference server in it, which in a cluster knows S3 and gives metrics; the command line needs neither.
func TestTheCommandLineIsWithoutS3(t *testing.T) {
	t.Parallel()
	out, err := exec.Command("go", "list", "-deps", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	for _, pkg := range strings.Fields(string(out)) {
		if strings.HasPrefix(pkg, "github.com/minio/minio-go/") || strings.HasPrefix(pkg, "github.com/prometheus/client_golang/") {
			t.Errorf("unip depends on %s", pkg)
		}
	}
}
