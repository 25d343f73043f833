//go:build integration

package service

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/functions/gateway/internal/bearer"
)

// Where the installation says that its realm's users and those of HTTP Basic are the same, ann of
// the realm has Basic ann's files. ann of an issuer that only the module names has her own and no
// others, as the translator writes the rules of such an issuer: without sameAsBasic.
func TestWhoseFilesAnnHas(t *testing.T) {
	t.Parallel()
	realm, own := newProvider(t, ""), newProvider(t, "")
	store, dir := miniotest.Start(t), t.TempDir()
	bucket := store.Bucket(t)
	for _, use := range []databox.Access{databox.Files, databox.GetLinks, databox.PutLinks} {
		g, err := databox.UseOf(bucket, false, use, "")
		if err != nil {
			t.Fatal(err)
		}
		s, err := s3.AssumeRole(t.Context(), http.DefaultClient, store.Endpoint, "us-east-1",
			s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey},
			must(databox.Policy(g)), time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		s.Endpoint, s.Region, s.Bucket = store.Endpoint, "us-east-1", bucket
		file := filepath.Join(dir, "boxes", "userdata", string(use)+".json")
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, must(json.Marshal(s)), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "auth", "users"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "auth", "users", "ann"), []byte("secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	// gateway is the module's, whose file API trusts this issuer beside the passwords.
	gateway := func(p *provider, same bool) module {
		t.Helper()
		file, err := routes.Decode(fmt.Appendf(nil, `{"apis":[{"name":"files","kind":"files","path":"files",`+
			`"auth":{"basic":{"credentials":"users"},"oidc":{"issuer":%q,"clientId":"end-users",`+
			`"userClaim":"preferred_username","userPrefix":"oidc:","sameAsBasic":%t}}}],"boxes":["userdata"]}`,
			p.URL, same))
		if err != nil {
			t.Fatal(err)
		}
		g, err := New(Options{Namespace: "pu-ann", Routes: file, Passwords: filepath.Join(dir, "auth"),
			Boxes: filepath.Join(dir, "boxes")})
		if err != nil {
			t.Fatal(err)
		}
		g.tokens = bearer.New(p.Client().Transport)
		srv := httptest.NewServer(g)
		t.Cleanup(srv.Close)
		return module{srv, g, dir}
	}
	trusted, other := gateway(realm, true), gateway(own, false)
	link := func(m module, method, path string, who ...string) (status int, url string) {
		t.Helper()
		resp, body := m.call(t, method, "/pu-ann/files/userdata/"+path, nil, who...)
		var links struct {
			Get string `json:"presigned_get_url"`
			Put string `json:"presigned_put_url"`
		}
		if err := json.Unmarshal([]byte(body), &links); err != nil {
			t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
		}
		if method == http.MethodPut {
			return resp.StatusCode, links.Put
		}
		return resp.StatusCode, links.Get
	}
	token := func(p *provider) []string {
		return []string{"Authorization", "Bearer " + p.token(map[string]any{"preferred_username": "ann"})}
	}
	send := func(method, url, content string) string {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(content))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		var b strings.Builder
		if err := resp.Write(&b); err != nil || resp.StatusCode != http.StatusOK {
			t.Fatalf("%s %v", b.String(), err)
		}
		return b.String()
	}
	basic := []string{"user", "ann:secret"}

	status, url := link(trusted, http.MethodPut, "in/diary.txt", basic...)
	if status != http.StatusCreated {
		t.Fatalf("%d", status)
	}
	send(http.MethodPut, url, "of Basic ann")
	status, url = link(trusted, http.MethodGet, "in/diary.txt", token(realm)...)
	if status != http.StatusOK || !strings.HasSuffix(send(http.MethodGet, url, ""), "of Basic ann") {
		t.Errorf("the realm's ann: %d", status)
	}
	if status, _ := link(other, http.MethodGet, "in/diary.txt", token(own)...); status != http.StatusNotFound {
		t.Errorf("another issuer's ann: %d", status)
	}
	resp, body := other.call(t, http.MethodGet, "/pu-ann/files/userdata/in/", nil, token(own)...)
	if strings.Contains(body, "diary") {
		t.Errorf("another issuer's ann lists %d %s", resp.StatusCode, body)
	}
	status, url = link(other, http.MethodPut, "in/diary.txt", token(own)...)
	if status != http.StatusCreated { // there is no such file of hers
		t.Fatalf("%d", status)
	}
	send(http.MethodPut, url, "of another ann")
	if _, url := link(trusted, http.MethodGet, "in/diary.txt", basic...); !strings.HasSuffix(send(http.MethodGet, url, ""),
		"of Basic ann") {
		t.Error("another issuer's ann has written over Basic ann's file")
	}
	resp, body = other.call(t, http.MethodDelete, "/pu-ann/files/userdata/in/", nil, token(own)...)
	if resp.StatusCode != http.StatusNoContent {
		t.Errorf("%d %s", resp.StatusCode, body)
	}
	if status, _ := link(trusted, http.MethodGet, "in/diary.txt", basic...); status != http.StatusOK {
		t.Errorf("after another issuer's ann has deleted hers: %d", status)
	}
}
