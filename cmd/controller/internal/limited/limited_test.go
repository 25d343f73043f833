package limited_test

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"

	"github.com/unip-knative/unip/cmd/controller/internal/limited"
)

// dial opens a connection from an address of this machine's.
func dial(t *testing.T, from string, to net.Addr) net.Conn {
	t.Helper()
	d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	c, err := d.DialContext(t.Context(), "tcp", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = c.Close() })
	return c
}

// taken reports whether the server has kept the connection: it answers each byte.
func taken(t *testing.T, c net.Conn) bool {
	t.Helper()
	if err := c.SetDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	_, werr := c.Write([]byte("x"))
	_, rerr := io.ReadFull(c, make([]byte, 1))
	var timeout net.Error
	if err := errors.Join(werr, rerr); errors.As(err, &timeout) && timeout.Timeout() {
		t.Fatal(err)
	}
	return werr == nil && rerr == nil
}

func TestConnectionsAreBounded(t *testing.T) {
	t.Parallel()
	plain, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limited.Listen(plain, 3, 2)
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = io.Copy(c, c)
				_ = c.Close()
				_ = c.Close() // counts once
			}()
		}
	}()
	first, second := dial(t, "127.0.0.1", l.Addr()), dial(t, "127.0.0.1", l.Addr())
	if !taken(t, first) || !taken(t, second) {
		t.Fatal("refused below the limit")
	}
	if taken(t, dial(t, "127.0.0.1", l.Addr())) {
		t.Error("a third one of one address")
	}
	if !taken(t, dial(t, "127.0.0.2", l.Addr())) {
		t.Error("another address has none left")
	}
	if taken(t, dial(t, "127.0.0.3", l.Addr())) {
		t.Error("a fourth one in all")
	}
	_ = first.Close()
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		if taken(t, dial(t, "127.0.0.1", l.Addr())) {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("a closed connection leaves no room")
		}
	}
}
