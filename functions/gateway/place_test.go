package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/unip-knative/unip/functions/gateway/internal/paths"
)

// The gateway finds out from its pod and its own name where it is, and how the module's objects are called there.
func TestPlace(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "namespace")
	if err := os.WriteFile(file, []byte("elsewhere"), 0o600); err != nil {
		t.Fatal(err)
	}
	for service, prefix := range map[string]string{"gateway": "", "stage-gateway": "stage-", "gateway-suffix": "error", "": "error"} {
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
	table, err := paths.Parse([]byte(`{"apis":[{"name":"a","kind":"mlComponent","path":"leaf","target":"leaf","timeoutSeconds":1},{"name":"f","kind":"files","path":"files"}],"boxes":["users","data"],"datasets":["data"],"pipelines":["fit"]}`), "elsewhere", "stage-")
	if err != nil {
		t.Fatal(err)
	}
	m, ok := table.Find("/elsewhere/leaf/predict")
	if !ok || m.API.Target != "stage-leaf" || !slices.Equal(table.Boxes(), []string{"stage-users", "stage-data"}) || !table.Dataset("stage-data") {
		t.Errorf("%+v %v", m, table.Boxes())
	}
}
