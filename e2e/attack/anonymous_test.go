//go:build e2e

package attack

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/attack/inputs"
	"github.com/unip-knative/unip/e2e/live"
)

const predict = "Content-Type: application/json\r\nContent-Length: 13\r\n\r\n{\"inputs\":[]}"

func TestAnonymousPaths(t *testing.T) {
	t.Parallel()
	w := enter(t)
	cases := inputs.Read("paths", namespace)
	tried(t, len(cases))
	for _, c := range cases {
		status, _, body := w.raw(t, "POST "+c.Input, predict)
		check(t, c.Place+" "+c.Input, status, body, c.Want...)
	}
}

// The ingress that is open to the world serves nothing of what lives inside.
func TestAnonymousHosts(t *testing.T) {
	t.Parallel()
	w := enter(t)
	hosts := []string{
		"model." + namespace + ".svc.cluster.local", "model." + namespace + ".svc", "model." + namespace,
		"alone." + namespace + ".svc.cluster.local",
		"gateway." + namespace + ".svc.cluster.local", "broker-ingress.knative-eventing.svc.cluster.local",
		"unip-events.unip-system.svc.cluster.local",
		"s3-events.unip-system.svc.cluster.local", "kubernetes.default.svc", "s3.s3.svc.cluster.local:9000",
		"localhost", "169.254.169.254", "model." + w.host, strings.ToUpper(w.host) + ".",
	}
	tried(t, len(hosts))
	for _, host := range hosts {
		for _, path := range []string{"/predict", "/" + namespace + "/default"} {
			status, _, body := exchange(t, strings.TrimPrefix(w.Ingress, "http://"),
				"POST "+path+" HTTP/1.1\r\nHost: "+host+"\r\nConnection: close\r\n"+predict)
			check(t, host+path, status, body, 400, 404, 421)
		}
	}
}

// What a request says of itself changes nothing about who calls.
func TestAnonymousClaims(t *testing.T) {
	t.Parallel()
	w := enter(t)
	file := `{"inputs":[{"name":"code","datatype":"str","data":"answer = open(file).read()"},{"name":"file","datatype":"FILE","data":"` + bobsFile + `"}]}`
	claims := []string{
		"Unip-Caller: eyJhbGciOiJub25lIn0.eyJzdWIiOiJib2IifQ.", "unip-caller: x", "X-Forwarded-User: bob",
		"X-Remote-User: bob", "Remote-User: bob", "Unip-User: bob",
		"Connection: Unip-Caller", "Forwarded: for=127.0.0.1;by=gateway", "X-Original-Url: /predict",
		"X-Rewrite-Url: /closed/predict", "X-Forwarded-Prefix: /x", "X-Forwarded-Host: gateway",
		"K-Network-Hash: override", "Knative-Serving-Probe: queue", "K-Proxy-Request: activator",
		"Authorization: Basic", "Authorization: Basic Og==", "Authorization: Bearer eyJhbGciOiJub25lIn0.e30.",
		"Authorization: Basic Ym9iOg==", "Authorization: Basic AAAA", "Cookie: session=bob",
		"X-Http-Method-Override: GET",
	}
	tried(t, 2*len(claims))
	for _, claim := range claims {
		a := w.call(t, http.MethodPost, "", "open/predict", live.Raw(file), strings.SplitN(claim, ": ", 2)...)
		check(t, claim+" on the open API", a.Status, string(a.Body), 403)
		a = w.call(t, http.MethodPost, "", "closed/predict", live.Raw(file), strings.SplitN(claim, ": ", 2)...)
		check(t, claim+" on the closed API", a.Status, string(a.Body), 401)
	}
}

