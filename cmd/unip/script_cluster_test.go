//go:build integration

package main

import (
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster/clustertest"
)

// ready is the command of scripts that does the work of the controllers that are not there:
//
//	ready [-not REASON] NAMESPACE KIND/NAME...
func ready(t *testing.T, c *clustertest.Server) func(*testscript.TestScript, bool, []string) {
	return func(ts *testscript.TestScript, _ bool, args []string) {
		reason := ""
		if args[0] == "-not" {
			reason, args = args[1], args[2:]
		}
		for _, object := range args[1:] {
			ts.Check(c.Ready(t.Context(), args[0], object, reason))
		}
	}
}

// Stories of modules on a cluster: a real API server and kubectl, no controllers. Each has a
// namespace of its own. The first, of an operator, begins on a cluster that knows nothing of
// Knative and unip.
func TestScriptsOnACluster(t *testing.T) {
	t.Parallel()
	c := clustertest.Start(t)
	s3 := httptest.NewServer(http.NotFoundHandler()) // an answer is all that is wanted of it
	t.Cleanup(s3.Close)
	all := commands()
	all["ready"] = ready(t, c)
	env := []string{
		"KUBECONFIG=" + c.Kubeconfig, "PATH=" + os.Getenv("PATH") + string(os.PathListSeparator) + c.Bin,
		releaseVariable + "=1", "S3=" + s3.URL, "CRDS=" + strings.Join(c.CRDs, ","),
	}
	t.Run("operator", func(t *testing.T) {
		scripts(t, testscript.Params{Files: []string{"testdata/operator/doctor.txtar"}, Cmds: all}, env...)
	})
	c.Install(t)
	t.Run("author", func(t *testing.T) {
		scripts(t, testscript.Params{Dir: "testdata/cluster", Cmds: all}, env...)
	})
}
