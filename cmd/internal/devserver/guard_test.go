//go:build unix

package devserver

import (
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/unip-knative/unip/eventing/origins"
	"github.com/unip-knative/unip/functions/inference/service"
)

// A page whose own name leads to this machine, and one of another origin, cannot call the function.
func TestWebPagesCannotCall(t *testing.T) {
	t.Parallel()
	loopback := &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 8002}
	everywhere := &net.TCPAddr{IP: net.IPv4zero, Port: 8002}
	sites, err := origins.New([]string{"http://localhost:3000"})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		at   net.Addr
		host string
		more []string // header and value
		want int
	}{
		{loopback, "127.0.0.1:8002", nil, 200},
		{loopback, "localhost:8002", nil, 200},
		{loopback, "[::1]:8002", nil, 200},
		{loopback, "LOCALHOST.:8002", nil, 200},
		{loopback, "evil.example", nil, 421},
		{loopback, "evil.example:8002", nil, 421},
		{loopback, "127.0.0.1.evil.example:8002", nil, 421},
		{loopback, "localhost.evil.example:8002", nil, 421},
		{loopback, "localhost:80", nil, 421},
		{loopback, "localhost", nil, 421},
		{loopback, "", nil, 421},
		{loopback, "192.0.2.7:8002", nil, 421},
		{loopback, "dev.example:9000", nil, 200}, // --allow-host
		{everywhere, "192.0.2.7:9000", nil, 200},
		{everywhere, "[::]:8002", nil, 200},
		{everywhere, "evil.example:8002", nil, 421},
		{loopback, "localhost:8002", []string{"Origin", "https://evil.example"}, 403},
		{loopback, "localhost:8002", []string{"Sec-Fetch-Site", "cross-site"}, 403},
		{loopback, "localhost:8002", []string{"Sec-Fetch-Site", "same-site"}, 403},
		{loopback, "localhost:8002", []string{"Origin", "null"}, 403},
		{loopback, "localhost:8002", []string{"Origin", "http://localhost:8002"}, 200},
		{loopback, "localhost:8002", []string{"Sec-Fetch-Site", "same-origin"}, 200},
		{loopback, "localhost:8002", []string{"Origin", "http://localhost:3000"}, 200}, // origins of the API
		{loopback, "192.0.2.7:8002", []string{"Origin", "http://localhost:3000"}, 421},
	} {
		r := httptest.NewRequest(http.MethodPost, "/predict", strings.NewReader("{}"))
		r.Host = c.host
		r.Header.Set("Content-Type", "text/plain")
		if c.more != nil {
			r.Header.Set(c.more[0], c.more[1])
		}
		w := httptest.NewRecorder()
		guard(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}), c.at, []string{"dev.example"},
			sites).ServeHTTP(w, r)
		if w.Code != c.want || (c.want != 200 && w.Header().Get("Content-Type") != "application/problem+json") {
			t.Errorf("at %s, host %s, %v: %d %s, want %d", c.at, c.host, c.more, w.Code, w.Body, c.want)
		}
	}
}

// Neither a link out of the folder of boxes nor a pipe in it is a file or a model.
func TestFoldersOfBoxesAreNotLeft(t *testing.T) {
	t.Parallel()
	outside, boxes := t.TempDir(), t.TempDir()
	write(t, filepath.Join(outside, "secret.txt"), "secret")
	write(t, filepath.Join(boxes, "box/g/fine.txt"), "fine")
	for from, to := range map[string]string{
		"box/g/link.txt": filepath.Join(outside, "secret.txt"), "box/out": outside, "box/g/within.txt": "fine.txt",
	} {
		if err := os.Symlink(to, filepath.Join(boxes, from)); err != nil {
			t.Fatal(err)
		}
	}
	if err := syscall.Mkfifo(filepath.Join(boxes, "box/g/pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	f := &Folders{Dir: boxes}
	for name, want := range map[string]bool{
		"g/fine.txt": true, "g/within.txt": true, "g/link.txt": false, "out/secret.txt": false, "g/pipe": false,
	} {
		place := service.Place{Box: "box", Path: name}
		v, err := f.Stat(t.Context(), "", place)
		if (err == nil) != want {
			t.Errorf("%s: %v", name, err)
		}
		if err := f.Fetch(t.Context(), "", place, v, filepath.Join(t.TempDir(), "copy")); (err == nil) != want {
			t.Errorf("%s is fetched: %v", name, err)
		}
		if m := OpenModel(boxes, "box", name); (m.Missing() == "") != want {
			t.Errorf("%s as a model: %q", name, m.Missing())
		}
	}
	file, err := os.Open(filepath.Join(boxes, "box/g/fine.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	contentOutside := service.Content{Place: service.Place{Box: "box", Path: "out/stored.txt"}, File: file, Size: 4}
	if err := f.Store(t.Context(), "", []service.Content{contentOutside}); err == nil {
		t.Error("a file is stored outside")
	}
	contentWithin := service.Content{Place: service.Place{Box: "new", Path: "g/stored.txt"}, File: file, Size: 4}
	if err := f.Store(t.Context(), "", []service.Content{contentWithin}); err != nil {
		t.Error(err)
	}
	if b, err := os.ReadFile(filepath.Join(boxes, "new/g/stored.txt")); string(b) != "fine" {
		t.Errorf("stored: %q, %v", b, err)
	}
}
