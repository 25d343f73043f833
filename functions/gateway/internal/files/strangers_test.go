//go:build integration

package files_test

import (
	"net/http"
	"testing"

	"github.com/unip-knative/unip/e2e/attack/inputs"
)

// What ann puts behind the path leads to no file of bob's, on a real S3 server, and is her mistake.
func TestPathsOfStrangers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.s3.Put(t, w.bucket, "users/bob/file_groups/in/secret.csv", "bob")
	for _, c := range inputs.Read("files", "pu-ann") {
		code, body, _ := w.call(t, http.MethodGet, "ann", c.Input)
		if !c.Wants(code) {
			t.Errorf("%s %s: %d %v, want %v", c.Place, c.Input, code, body, c.Want)
		}
	}
}
