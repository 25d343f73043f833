package installation_test

import (
	"net/url"
	"os"
	"path/filepath"
	"testing"

	"github.com/unip-knative/unip/translate/installation"
)

// Whatever unip.yaml holds: it is refused as a whole, or the storage has a URL that can be reached
// and every number is within its bounds; never half of a file that was refused.
func FuzzParse(f *testing.F) {
	seeds, err := filepath.Glob("../testdata/*/unip.yaml")
	if err != nil || len(seeds) == 0 {
		f.Fatalf("no seeds: %v", err)
	}
	for _, s := range seeds {
		b, err := os.ReadFile(s)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	for _, s := range []string{
		"", "null", "[]", "a: 1", "s3: {endpoint: 's3'}", "s3: {endpoint: 'http://'}",
		"s3: {endpoint: 'http://s3', publicEndpoint: 'file:///etc/passwd'}", "s3: {endpoint: &a [*a]}",
		"s3: {dialect: aws, notificationARN: 'arn:aws:sns:::u', sts: {endpoint: 'http://s', roleARN: 'arn:'}}",
		"s3: {dialect: [minio], sts: {none: 1}}",
		"limits: {bodyMiB: 1e9}", "limits: {bodyMiB: 0}", "security: none", "---\n---\n", "\xff", "\x00",
		"defaults: {requests: {cpu: 1e999999999}}", "defaults: {limits: {'': x}}", "runs: {keepDays: -1}",
		"tracing: {endpoint: '://'}", "oidc: {issuer: 'x'}", "networkPolicies: {egress: Restricted}",
		"broker: {class: ''}", "broker: {config: {apiVersion: v1, kind: ConfigMap, name: a, namespace: b}}",
		"clusterDomain: 'a b'", "&a [*a,*a]",
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := installation.Parse(b)
		if err != nil {
			if c.S3.Endpoint != "" || c.ClusterDomain != "" {
				t.Errorf("%v, and yet %+v", err, c)
			}
			return
		}
		for _, s := range []string{c.S3.Endpoint, c.S3.PublicEndpoint, c.S3.STSEndpoint()} {
			if u, err := url.Parse(s); err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
				t.Errorf("the storage is at %q", s)
			}
		}
		if n := c.Limits.BodyMiB; n < 1 || n > 250 || c.Runs.KeepDays < 1 || c.Defaults.TimeoutSeconds < 1 ||
			c.Defaults.TimeoutSeconds > 600 {
			t.Errorf("%+v", c)
		}
		if c.Security != installation.Baseline && c.Security != installation.Restricted {
			t.Errorf("security %q", c.Security)
		}
	})
}
