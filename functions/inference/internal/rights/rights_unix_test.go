//go:build unix

package rights

import (
	"errors"
	"io"
	"net"
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// pair is two ends of a Unix socket.
func pair(t *testing.T) (a, b *net.UnixConn) {
	t.Helper()
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(t.TempDir(), "s"), Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	a, err = net.DialUnix("unix", nil, l.Addr().(*net.UnixAddr))
	if err != nil {
		t.Fatal(err)
	}
	b, err = l.AcceptUnix()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { a.Close(); b.Close() })
	return a, b
}

// send writes with n descriptors of an open file.
func send(t *testing.T, c *net.UnixConn, text string, n int) {
	t.Helper()
	f, err := os.CreateTemp(t.TempDir(), "")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteString("content"); err != nil {
		t.Fatal(err)
	}
	var control []byte
	if n > 0 {
		all := make([]int, n)
		for i := range all {
			all[i] = int(f.Fd())
		}
		control = syscall.UnixRights(all...)
	}
	if _, _, err := c.WriteMsgUnix([]byte(text), control, nil); err != nil {
		t.Fatal(err)
	}
}

// descriptors that this process has open.
func descriptors(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

// Not parallel: it counts this process's descriptors.
func TestReader(t *testing.T) {
	a, b := pair(t)
	r := NewReader(b)
	p := make([]byte, 10)
	before := descriptors(t)

	send(t, a, "none", 0)
	if n, err := r.Read(p); n != 4 || err != nil {
		t.Errorf("%d %v", n, err)
	}
	send(t, a, "unexpected", 3)
	if n, err := r.Read(p); n != 10 || err != nil || len(r.Taken()) != 0 || descriptors(t) != before {
		t.Errorf("unexpected ones: %d %v, %d open, before %d", n, err, descriptors(t), before)
	}

	r.Expect()
	send(t, a, "two", 2)
	n, err := r.Read(p)
	got := r.Taken()
	if n != 3 || err != nil || len(got) != 2 {
		t.Fatalf("%d %v %d", n, err, len(got))
	}
	content := make([]byte, 7)
	if _, err := got[1].ReadAt(content, 0); err != nil || string(content) != "content" {
		t.Errorf("%q %v", content, err)
	}
	Close(got)

	r.Expect()
	send(t, a, "x", Max)
	if _, err := r.Read(p); err != nil {
		t.Errorf("as many as may: %v", err)
	}
	Close(r.Taken())
	for name, pieces := range map[string][]int{"too many at once": {Max + 1}, "too many in pieces": {Max, 1}} {
		r.Expect()
		var err error
		for _, n := range pieces {
			send(t, a, "x", n)
			_, err = r.Read(p)
		}
		if err == nil {
			t.Errorf("%s: no error", name)
		}
		Close(r.Taken())
	}
	if now := descriptors(t); now != before {
		t.Errorf("%d descriptors, before %d", now, before)
	}
	r.Expect()
	if err := b.SetReadDeadline(time.Now().Add(-time.Second)); err != nil {
		t.Fatal(err)
	}
	if n, err := r.Read(p); n != 0 || !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("%d %v", n, err)
	}
	if err := b.SetReadDeadline(time.Time{}); err != nil {
		t.Fatal(err)
	}
	a.Close()
	if _, err := r.Read(p); err != io.EOF { // the very value: bufio and io compare with it
		t.Errorf("%v", err)
	}
	if err := b.Close(); err != nil {
		t.Error(err)
	}
	if _, err := r.Read(p); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}
