//go:build e2e

package attack

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/e2e/freeport"
	"github.com/unip-knative/unip/e2e/live"
)

// A page of another site, opened in a browser that knows the password, changes nothing and starts
// nothing.
func TestWebPages(t *testing.T) {
	t.Parallel()
	w := enter(t)
	type call struct{ method, path, body string }
	calls := []call{
		{"POST", "stage/run", `{"inputs":{"code":"` + annsFile + `"}}`},
		{"POST", "stage", `{"inputs":{"code":"` + annsFile + `"}}`},
		{"POST", "pipelines/stage/run", `{"inputs":{"code":"` + annsFile + `"}}`},
		{"PUT", "files/userdata/in/new?overwrite=true", ""}, {"DELETE", "files/userdata/in/web.txt", ""},
		{"POST", "closed/predict", noInputs}, {"POST", "pipelines/runs/x/cancel", ""},
	}
	sites := [][]string{
		{"Origin", "https://evil.example", "Sec-Fetch-Site", "cross-site", "Content-Type", "text/plain"},
		{"Origin", "https://evil.example", "Content-Type", "text/plain"},
		{"Origin", "null", "Content-Type", "application/x-www-form-urlencoded"},
		{"Sec-Fetch-Site", "cross-site", "Content-Type", "multipart/form-data"}, {"Sec-Fetch-Site", "same-site"},
	}
	tried(t, len(calls)*len(sites)+2)
	if err := w.Upload(t.Context(), "ann", passwords["ann"], "userdata/in/web.txt", []byte("x")); err != nil {
		t.Fatal(err)
	}
	for _, c := range calls {
		for _, site := range sites {
			a := w.call(t, c.method, "ann", c.path, live.Raw(c.body), site...)
			check(t, fmt.Sprintf("%s %s %v", c.method, c.path, site), a.Status, string(a.Body), 403)
		}
	}
	// No site may read answers; and what is no browser's goes on.
	for _, path := range []string{"closed/predict", "files/" + annsFile} {
		a := w.call(t, http.MethodOptions, "ann", path, nil, "Origin", "https://evil.example",
			"Access-Control-Request-Method", "POST")
		for k := range a.Header {
			if strings.HasPrefix(k, "Access-Control-Allow") {
				t.Errorf("OPTIONS %s: %s", path, k)
			}
		}
	}
	own := "http://" + w.host
	if a := w.call(t, http.MethodGet, "ann", "files/"+annsFile, nil, "Origin", own, "Sec-Fetch-Site",
		"same-origin"); a.Status != http.StatusOK {
		t.Errorf("a page of the own site: %d %s", a.Status, a.Body)
	}
	if a := w.call(t, http.MethodPut, "ann", "files/userdata/in/own?overwrite=true", nil, "Origin",
		own); a.Status != http.StatusOK && a.Status != http.StatusCreated {
		t.Errorf("a page of the own site that writes: %d %s", a.Status, a.Body)
	}
}

// `unip serve` on a developer's machine answers programs of that machine, not pages that the
// developer looks at.
func TestWebPagesAndServe(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, text := range map[string]string{
		"m.yaml": "apiVersion: unified-platform.cs.hse.ru/v1\nkind: MLComponent\nmetadata: {name: model, namespace: pu-x-pa-y}\nspec: {image: {existingImageName: x/y}, mlService: {inference: 'f:f'}}\n",
		"f.py":   "def f(inputs):\n    return []\n",
	} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	address := freeport.Address(t)
	ctx, cancel := context.WithCancel(t.Context())
	c := exec.CommandContext(ctx, filepath.Join(cluster.Root, "bin/unip"), "serve", "-f", dir, "--dir", dir, "--port",
		strings.Split(address, ":")[1])
	c.Cancel = func() error { return c.Process.Signal(os.Interrupt) }
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = c.Wait() })
	url := "http://" + address + "/predict"
	err := live.Await(t.Context(), 30*time.Second, "unip serve", func(context.Context) error {
		r, err := http.Get("http://" + address + "/readyz")
		if err == nil && r.StatusCode != http.StatusOK {
			err = fmt.Errorf("%s", r.Status)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	headers := [][]string{
		{"Host", "evil.example"}, {"Host", "evil.example:" + strings.Split(address, ":")[1]},
		{"Host", "localhost.evil.example"}, {"Origin", "https://evil.example"}, {"Origin", "null"},
		{"Sec-Fetch-Site", "cross-site"},
		{"Host", "169.254.169.254"},
	}
	tried(t, len(headers))
	for _, h := range headers {
		status, body := send(t, http.MethodPost, url, noInputs, append(h, "Content-Type", "text/plain")...)
		check(t, strings.Join(h, ": "), status, body, 400, 403, 421)
	}
	for _, h := range [][]string{{"Host", "localhost:" + strings.Split(address, ":")[1]},
		{"Origin", "http://" + address}, {}} {
		status, body := send(t, http.MethodPost, url, noInputs, append(h, "Content-Type", "application/json")...)
		check(t, "the developer "+strings.Join(h, ": "), status, body, 200)
	}
}
