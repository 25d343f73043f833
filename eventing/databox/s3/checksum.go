package s3

import (
	"encoding/base64"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"
)

// checksum is what the storage knows of an object's whole content; the zero value knows nothing.
type checksum struct {
	kind    minio.ChecksumType
	encoded string // base64
}

// checksumOf takes the quickest of the checksums that S3 has sent. One made of the checksums of
// parts says nothing of the whole: it is called so, or ends in "-" and their number, where a server
// does not say which kind it is (SeaweedFS). An ETag is no checksum: of an encrypted object it is
// anything.
func checksumOf(info minio.ObjectInfo) checksum {
	if info.ChecksumMode != "" && info.ChecksumMode != minio.ChecksumFullObjectMode.String() {
		return checksum{}
	}
	for _, c := range []checksum{
		{minio.ChecksumCRC32C, info.ChecksumCRC32C}, {minio.ChecksumCRC64NVME, info.ChecksumCRC64NVME},
		{minio.ChecksumCRC32, info.ChecksumCRC32},
		{minio.ChecksumSHA256, info.ChecksumSHA256}, {minio.ChecksumSHA1, info.ChecksumSHA1},
	} {
		if c.encoded != "" && !strings.Contains(c.encoded, "-") { // base64 has none
			return c
		}
	}
	return checksum{}
}

// check compares the content with it; it is still in the page cache when it has just been written.
func (c checksum) check(content io.ReaderAt, size int64) error {
	if c.encoded == "" {
		return nil
	}
	h := c.kind.Hasher()
	if _, err := io.Copy(h, io.NewSectionReader(content, 0, size)); err != nil {
		return fmt.Errorf("reading it again: %w", err)
	}
	if got := base64.StdEncoding.EncodeToString(h.Sum(nil)); got != c.encoded {
		return fmt.Errorf("%w: %s %s, not %s", ErrCorrupt, c.kind, got, c.encoded)
	}
	return nil
}
