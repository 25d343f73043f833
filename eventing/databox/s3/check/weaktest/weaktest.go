// Package weaktest gives tests an S3 server with a known fault.
package weaktest

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/unip-knative/unip/eventing/databox/s3"
)

// Copies stands before a server as one that obeys x-amz-copy-source on a link that does not sign it,
// whoever has signed the link: such a request it signs anew with keys of the server's. It gives its
// endpoint.
func Copies(t testing.TB, endpoint string, keys s3.Keys, region string) string {
	t.Helper()
	return copies(t, endpoint, region, func(string) s3.Keys { return keys })
}

// CopiesBySigner does so with the rights of whoever has signed the link, as MinIO does. It knows its
// users.
func CopiesBySigner(t testing.TB, endpoint, region string, users ...s3.Keys) string {
	t.Helper()
	return copies(t, endpoint, region, func(id string) s3.Keys {
		return users[max(0, slices.IndexFunc(users, func(k s3.Keys) bool { return k.AccessKeyID == id }))]
	})
}

func copies(t testing.TB, endpoint, region string, as func(accessKeyID string) s3.Keys) string {
	t.Helper()
	target, err := url.Parse(endpoint)
	if err != nil {
		t.Fatal(err)
	}
	pass := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			r.SetURL(target)
			r.Out.Host = r.In.Host // which is signed
		},
		ErrorHandler: func(http.ResponseWriter, *http.Request, error) { panic(http.ErrAbortHandler) },
	}
	weak := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		source := r.Header.Get("X-Amz-Copy-Source")
		if r.URL.Query().Get("X-Amz-Signature") == "" || source == "" {
			pass.ServeHTTP(w, r)
			return
		}
		again, err := http.NewRequestWithContext(r.Context(), r.Method, endpoint+r.URL.EscapedPath(), http.NoBody)
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		again.Header.Set("X-Amz-Copy-Source", source)
		again.Header.Set("X-Amz-Content-Sha256", "UNSIGNED-PAYLOAD")
		id, _, _ := strings.Cut(r.URL.Query().Get("X-Amz-Credential"), "/")
		keys := as(id)
		resp, err := http.DefaultClient.Do(signer.SignV4(*again, keys.AccessKeyID, keys.SecretAccessKey, "", region))
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadGateway)
			return
		}
		defer resp.Body.Close()
		w.WriteHeader(resp.StatusCode)
		_, _ = io.Copy(w, resp.Body)
	}))
	t.Cleanup(weak.Close)
	return weak.URL
}
