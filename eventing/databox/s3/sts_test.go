//go:build integration

package s3_test

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// asked keeps the form of the last request, and passes it on.
type asked struct{ form url.Values }

func (a *asked) RoundTrip(r *http.Request) (*http.Response, error) {
	b, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	if a.form, err = url.ParseQuery(string(b)); err != nil {
		return nil, err
	}
	r.Body = io.NopCloser(bytes.NewReader(b))
	return http.DefaultTransport.RoundTrip(r)
}

// A role is named where there is one, and always the name of the session, which AWS and SeaweedFS want;
// MinIO, which has no roles, takes no notice.
func TestSessionsOfARole(t *testing.T) {
	t.Parallel()
	server := miniotest.Start(t)
	if server.SeaweedFS {
		t.Skip("SeaweedFS knows roles, and has none here")
	}
	for _, role := range []string{"", "arn:aws:iam::123456789012:role/unip"} {
		a := &asked{}
		sts := s3.STS{Endpoint: server.Endpoint, Region: "us-east-1", RoleARN: role,
			Parent: s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}}
		got, err := sts.Session(t.Context(), &http.Client{Transport: a}, "", 2*time.Hour)
		if err != nil || got.SessionToken == "" {
			t.Errorf("%q: %v", role, err)
		}
		if a.form.Get("RoleArn") != role || a.form.Get("RoleSessionName") == "" ||
			a.form.Get("DurationSeconds") != "7200" {
			t.Errorf("%q: %v", role, a.form)
		}
	}
}
