package publish

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"os"
	"path"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

const (
	// partSize of a multipart upload, and how many parts of a file go at once. They are read from
	// the file in place: nothing is held in memory.
	partSize, partsAtOnce = 64 << 20, 4
	// maxParts is S3's limit. A file that needs more has larger parts.
	maxParts = 10_000
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
	n, err := io.Copy(h, &cancellable{ctx, io.NewSectionReader(file, 0, f.size)})
	switch {
	case ctx.Err() != nil:
		return stage.File{}, context.Cause(ctx)
	case err != nil:
		return stage.File{}, storage.Permanentf("%q: only %d of %d bytes can be read: %w", f.path, n, f.size, err)
	case n != f.size:
		return stage.File{}, storage.Permanentf("%q: only %d of %d bytes can be read", f.path, n, f.size)
	}
	u := &upload{p: p, file: file, size: f.size, key: key, sum: hex.EncodeToString(h.Sum(nil)),
		contentType: contentType(f.path)}
	if f.size <= partSize {
		err = u.whole(ctx)
	} else {
		err = u.inParts(ctx)
	}
	if err != nil {
		return stage.File{}, fmt.Errorf("%q: %w", f.path, err)
	}
	return stage.File{Path: f.path, Size: f.size, SHA256: u.sum}, nil
}

// cancellable ends the reading of a large file with the context.
type cancellable struct {
	ctx context.Context
	io.Reader
}

func (c *cancellable) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(b)
}

// upload is one file on its way.
type upload struct {
	p    *publisher
	file *os.File
	size int64
	key  string
	// sum is the content's SHA-256, with which a request of the whole is signed: the storage
	// refuses another content.
	sum         string
	contentType string
}

func (u *upload) try(ctx context.Context, request func(minio.Core) error) error {
	return u.p.sessions.Try(ctx, u.p.plan.Session, func(c *minio.Client) error {
		return request(minio.Core{Client: c})
	})
}

func (u *upload) whole(ctx context.Context) error {
	return u.try(ctx, func(c minio.Core) error {
		content := io.NewSectionReader(u.file, 0, u.size)
		_, err := c.PutObject(ctx, u.p.plan.Bucket, u.key, content, u.size, "", u.sum,
			minio.PutObjectOptions{ContentType: u.contentType, DisableContentSha256: true})
		return err
	})
}

// inParts tries each part alone: what has arrived before storage went away need not be sent again.
func (u *upload) inParts(ctx context.Context) error {
	var id string
	err := u.try(ctx, func(c minio.Core) (err error) {
		id, err = c.NewMultipartUpload(ctx, u.p.plan.Bucket, u.key, minio.PutObjectOptions{ContentType: u.contentType})
		return err
	})
	if err != nil {
		return err
	}
	size := max(partSize, (u.size+maxParts-1)/maxParts)
	parts := make([]minio.CompletePart, (u.size+size-1)/size)
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(partsAtOnce)
	for i := range parts {
		from := int64(i) * size
		g.Go(func() error {
			return u.try(within, func(c minio.Core) error {
				n := min(size, u.size-from)
				part, err := c.PutObjectPart(within, u.p.plan.Bucket, u.key, id, i+1,
					io.NewSectionReader(u.file, from, n), n, minio.PutObjectPartOptions{})
				parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: part.ETag}
				return err
			})
		})
	}
	if err = g.Wait(); err == nil {
		err = u.try(ctx, func(c minio.Core) error { return u.complete(ctx, c, id, parts) })
	}
	if err != nil {
		u.abort(ctx, id)
	}
	return err
}

// complete makes an object of the parts. Of a former request the answer may have been lost: then
// the object is there.
func (u *upload) complete(ctx context.Context, c minio.Core, id string, parts []minio.CompletePart) error {
	_, err := c.CompleteMultipartUpload(ctx, u.p.plan.Bucket, u.key, id, slices.Clone(parts), minio.PutObjectOptions{})
	if minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
		return err
	}
	info, statErr := c.StatObject(ctx, u.p.plan.Bucket, u.key, minio.StatObjectOptions{})
	if statErr == nil && info.Size == u.size {
		return nil
	}
	return errors.Join(err, statErr)
}

// abort takes away the parts of an upload that comes to nothing. Those that it leaves are removed
// with the run bucket's old objects.
func (u *upload) abort(ctx context.Context, id string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	err := u.try(ctx, func(c minio.Core) error { return c.AbortMultipartUpload(ctx, u.p.plan.Bucket, u.key, id) })
	if err != nil {
		slog.Warn("parts of an upload are left", "key", u.key, "error", err)
	}
}

func contentType(name string) string {
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}