// Requests that two parts on the way could read differently.
func TestAnonymousSmuggling(t *testing.T) {
	t.Parallel()
	w := enter(t)
	line, host := "POST /"+namespace+"/open/predict HTTP/1.1\r\nHost: "+w.host+"\r\n", "Host: "+w.host+"\r\n"
	smuggled := "0\r\n\r\nGET /metrics HTTP/1.1\r\nHost: x\r\n\r\n"
	length := func(s string) string { return fmt.Sprintf("Content-Length: %d\r\n", len(s)) }
	cases := []struct {
		name, request string
		want          []int
	}{
		{"CL.TE", line + length(smuggled) + "Transfer-Encoding: chunked\r\n\r\n" + smuggled, []int{400, 0}},
		{"two lengths", line + "Content-Length: 0\r\nContent-Length: 5\r\n\r\nGET /", []int{400}},
		{"a length with a plus", line + "Content-Length: +5\r\n\r\nhello", []int{400}},
		{"a negative length", line + "Content-Length: -1\r\n\r\n", []int{400}},
		{"a length beyond numbers", line + "Content-Length: 99999999999999999999\r\n\r\n", []int{400}},
		{"xchunked", line + "Transfer-Encoding: xchunked\r\n\r\n" + smuggled, []int{400, 501}},
		{"chunked twice", line + "Transfer-Encoding: chunked, chunked\r\n\r\n" + smuggled, []int{400, 501}},
		{"a blank before the colon", line + "Transfer-Encoding : chunked\r\n\r\n" + smuggled, []int{400}},
		{"a bad chunk", line + "Transfer-Encoding: chunked\r\n\r\nzz\r\nhello\r\n0\r\n\r\n", []int{400, 502}},
		{"a long chunk extension", line + "Transfer-Encoding: chunked\r\n\r\n1;" + strings.Repeat("x",
			64<<10) + "\r\n{\r\n0\r\n\r\n", []int{400, 502}},
		{"a folded header", line + "X-A: 1\r\n 2\r\nConnection: close\r\n" + predict, []int{200, 400, 500}},
		{"a header with a blank", line + "X A: 1\r\n" + predict, []int{400}},
		{"a header with a NUL", line + "X-A: 1\x002\r\n" + predict, []int{400}},
		{"no host", "POST /" + namespace + "/open/predict HTTP/1.1\r\n" + predict, []int{400}},
		{"two hosts", line + host + predict, []int{400}},
		{"a header of 2 MiB", line + "X-A: " + strings.Repeat("x", 2<<20) + "\r\n" + predict, []int{400, 431, 0}},
		{"a path of 100 KiB", "GET /" + strings.Repeat("x",
			100<<10) + " HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", []int{400, 404, 414, 431}},
		{"a signature over its limit", line + "Unip-Caller: " + strings.Repeat("x",
			5<<10) + "\r\nConnection: close\r\n" + predict, []int{400}}, // the function lacks an input
		{"an absolute URI of another host",
			"POST http://model." + namespace + ".svc.cluster.local/predict HTTP/1.1\r\n" + host +
				"Connection: close\r\n" + predict, []int{400, 404}},
		{"an asterisk", "OPTIONS * HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", []int{200, 400, 404, 405}},
		{"TRACE", "TRACE /" + namespace + "/open/predict HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n",
			[]int{400, 405}},
		{"CONNECT", "CONNECT model." + namespace + ".svc.cluster.local:80 HTTP/1.1\r\n" + host + "\r\n",
			[]int{400, 404, 405}},
		{"an unknown method", "FOO /" + namespace + "/open/predict HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n",
			[]int{400, 405}},
		{"GET", "GET /" + namespace + "/open/predict HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", []int{405}},
		{"h2c", "GET /" + namespace + "/open/predict HTTP/1.1\r\n" + host +
			"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n",
			[]int{405}},
		{"a websocket", "GET /" + namespace + "/open/predict HTTP/1.1\r\n" + host +
			"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: AAAA\r\n\r\n", []int{405}},
		{"HTTP/0.9", "GET /\r\n", []int{400, 0}},
		{"another protocol", "\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", []int{400, 0}},
	}
	tried(t, len(cases))
	var wg sync.WaitGroup
	for _, c := range cases {
		wg.Go(func() {
			status, _, body := exchange(t, strings.TrimPrefix(w.Ingress, "http://"), c.request)
			check(t, c.name, status, body, c.want...)
			if strings.Contains(body, "go_goroutines") {
				t.Errorf("%s: metrics came out", c.name)
			}
		})
	}
	wg.Wait()
}

// restarts are those of the gateway's containers.
func (w *world) restarts(t *testing.T) (n int32) {
	t.Helper()
	var pods corev1.PodList
	if err := w.List(t.Context(), &pods, client.InNamespace(namespace),
		client.MatchingLabels{"serving.knative.dev/service": "gateway"}); err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		for _, c := range p.Status.ContainerStatuses {
			n += c.RestartCount
		}
	}
	return n
}

