package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"mime"
	"os"
	"path"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

const (
	// partSize of a multipart upload, and how many parts go at once. minio-go reads the parts of a
	// file in place: nothing is held in memory.
	partSize, partsAtOnce = 64 << 20, 4
)

// uploadFile brings one file to S3 and returns what the commit says of it. The content is hashed
// first; the file is still in the page cache when it is sent.
func (p *publisher) uploadFile(ctx context.Context, root *os.Root, f found, key string) (stage.File, error) {
	file, err := open(root, f)
	if err != nil {
		return stage.File{}, err
	}
	defer file.Close()
	h := sha256.New()
	if n, err := io.Copy(h, io.NewSectionReader(file, 0, f.info.Size())); err != nil || n != f.info.Size() {
		return stage.File{}, storage.Permanentf("%q: only %d of %d bytes can be read: %w", f.path, n, f.info.Size(),
			err)
	}
	err = p.sessions.Try(ctx, p.plan.Session, func(s3 *minio.Client) error {
		content := io.NewSectionReader(file, 0, f.info.Size())
		_, err := s3.PutObject(ctx, p.plan.Bucket, key, content, f.info.Size(), minio.PutObjectOptions{
			ContentType: contentType(f.path), PartSize: partSize, NumThreads: partsAtOnce,
		})
		return err
	})
	if err != nil {
		return stage.File{}, fmt.Errorf("%q: %w", f.path, err)
	}
	return stage.File{Path: f.path, Size: f.info.Size(), SHA256: hex.EncodeToString(h.Sum(nil))}, nil
}

func contentType(name string) string {
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}
