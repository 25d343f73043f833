//go:build e2e

package attack

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/databox"
)

func basic(user string) map[string]string {
	return map[string]string{"Authorization": "Basic " +
		base64.StdEncoding.EncodeToString([]byte(user+":"+passwords[user]))}
}

// send sends a request to the storage.
func send(t *testing.T, method, link, body string, header ...string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, link, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	a, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer a.Body.Close()
	b, err := io.ReadAll(a.Body)
	if err != nil {
		t.Fatal(err)
	}
	return a.StatusCode, string(b)
}

// links are those that the file API gives for a file.
func (w *world) links(t *testing.T, user, path string) (get, put string) {
	t.Helper()
	a := w.call(t, http.MethodGet, user, "files/"+path, nil)
	var l struct {
		Get string `json:"presigned_get_url"`
		Put string `json:"presigned_put_url"`
	}
	if err := json.Unmarshal(a.Body, &l); err != nil || l.Get == "" || l.Put == "" {
		t.Fatalf("%s: %d %s", path, a.Status, a.Body)
	}
	return l.Get, l.Put
}

// A link to write does not read: whatever a header asks the storage to copy, nothing is copied,
// from the own files as little as from others'.
func TestLinksCopyNothing(t *testing.T) {
	t.Parallel()
	w := enter(t)
	userdata, weights := databox.UsualBuckets.Box(namespace, "userdata"), databox.UsualBuckets.Box(namespace, "weights")
	bobs := "/" + userdata + "/users/bob/file_groups/in/secret.csv"
	sources := []string{
		bobs, strings.TrimPrefix(bobs, "/"), url.QueryEscape(bobs), bobs + "?versionId=null",
		"/" + userdata + "/users/ann/file_groups/in/diary.txt", "/" + userdata + "/" + modelsKey,
		"/" + weights + "/" + modelsKey, "/" + userdata + "/users/ann/../bob/file_groups/in/secret.csv",
		"/" + userdata + "//users/bob/file_groups/in/secret.csv",
	}
	headers := []string{"x-amz-copy-source", "X-Amz-Copy-Source"}
	tried(t, len(sources)*len(headers))
	for i, source := range sources {
		for _, header := range headers {
			path := "userdata/loot/" + string(rune('a'+i))
			status, body := send(t, http.MethodPut, w.link(t, "ann", path), "", header, source)
			check(t, header+": "+source, status, body, 400, 403)
			if a := w.call(t, http.MethodGet, "ann", "files/"+path, nil); a.Status != http.StatusNotFound {
				get, _ := w.links(t, "ann", path)
				_, loot := send(t, http.MethodGet, get, "")
				t.Errorf("%s: %s: copied %q", header, source, loot)
			}
		}
	}
}