// Sixteen bodies of 95,000 unknown inputs each are refused, and so are large ones that nobody asks for.
// All hear why, whatever proxies stand on the way, and whoever answers lives on.
func TestAnonymousFloodOfFaults(t *testing.T) {
	t.Parallel()
	w := enter(t)
	before := w.restarts(t)
	var b strings.Builder
	b.WriteString(`{"inputs":{"x":""`)
	for i := range 95_000 {
		fmt.Fprintf(&b, `,"%x":""`, i)
	}
	b.WriteString("}}")
	large := make(live.Raw, 8<<20)
	cases := []struct {
		what, path string
		times      int
		body       live.Raw
		want       int
	}{
		{"95,000 unknown inputs", "openup/run", 16, live.Raw(b.String()), http.StatusRequestEntityTooLarge},
		{"8 MiB that start a run", "openup/run", 2, large, http.StatusRequestEntityTooLarge},
		{"8 MiB without a password", "closed/predict", 2, large, http.StatusUnauthorized},
		{"8 MiB to no API", "nothing", 2, large, http.StatusNotFound},
		{"65 MiB", "open/predict", 1, make(live.Raw, 65<<20), http.StatusRequestEntityTooLarge},
	}
	var wg sync.WaitGroup
	for _, c := range cases {
		tried(t, c.times)
		for range c.times {
			wg.Go(func() {
				a := w.call(t, http.MethodPost, "", c.path, c.body)
				check(t, c.what, a.Status, string(a.Body), c.want)
				if len(a.Body) > 64<<10 {
					t.Errorf("%s: the answer has %d bytes", c.what, len(a.Body))
				}
			})
		}
	}
	wg.Wait()
	if after := w.restarts(t); after != before {
		t.Errorf("the gateway's containers were restarted %d times", after-before)
	}
}

// A body that does not come, or comes a byte at a time, is not waited for. Proxies on the way may
// hold the connection on; what counts is that the gateway lets go of the call.
func TestAnonymousSlowBodies(t *testing.T) {
	t.Parallel()
	w := enter(t)
	cases := []struct {
		path  string
		every time.Duration // between bytes
	}{{"openup/run", time.Hour}, {"openup", 5 * time.Second}, {"open/predict", time.Hour},
		{"open/v2/models/model/infer", 5 * time.Second}}
	tried(t, len(cases))
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s every %s", c.path, c.every), func(t *testing.T) {
			t.Parallel()
			conn, err := net.Dial("tcp", strings.TrimPrefix(w.Ingress, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			start := time.Now()
			_, _ = fmt.Fprintf(conn,
				"POST /%s/%s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{",
				namespace, c.path, w.host)
			last := start
			err = live.Await(t.Context(), 100*time.Second, "the end of the call", func(ctx context.Context) error {
				if time.Since(last) > c.every {
					last = time.Now()
					_, _ = conn.Write([]byte(" "))
				}
				log, err := w.Kubectl(ctx, "-n", namespace, "logs", "-l", "serving.knative.dev/service=gateway", "-c",
					"gateway", "--tail=-1")
				if err != nil {
					return err
				}
				for line := range strings.Lines(log) {
					var call struct {
						Msg, Path string
						Status    int
						Seconds   float64
					}
					if json.Unmarshal([]byte(line), &call) == nil && call.Msg == "call" &&
						call.Path == "/"+namespace+"/"+c.path && call.Seconds > 10 && call.Status >= 400 {
						t.Logf("ended with %d after %.0f s", call.Status, call.Seconds)
						return nil
					}
				}
				return fmt.Errorf("the gateway is at it for %s", time.Since(start).Round(time.Second))
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
}

// Guessing a password becomes slow, or is refused for a while; a right password from elsewhere does
// not wait, and a claim about the own address changes nothing.
func TestAnonymousGuessing(t *testing.T) {
	t.Parallel()
	w := enter(t)
	const guesses = 40
	tried(t, guesses)
	guess := func(i int) int {
		a, err := w.Call(t.Context(), live.Request{
			Method: http.MethodGet, Path: "/" + namespace + "/files/userdata/in/", User: "eve",
			Password: fmt.Sprintf("guess-%d", i), Header: http.Header{"X-Forwarded-For": {fmt.Sprintf("10.0.0.%d", i)}},
		})
		if err != nil {
			t.Fatal(err)
		}
		return a.Status
	}
	start, slowed := time.Now(), false
	for i := range guesses {
		switch status := guess(i); status {
		case http.StatusTooManyRequests:
			slowed = true
		case http.StatusUnauthorized:
		default:
			t.Fatalf("guess %d: %d", i, status)
		}
		if slowed = slowed || time.Since(start) > 10*time.Second; slowed {
			break
		}
	}
	if !slowed {
		t.Errorf("%d guesses in %s", guesses, time.Since(start).Round(time.Millisecond))
	}
	// From a pod of the neighbour, another address.
	headers := basic("eve")
	headers["Host"] = w.host
	start = time.Now()
	got := w.fromNeighbour(t, []inside{{URL: w.Ingress + "/" + namespace + "/files/userdata/in/", Headers: headers}})[0]
	if got.Status != http.StatusOK && got.Status != http.StatusNotFound {
		t.Errorf("the right password from elsewhere: %d %.300s", got.Status, got.Body)
	}
	// On the local cluster both come by the node's address, which has failures by now: the first
	// login waits, but not longer than a failure makes wait. That two addresses are counted apart
	// is a test of package attempts.
	if took := time.Since(start); took > 20*time.Second {
		t.Errorf("the right password from elsewhere took %s", took.Round(time.Millisecond))
	}
}
