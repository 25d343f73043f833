//go:build integration

package miniotest

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"

	"github.com/unip-knative/unip/e2e/freeport"
)

// seaweedFS sets what starts all of SeaweedFS in one process: its S3 listens at the address, with
// the same keys as MinIO.
func (s *Server) seaweedFS(t testing.TB, address string, env []string) {
	t.Helper()
	host, port, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	identities := map[string]any{"identities": []any{map[string]any{
		"name":        AccessKey,
		"credentials": []any{map[string]string{"accessKey": AccessKey, "secretKey": SecretKey}},
		"actions":     []string{"Admin"},
	}}}
	sts := map[string]any{"sts": map[string]string{
		"issuer": "seaweedfs-sts", "tokenDuration": "1h", "maxSessionLength": "168h",
		"signingKey": base64.StdEncoding.EncodeToString([]byte(SecretKey + SecretKey + SecretKey)),
	}}
	write := func(name string, content []byte) string {
		t.Helper()
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, content, 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	marshal := func(v any) []byte {
		t.Helper()
		b, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	write("master.toml", []byte("[master.volume_growth]\ncopy_1 = 1\nallocation_deferral = \"0s\"\n"))
	s.health = "/healthz"
	s.args = []string{
		"-config_dir=" + dir, "-logtostderr", "server", "-dir=" + t.TempDir(), "-ip=" + host, "-ip.bind=" + host,
		"-filer", "-s3",
		"-s3.port=" + port, "-s3.port.iceberg=0", "-s3.port.lance=0", "-s3.allowDeleteBucketNotEmpty=false",
		"-s3.autoCreateBucket=false", "-s3.allowBackslashInKey",
		"-s3.config=" + write("s3.json", marshal(identities)), "-s3.iam.config=" + write("iam.json", marshal(sts)),
		"-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=1000", "-volume.preStopSeconds=0",
	}
	for _, name := range []string{
		"master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc",
		"s3.port.grpc",
	} {
		s.args = append(s.args, fmt.Sprintf("-%s=%d", name, freeport.Find(t)))
	}
	s.env = append(append(os.Environ(), "GOMEMLIMIT=256MiB"), env...)
}