// A link is for one method, one key and its time.
func TestLinksAreForOneCall(t *testing.T) {
	t.Parallel()
	w := enter(t)
	get, put := w.links(t, "ann", annsFile)
	change := func(link string, do func(u *url.URL, q url.Values)) string {
		u, err := url.Parse(link)
		if err != nil {
			t.Fatal(err)
		}
		q := u.Query()
		do(u, q)
		u.RawQuery = q.Encode()
		return u.String()
	}
	key := func(path string) func(*url.URL, url.Values) {
		return func(u *url.URL, _ url.Values) { u.Path, u.RawPath = path, "" }
	}
	bucket := "/" + databox.UsualBuckets.Box(namespace, "userdata")
	set := func(k, v string) func(*url.URL, url.Values) { return func(_ *url.URL, q url.Values) { q.Set(k, v) } }
	cases := []struct {
		name, method, link, body string
		header                   []string
	}{
		{"GET by the PUT link", "GET", put, "", nil}, {"DELETE by the PUT link", "DELETE", put, "", nil},
		{"HEAD by the PUT link", "HEAD", put, "", nil}, {"POST by the PUT link", "POST", put, "", nil},
		{"PUT by the GET link", "PUT", get, "x", nil}, {"DELETE by the GET link", "DELETE", get, "", nil},
		{"bob's key", "GET", change(get, key(bucket+"/users/bob/file_groups/in/secret.csv")), "", nil},
		{"bob's key by dots", "GET",
			change(get, key(bucket+"/users/ann/file_groups/in/../../../bob/file_groups/in/secret.csv")), "", nil},
		{"bob's key to write", "PUT", change(put, key(bucket+"/users/bob/file_groups/in/secret.csv")), "x", nil},
		{"a model", "PUT", change(put, key(bucket+"/"+modelsKey)), "x", nil},
		{"the bucket's list", "GET", change(get, key(bucket+"/")), "", nil},
		{"all buckets", "GET", change(get, key("/")), "", nil},
		{"acl", "PUT", change(put, set("acl", "")), "x", nil},
		{"tagging", "PUT", change(put, set("tagging", "")), "<Tagging/>", nil},
		{"uploads", "POST", change(put, set("uploads", "")), "", nil},
		{"a part", "PUT", change(put, set("partNumber", "1")), "x", nil},
		{"a policy", "PUT", change(put, set("policy", "")), "{}", nil},
		{"a longer life", "GET", change(get, set("X-Amz-Expires", "604800")), "", nil},
		{"another date", "GET", change(get, set("X-Amz-Date", "20300101T000000Z")), "", nil},
		{"another type of the answer", "GET", change(get, set("response-content-type", "text/html")), "", nil},
		{"another version", "GET", change(get, set("versionId", "null")), "", nil},
		{"a list of it", "GET", change(get, set("list-type", "2")), "", nil},
		{"no session", "GET", change(get, func(_ *url.URL, q url.Values) { q.Del("X-Amz-Security-Token") }), "", nil},
		{"no signature", "GET", change(get, func(_ *url.URL, q url.Values) { q.Del("X-Amz-Signature") }), "", nil},
		{"nothing but the key", "GET", change(get, func(u *url.URL, q url.Values) { clear(q) }), "", nil},
	}
	tried(t, len(cases)+2)
	for _, c := range cases {
		status, body := send(t, c.method, c.link, c.body, c.header...)
		check(t, c.name, status, body, 400, 403, 404, 405, 501)
	}
	brief := w.call(t, http.MethodGet, "ann", "files/"+annsFile+"?expires=1", nil)
	var l struct {
		Get string `json:"presigned_get_url"`
	}
	if err := json.Unmarshal(brief.Body, &l); err != nil {
		t.Fatal(err)
	}
	err := live.Await(t.Context(), 5*time.Second, "the end of a link of one second", func(context.Context) error {
		if status, body := send(t, http.MethodGet, l.Get, ""); status != http.StatusForbidden {
			return fmt.Errorf("%d %s", status, body)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	// With its size a link takes a body of that size only.
	status, body := send(t, http.MethodPut, w.link(t, "ann", "userdata/loot/sized?size=10"), strings.Repeat("x", 20))
	check(t, "20 bytes by a link for 10", status, body, 400, 403, 411)
	if got, err := w.Download(t.Context(), "ann", passwords["ann"], annsFile); err != nil || string(got) != annsSecret {
		t.Errorf("ann's file afterwards: %q %v", got, err)
	}
}

// The session in a link's token does what the link is for and nothing else, should its secret ever
// be known: MinIO shows its policy to whoever has a link.
func TestLinksShowANarrowPolicy(t *testing.T) {
	t.Parallel()
	w := enter(t)
	get, put := w.links(t, "ann", annsFile)
	tried(t, 2)
	for name, c := range map[string]struct{ link, verb string }{"GET": {get, "s3:GetObject"},
		"PUT": {put, "s3:PutObject"}} {
		u, err := url.Parse(c.link)
		if err != nil {
			t.Fatal(err)
		}
		parts := strings.Split(u.Query().Get("X-Amz-Security-Token"), ".")
		if len(parts) != 3 {
			t.Fatal("the token is no JWT, as MinIO's is")
		}
		claims, err := base64.RawURLEncoding.DecodeString(parts[1])
		var token struct {
			Policy string `json:"sessionPolicy"`
		}
		if err == nil {
			err = json.Unmarshal(claims, &token)
		}
		policy, err2 := base64.StdEncoding.DecodeString(token.Policy)
		if err != nil || err2 != nil {
			t.Fatalf("%v %v: %s", err, err2, claims)
		}
		var p struct {
			Statement []struct {
				Effect           string
				Action, Resource any
			}
		}
		if err := json.Unmarshal(policy, &p); err != nil {
			t.Fatal(err)
		}
		for _, s := range p.Statement {
			for _, action := range list(s.Action) {
				if s.Effect == "Allow" && action != c.verb {
					t.Errorf("the %s link's session may do %s", name, action)
				}
			}
			for _, resource := range list(s.Resource) {
				if s.Effect == "Allow" && !strings.Contains(resource, "/users/") {
					t.Errorf("the %s link's session may do so on %s", name, resource)
				}
			}
		}
	}
}

func list(v any) (all []string) {
	switch v := v.(type) {
	case string:
		return []string{v}
	case []any:
		for _, x := range v {
			s, _ := x.(string)
			all = append(all, s)
		}
	}
	return all
}

// A dataset is the developer's area of the owner's box: users of the other module that happen to
// have the same names are other people.
func TestLinksOfADataset(t *testing.T) {
	t.Parallel()
	w := enter(t)
	paths := []string{
		"ref/in/diary.txt", "ref/users/ann/file_groups/in/diary.txt", "ref/users/bob/file_groups/in/secret.csv",
		"ref/in/", "ref/users/", "ref/users/ann/", "ref/users/bob/file_groups/in/",
		"ref/models/../users/bob/file_groups/in/secret.csv", "ref//users/bob/file_groups/in/secret.csv",
		"ref/%75sers/bob/file_groups/in/secret.csv", "ref/",
	}
	tried(t, len(paths)+3)
	host, err := w.neighbour.Host(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	call := func(method, path string) (int, string) {
		t.Helper()
		return send(t, method, w.Ingress+"/"+neighbour+"/files/"+path, "", "Authorization",
			"Basic "+base64.StdEncoding.EncodeToString([]byte("ann:"+neighboursPasswordForAnn)), "Host", host)
	}
	for _, path := range paths {
		status, body := call(http.MethodGet, path)
		if status == http.StatusOK && (strings.Contains(body, "diary") || strings.Contains(body, "secret.csv") ||
			strings.Contains(body, `"users`) || strings.Contains(body, `"bob`)) {
			t.Errorf("%s: %d %s", path, status, body)
		}
		if !strings.HasSuffix(path, "/") {
			check(t, path, status, body, 400, 403, 404)
		}
	}
	for _, c := range [][2]string{{http.MethodPut, "ref/in/new"}, {http.MethodDelete, "ref/in/diary.txt"},
		{http.MethodDelete, "ref/users/ann/"}} {
		status, body := call(c[0], c[1])
		check(t, c[0]+" "+c[1], status, body, 400, 403, 404)
	}
	if _, err := w.s3.StatObject(t.Context(), databox.UsualBuckets.Box(namespace, "userdata"),
		databox.UserPrefix("ann")+"in/diary.txt", minio.StatObjectOptions{}); err != nil {
		t.Errorf("ann's file afterwards: %v", err)
	}
}
