//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/live"
)

// unip runs one command as an operator does, wants its exit code, and gives standard output. What one
// of Knative's webhooks had no time for is begun again.
func unip(t *testing.T, m *live.Module, code int, args ...string) string {
	t.Helper()
	var out []byte
	what := "unip " + strings.Join(args, " ")
	err := live.Await(t.Context(), 6*time.Minute, what, func(ctx context.Context) (err error) {
		c := exec.CommandContext(ctx, os.Getenv("CLUSTER"),
			append([]string{"exec", "--", filepath.Join(m.Root, "bin", "unip")}, args...)...)
		c.Dir = m.Root
		out, err = c.Output()
		said := ""
		var exit *exec.ExitError
		if errors.As(err, &exit) {
			said, err = string(exit.Stderr), nil
		}
		if got := c.ProcessState.ExitCode(); err == nil && got != code {
			err = fmt.Errorf("exit code %d, want %d\n%s\n%s", got, code, out, said)
		}
		return live.UnlessWebhook(err)
	})
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

// An operator brings a module to the cluster, looks at a change before it is made, makes it, and
// removes the module, with nothing but unip.
func TestApplyDiffDelete(t *testing.T) {
	t.Parallel()
	ns := "pu-e2e-pa-apply"
	m := cluster.Module(ns)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.Diagnose(context.Background()))
			_ = m.Delete(context.Background())
		}
	})
	if err := m.Delete(t.Context()); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "module.yaml")
	write := func(text string) {
		t.Helper()
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unip := func(code int, args ...string) string {
		t.Helper()
		return unip(t, m, code, args...)
	}
	wants := func(what, got string, parts ...string) {
		t.Helper()
		for _, p := range parts {
			if !strings.Contains(got, p) {
				t.Errorf("%s lacks %q:\n%s", what, p, got)
			}
		}
	}

	first := strings.ReplaceAll(runsHead, "NS", ns) + diamondOf(ns, "join", "true")
	write(first)
	wants("the first comparison", unip(1, "diff", "-f", file), "kind: Broker", "+metadata:")
	wants("apply", unip(0, "apply", "-f", file), "namespace/"+ns+" created",
		"service.serving.knative.dev/gateway created")
	if got := unip(0, "diff", "-f", file); got != "" {
		t.Errorf("after apply there is a difference:\n%s", got)
	}
	if got := unip(0, "apply", "-f", file); strings.Contains(got, "configured") || strings.Contains(got, "created") {
		t.Errorf("a second apply changed something:\n%s", got)
	}

	// Another password, another pipeline in place of the first.
	second := strings.ReplaceAll(strings.Replace(first, "ann: s3same", "ann: another-s3same", 1), "join", "merge")
	write(second)
	d := unip(1, "diff", "-f", file)
	wants("the comparison", d, "-  ann: '*** (", "+  ann: '*** (", "live/trigger.eventing.knative.dev/join-upload-0",
		"module/pipeline.runtime.unified-platform.cs.hse.ru/merge")
	if strings.Contains(d, "s3same") || strings.Contains(d, "czNzYW1l") {
		t.Errorf("the comparison shows a password:\n%s", d)
	}
	out := unip(0, "apply", "-f", file)
	wants("apply", out, "trigger.eventing.knative.dev/join-chain deleted",
		"trigger.eventing.knative.dev/join-upload-0 deleted",
		"pipeline.runtime.unified-platform.cs.hse.ru/join deleted",
		"kept: revision gateway-00001 refers to it", "service.serving.knative.dev/gateway configured")
	if a, err := m.Call(t.Context(), live.Request{Method: "GET", Path: "/" + ns + "/pipelines/runs", User: user,
		Password: "another-" + password}); err != nil || a.Status != 200 {
		t.Errorf("after the change: %d %s %v", a.Status, a.Body, err)
	}

	// A box that the manifests no longer have stays, until it is said that it may go.
	write(second + strings.ReplaceAll(
		"---\napiVersion: unified-platform.cs.hse.ru/v1\nkind: DataBox\nmetadata: {name: spare, namespace: NS}\nspec: {s3DefaultStorage: {}}\n", "NS", ns))
	wants("apply", unip(0, "apply", "-f", file), "databox.unified-platform.cs.hse.ru/spare created")
	write(second)
	if got := unip(0, "apply", "-f", file); strings.Contains(got, "spare") {
		t.Errorf("the box was touched:\n%s", got)
	}
	wants("apply --prune-boxes", unip(0, "apply", "-f", file, "--prune-boxes", "-o", "json"),
		`"object": "databox.unified-platform.cs.hse.ru/spare",`, `"result": "deleted"`)

	write(strings.Replace(second, "published: true", "publishd: true", 1))
	unip(1, "apply", "-f", file)
	unip(3, "diff", "-f", file)

	write(second)
	wants("delete", unip(0, "delete", "-f", file), "service.serving.knative.dev/gateway deleted",
		"namespace/"+ns+" deleted")
	if _, err := m.Kubectl(t.Context(), "get", "namespace", ns); err == nil {
		t.Error("the namespace is still there")
	}
	unip(0, "delete", "-f", file)
}
