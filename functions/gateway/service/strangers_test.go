package service

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/unip-knative/unip/e2e/attack/inputs"
)

// The paths that strangers try on the cluster reach no component, as they go over the wire.
func TestPathsOfStrangers(t *testing.T) {
	t.Parallel()
	m := start(t, func(_ http.ResponseWriter, r *http.Request) { t.Errorf("%s reached the component", r.URL) })
	for _, c := range inputs.Read("paths", "pu-ann") {
		conn, err := net.Dial("tcp", m.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\nContent-Length: 2\r\n\r\n{}",
			c.Input)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
		if err != nil {
			t.Fatalf("%s %s: %v", c.Place, c.Input, err)
		}
		if !c.Wants(r.StatusCode) && r.StatusCode != http.StatusBadRequest { // net/http's own
			t.Errorf("%s %s: %d, want %v", c.Place, c.Input, r.StatusCode, c.Want)
		}
	}
}

// The spellings of a login that strangers try on the cluster are nobody's.
func TestLoginsOfStrangers(t *testing.T) {
	t.Parallel()
	for _, c := range inputs.Logins("ann", "secret") {
		m := start(t, func(http.ResponseWriter, *http.Request) {}) // each with a gateway that has seen no failures yet
		conn, err := net.Dial("tcp", m.Listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		fmt.Fprintf(conn, "POST /pu-ann/leaf/predict HTTP/1.1\r\nHost: gateway\r\nConnection: close\r\n"+
			"Content-Length: 2\r\n%s\r\n\r\n{}", c.Input)
		r, err := http.ReadResponse(bufio.NewReader(conn), nil)
		conn.Close()
		if err != nil {
			t.Fatalf("%q: %v", c.Input, err)
		}
		if !c.Wants(r.StatusCode) {
			t.Errorf("%q: %d, want %v", c.Input, r.StatusCode, c.Want)
		}
	}
}

// Behind the files' path stands what the file API takes apart itself; none of the hostile ones
// leads to another API.
func TestPathsOfFilesAreTheFileAPIs(t *testing.T) {
	t.Parallel()
	m := start(t, nil)
	for _, c := range inputs.Read("files", "pu-ann") {
		path, _, _ := strings.Cut(c.Input, "?")
		found, ok := m.gateway.table.Find("POST", "/pu-ann/files/"+path)
		if ok && !strings.HasPrefix(found.Upstream, path) {
			t.Errorf("%s %s: %+v", c.Place, c.Input, found)
		}
	}
}
