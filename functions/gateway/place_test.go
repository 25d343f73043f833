package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// The gateway finds out from its pod and its own name where it is, and how the module's objects are
// called there.
func TestPlace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "namespace")
	if err := os.WriteFile(file, []byte("elsewhere"), 0o600); err != nil {
		t.Fatal(err)
	}
	for service, prefix := range map[string]string{"gateway": "", "stage-gateway": "stage-", "gateway-suffix": "error",
		"": "error"} {
		var o options
		err := o.place(file, service)
		if prefix == "error" {
			if err == nil || !strings.Contains(err.Error(), "nothing behind it") {
				t.Errorf("%q: %v", service, err)
			}
			continue
		}
		if err != nil || o.namespace != "elsewhere" || o.prefix != prefix {
			t.Errorf("%q: %+v %v", service, o, err)
		}
	}
	if err := new(options).place(file+"-missing", "gateway"); err == nil {
		t.Error("no error without a namespace")
	}
}
