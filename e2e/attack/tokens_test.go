//go:build e2e

package attack

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/coreos/go-oidc/v3/oidc/oidctest"

	"github.com/unip-knative/unip/e2e/attack/inputs"
	"github.com/unip-knative/unip/e2e/live"
)

// startIssuer is an OpenID Connect provider in this process, which lives as long. Inside the
// cluster it has a name, once nameIssuer has given it one: gateways ask issuers there without TLS
// only.
func startIssuer() (i inputs.Issuer, address string, err error) {
	host, _, _ := strings.Cut(os.Getenv("UNIP_OUTSIDE"), ",")
	if host == "" {
		return i, "", errors.New("UNIP_OUTSIDE must be an address of this machine that pods have a way to")
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		return i, "", err
	}
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return i, "", err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	i = inputs.Issuer{URL: "http://issuer." + neighbour + ".svc.cluster.local:" + port, Client: "end-users",
		KeyID: "one", Key: key}
	p := &oidctest.Server{PublicKeys: []oidctest.PublicKey{{PublicKey: key.Public(), KeyID: i.KeyID,
		Algorithm: "RS256"}}}
	p.SetIssuer(i.URL)
	go func() { _ = (&http.Server{Handler: p, ReadHeaderTimeout: 10 * time.Second}).Serve(l) }()
	return i, l.Addr().String(), nil
}

// nameIssuer makes the Service by which pods reach an address of this machine.
func (w *world) nameIssuer(ctx context.Context, address string) error {
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		return err
	}
	text := fmt.Sprintf(`
apiVersion: v1
kind: Service
metadata: {name: issuer, namespace: %[1]s}
spec:
  ports: [{name: http, port: %[2]s}]
---
apiVersion: discovery.k8s.io/v1
kind: EndpointSlice
metadata: {name: issuer, namespace: %[1]s, labels: {kubernetes.io/service-name: issuer}}
addressType: IPv4
ports: [{name: http, port: %[2]s}]
endpoints:
- addresses: [%[3]s]
`, neighbour, port, host)
	_, err = w.Run(ctx, []byte(text), "kubectl", "apply", "-f", "-")
	return err
}

// withToken calls the API that takes tokens, to do something with bob's file.
func (w *world) withToken(t *testing.T, token string) *live.Answer {
	t.Helper()
	return w.call(t, http.MethodPost, "", "tokens/predict", live.Raw(readsBobsFile), "Authorization", "Bearer "+token)
}

const readsBobsFile = `{"inputs":[{"name":"code","datatype":"str","data":"answer = open(file).read()"},` +
	`{"name":"file","datatype":"FILE","data":"` + bobsFile + `"}]}`

// Of all tokens only what the issuer has signed, for this API and for now, is somebody; and then it
// is nobody whom a password could make, whatever the name in it.
func TestAnonymousTokens(t *testing.T) {
	t.Parallel()
	w := enter(t)
	goes := func(context.Context) error {
		a := w.call(t, http.MethodPost, "", "tokens/predict",
			live.Raw(`{"inputs":[{"name":"code","datatype":"str","data":"answer = 1"}]}`),
			"Authorization", "Bearer "+w.issuer.Token(nil))
		if a.Status != http.StatusOK {
			return fmt.Errorf("%d %.300s", a.Status, a.Body)
		}
		return nil
	}
	if err := live.Await(t.Context(), time.Minute, "a call with a good token", goes); err != nil {
		t.Fatal(err)
	}
	stale, forged := w.issuer.Stale(), w.issuer.Forged()
	tried(t, len(inputs.Impostors)+len(stale)+len(forged))
	for _, name := range inputs.Impostors {
		a := w.withToken(t, w.issuer.Token(map[string]any{"preferred_username": name}))
		check(t, "a token of "+name, a.Status, string(a.Body), 400, 403, 404)
	}
	for _, token := range append(stale, forged...) {
		want := []int{http.StatusUnauthorized}
		if !token.Signed { // keys that are not known are asked for, but not for each
			want = append(want, http.StatusServiceUnavailable)
		}
		if len(token.Text) > 16<<10 {
			want = append(want, http.StatusRequestHeaderFieldsTooLarge)
		}
		a := w.withToken(t, token.Text)
		check(t, token.Name, a.Status, string(a.Body), want...)
	}
	if err := live.Await(t.Context(), 30*time.Second, "a good token after all that", goes); err != nil {
		t.Error(err)
	}
}

