package s3_test

import (
	"testing"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// A session whose endpoint is no address of a server gives an error, never a client of another one
// and never a panic.
func FuzzNewClient(f *testing.F) {
	for _, endpoint := range []string{"http://s3:9000", "https://s3", "://", "http://TOP-SECRET@s3", "http://[::1",
		"s3:9000", "http://s3/path", ""} {
		f.Add(endpoint, "us-east-1")
	}
	f.Fuzz(func(t *testing.T, endpoint, region string) {
		session := databox.Session{Endpoint: endpoint, Region: region, Bucket: "b", AccessKeyID: "k",
			SecretAccessKey: "s"}
		c, err := s3.NewClient(session, s3.Static(session))
		if err == nil && c.EndpointURL().Host == "" {
			t.Errorf("a client of %q has no server", endpoint)
		}
	})
}
