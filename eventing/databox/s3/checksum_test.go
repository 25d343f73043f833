package s3

import (
	"testing"

	"github.com/minio/minio-go/v7"
)

// Only a checksum of the whole object counts, whether the server says so or not.
func TestChecksumOf(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		info minio.ObjectInfo
		want string
	}{
		"of the whole":                              {minio.ObjectInfo{ChecksumMode: "FULL_OBJECT", ChecksumCRC32C: "Ya91Mw=="}, "Ya91Mw=="},
		"of the parts":                              {minio.ObjectInfo{ChecksumMode: "COMPOSITE", ChecksumCRC32C: "UN0vkQ==-3"}, ""},
		"of the parts, without their number":        {minio.ObjectInfo{ChecksumMode: "COMPOSITE", ChecksumCRC32C: "UN0vkQ=="}, ""},
		"SeaweedFS does not say which":              {minio.ObjectInfo{ChecksumCRC32C: "Ya91Mw=="}, "Ya91Mw=="},
		"of the parts, and it is not said":          {minio.ObjectInfo{ChecksumCRC32C: "UN0vkQ==-3"}, ""},
		"of the parts, but there is another, whole": {minio.ObjectInfo{ChecksumCRC32C: "UN0vkQ==-3", ChecksumCRC64NVME: "AAAAAAAAAAA="}, "AAAAAAAAAAA="},
		"none": {minio.ObjectInfo{ETag: "9a2ef9cb8ad224f4af0a22d36f6044d1"}, ""},
	} {
		if got := checksumOf(c.info); got.encoded != c.want {
			t.Errorf("%s: %q, want %q", name, got.encoded, c.want)
		}
	}
}