// However a login is spelled, it is the user's with the right password, or nobody's. Wrong
// passwords slow down those that come after them, so all are tried as a user of their own.
func TestAnonymousLogins(t *testing.T) {
	t.Parallel()
	w := enter(t)
	const body = `{"inputs":[{"name":"code","datatype":"str","data":"answer = 1"}]}`
	try := func(c inputs.Case, right bool) {
		status, _, answer := w.raw(t, "POST /"+namespace+"/closed/predict", c.Input,
			fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(body), body))
		want := c.Want
		if !right {
			want = append([]int{http.StatusTooManyRequests, http.StatusBadRequest}, want...)
		}
		check(t, fmt.Sprintf("%q", c.Input), status, answer, want...)
	}
	cases := inputs.Logins("dan", passwords["dan"])
	tried(t, len(cases))
	atOnce := make(chan struct{}, 6)
	var wg sync.WaitGroup
	for _, c := range cases {
		if right := c.Wants(http.StatusOK); right {
			try(c, right) // before any failure
			continue
		}
		atOnce <- struct{}{}
		wg.Go(func() {
			defer func() { <-atOnce }()
			try(c, false)
		})
	}
	wg.Wait()
}

// A signature of the gateway's own, should somebody have come by one, is worth nothing outside,
// however its header is written.
func TestAnonymousSignatures(t *testing.T) {
	t.Parallel()
	w := enter(t)
	s := w.sign(t, nil)
	body := fmt.Sprintf("Content-Type: application/json\r\nContent-Length: %d\r\n\r\n%s", len(readsBobsFile),
		readsBobsFile)
	chunked := fmt.Sprintf(
		"Content-Type: application/json\r\nTransfer-Encoding: chunked\r\nTrailer: Unip-Caller\r\n\r\n%x\r\n%s\r\n0\r\nUnip-Caller: %s",
		len(readsBobsFile), readsBobsFile, s)
	spellings := []string{
		"Unip-Caller: " + s, "unip-caller: " + s, "UNIP-CALLER: " + s, "uNiP-cAlLeR:" + s, "Unip_Caller: " + s,
		"Unip.Caller: " + s, "X-Unip-Caller: " + s, "Unip-Caller-: " + s, "Http-Unip-Caller: " + s,
		"Unip-Caller: " + s + "\r\nUnip-Caller: " + s, "Unip-Caller: \r\nUnip-Caller: " + s,
		"Unip-Caller: " + s + "\r\nConnection: Unip-Caller", "Connection: close, Unip-Caller\r\nUnip-Caller: " + s,
		"Unip-Caller: Bearer " + s, "Unip-Caller: " + s + "=", "Unip-Caller: " + s[:len(s)-1], "Unip-Caller : " + s,
		"Unip-Caller: x\r\n " + s, "Authorization: Unip-Caller " + s, "Authorization: Bearer " + s,
		"Cookie: Unip-Caller=" + s,
		"Forwarded: for=gateway;Unip-Caller=" + s,
	}
	tried(t, 3*(len(spellings)+1))
	for _, api := range []string{"open", "closed", "tokens"} {
		want := []int{400, 401}
		if api == "open" {
			want = []int{400, 403}
		}
		for _, spelling := range spellings {
			status, _, answer := w.raw(t, "POST /"+namespace+"/"+api+"/predict", spelling, body)
			check(t, api+" with "+strings.ReplaceAll(spelling, s, "SIGNATURE"), status, answer, want...)
		}
		status, _, answer := w.raw(t, "POST /"+namespace+"/"+api+"/predict", chunked)
		check(t, api+" with a trailer", status, answer, want...)
	}
}
