package installation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/translate/installation"
)

func TestNothingIsTheDefault(t *testing.T) {
	t.Parallel()
	want := installation.Default()
	want.S3.PublicEndpoint = want.S3.Endpoint
	for _, in := range []string{"", "# nothing\n", "{}"} {
		got, err := installation.Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := installation.Parse([]byte("clusterDomain: example.org\nsecurity: restricted\ns3: {endpoint: 'https://s3.example.org', reclaimPolicy: Delete}\ndefaults: {timeoutSeconds: 600}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got.ClusterDomain != "example.org" || got.Security != installation.Restricted || got.S3.ReclaimPolicy != installation.Delete ||
		got.S3.PublicEndpoint != "https://s3.example.org" || got.S3.Region != "us-east-1" || got.Defaults.TimeoutSeconds != 600 {
		t.Errorf("%+v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"domain: x":                          "field domain not found",
		"s3: {endpoint: 'minio:9000'}":       `s3.endpoint: "minio:9000" is not a URL`,
		"s3: {sessionHours: 13}":             "s3.sessionHours: 13 is not within 1 to 12",
		"s3: {sessionSeconds: 60}":           "s3.sessionSeconds: 60 is not within 900 to 43200",
		"s3: {reclaimPolicy: Keep}":          `s3.reclaimPolicy: "Keep" is neither Retain nor Delete`,
		"security: none":                     `security: "none" is neither baseline nor restricted`,
		"defaults: {timeoutSeconds: 601}":    "defaults.timeoutSeconds: 601 is not within 1 to 600",
		"defaults: {limits: {memory: much}}": `defaults.limits.memory: "much" is not a quantity`,
	} {
		if _, err := installation.Parse([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}
