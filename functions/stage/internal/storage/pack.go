package storage

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/stage"
)

// PacksAtOnce are as many as fetch and publish hold in memory.
const PacksAtOnce = 2

// ReadPack reads a pack as far as these files of a commit reach, and makes sure that each is what
// the commit says.
func (s *Sessions) ReadPack(
	ctx context.Context, session, bucket, key string, files []*stage.File,
) ([]byte, error) {
	content := make([]byte, stage.PackSize(files))
	err := s.Try(ctx, session, func(c *minio.Client) error {
		body, info, _, err := (&minio.Core{Client: c}).GetObject(ctx, bucket, key, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		if info.Size < int64(len(content)) {
			return fmt.Errorf("%w: it has %d bytes of %d", s3.ErrCorrupt, info.Size, len(content))
		}
		if _, err := io.ReadFull(body, content); err != nil {
			return err
		}
		for _, f := range files {
			sum := sha256.Sum256(f.In(content))
			if got := hex.EncodeToString(sum[:]); got != f.SHA256 {
				return fmt.Errorf("%q: %w: its SHA-256 is %s, not %s", f.Path, s3.ErrCorrupt, got, f.SHA256)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("pack %q: %w", key, err)
	}
	return content, nil
}
