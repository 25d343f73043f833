package worker

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
)

// python runs the frames of worker.py on a socket: what it reads it writes back as a line of JSON,
// type and lengths; at an error the error. It ends with its standard input, so with who has started it.
const python = `
import json, os, socket, sys, threading
threading.Thread(target=lambda: (sys.stdin.read(), os._exit(0)), daemon=True).start()
sys.path.insert(0, sys.argv[1])
import worker
listener = socket.socket(socket.AF_UNIX)
listener.bind(sys.argv[2])
listener.listen(1)
print("listens", flush=True)
while True:
    connection, _ = listener.accept()
    with connection:
        try:
            kind, meta, body = worker.receive(connection)
            said = {} if kind is None else {"kind": kind, "meta": len(meta), "body": len(body)}
        except ValueError as e:
            said = {"error": str(e)}
        try:
            connection.sendall(json.dumps(said).encode())
        except OSError:
            pass  # it was closed with bytes unread
`

// startReader starts it.
func startReader(t testing.TB) (socket string) {
	t.Helper()
	dir, err := os.MkdirTemp("", "w") // a socket's path is short
	if err != nil {
		t.Fatal(err)
	}
	socket = filepath.Join(dir, "s")
	p := exec.Command("python3", "-B", "-c", python, ".", socket)
	// A fuzzing worker that is killed is waited for until nobody has its own stderr any more.
	if p.Stderr, err = os.Create(filepath.Join(dir, "stderr")); err != nil {
		t.Fatal(err)
	}
	out, err := p.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := p.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		_ = p.Wait()
		os.RemoveAll(dir)
	})
	if _, err := io.ReadFull(out, make([]byte, len("listens\n"))); err != nil {
		said, _ := os.ReadFile(filepath.Join(dir, "stderr"))
		t.Fatalf("%v\n%s", err, said)
	}
	return socket
}

// reveal opens files and folders to everybody, keeps the other bits, and follows no link.
func TestReveal(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	in := func(name string) string { return filepath.Join(dir, name) }
	for _, folder := range []string{"top/deep", "elsewhere"} {
		if err := os.MkdirAll(in(folder), 0o700); err != nil {
			t.Fatal(err)
		}
	}
	modes := map[string]os.FileMode{"top/f": 0o600, "top/deep/g": 0o200, "top/run": 0o700, "elsewhere/h": 0o600}
	for name, mode := range modes {
		if err := os.WriteFile(in(name), nil, mode); err != nil {
			t.Fatal(err)
		}
	}
	for link, to := range map[string]string{"top/file": "../elsewhere/h", "top/folder": "../elsewhere"} {
		if err := os.Symlink(to, in(link)); err != nil {
			t.Fatal(err)
		}
	}
	p := exec.Command("python3", "-B", "-c", "import sys; sys.path.insert(0, '.'); import worker\n"+
		"for path in sys.argv[1:]: worker.reveal(path)", in("top"), in("nothing"), in("top/file"))
	if out, err := p.CombinedOutput(); err != nil {
		t.Fatalf("%v %s", err, out)
	}
	for name, want := range map[string]os.FileMode{
		"top": 0o755, "top/deep": 0o755, "top/f": 0o644, "top/deep/g": 0o644, "top/run": 0o744, "elsewhere": 0o700,
		"elsewhere/h": 0o600,
	} {
		if info, err := os.Stat(in(name)); err != nil || info.Mode().Perm() != want {
			t.Errorf("%s: %v %v, want %v", name, info.Mode().Perm(), err, want)
		}
	}
}

// FuzzFrames gives both sides the same bytes: the worker's reader takes what the server's takes,
// with the same lengths, and refuses the rest without ending.
func FuzzFrames(f *testing.F) {
	f.Add([]byte{6, 0, 0, 0, 0, 0, 0, 2, 'h', 'i'})
	f.Add([]byte{6, 0, 0, 3, 0, 0, 0, 2, 'a', 0, 'b', 'h', 'i'})
	f.Add([]byte{1, 0, 0, 0, 0x10, 0, 0, 0})
	f.Add([]byte{6, 0, 0, 0, 0xff, 0xff, 0xff, 0xff})
	f.Add([]byte{6, 0xff, 0xff, 0xff, 0, 0, 0, 0})
	f.Add([]byte{6, 0})
	f.Add([]byte{})
	socket := startReader(f)
	f.Fuzz(func(t *testing.T, in []byte) {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
		_, _ = conn.Write(in) // it may have refused already
		_ = conn.(*net.UnixConn).CloseWrite()
		out, _ := io.ReadAll(conn) // reset, where bytes were unread
		var said struct {
			Kind, Meta, Body int
			Error            string
		}
		if json.Unmarshal(out, &said) != nil {
			t.Fatalf("the reader said %q", out)
		}
		want, err := frame.Read(bytes.NewReader(in))
		switch {
		case err != nil && said.Kind >= int(frame.Hello) && said.Kind <= int(frame.Exit):
			// kinds are judged by who gets them
			t.Errorf("the worker took what the server refuses: %+v, %v", said, err)
		case err == nil && (said.Kind != int(want.Type) || said.Meta != len(want.Meta) || said.Body != len(want.Body)):
			t.Errorf("the worker read %+v, the server %d, %d, %d", said, want.Type, len(want.Meta), len(want.Body))
		}
	})
}
