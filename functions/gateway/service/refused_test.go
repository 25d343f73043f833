package service

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/gateway/internal/forward"
	"github.com/unip-knative/unip/functions/gateway/internal/runs"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// A caller that sends all of a body before it reads hears why the gateway refuses its call, and its
// connection goes on. Proxies on the way, in which an answer that overtakes the body may be lost, hear it too.
func TestRefusalsComeAfterTheBody(t *testing.T) {
	t.Parallel()
	m := startWith(t, strings.Replace(routesFile, `{"apis":[`,
		`{"apis":[{"name":"train","kind":"experimentPipeline","path":"train","target":"train"},`, 1), nil)
	m.gateway.runs = &runs.Handler{}
	c, err := net.Dial("tcp", m.Listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.SetDeadline(time.Now().Add(time.Minute)); err != nil {
		t.Fatal(err)
	}
	in, zeros := bufio.NewReader(c), make([]byte, forward.MaxBody+1) // more than two sockets hold
	for _, x := range []struct {
		path   string
		size   int
		status int
		slug   string
	}{
		{"/nothing", 32 << 20, http.StatusNotFound, problem.NotFound},
		{"/leaf/predict", 32 << 20, http.StatusUnauthorized, problem.Unauthorized},
		{"/open/predict", len(zeros), http.StatusRequestEntityTooLarge, problem.BodyTooLarge},
		{"/train/run", 32 << 20, http.StatusRequestEntityTooLarge, problem.BodyTooLarge},
	} {
		head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n", x.path, x.size)
		if _, err := io.Copy(c, io.MultiReader(strings.NewReader(head), bytes.NewReader(zeros[:x.size]))); err != nil {
			t.Fatalf("%s: %v", x.path, err)
		}
		resp, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("%s: %v", x.path, err)
		}
		body, err := io.ReadAll(resp.Body)
		if err != nil || resp.Close {
			t.Errorf("%s: %v, the connection ends: %v", x.path, err, resp.Close)
		}
		wantProblem(t, resp, string(body), x.status, x.slug)
	}
}
