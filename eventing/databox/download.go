package databox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

const (
	// rangeSize is what one request of a download asks for; ranges are how many run at once. A range is copied through 32 KiB: memory does not grow with the object.
	rangeSize, ranges = 16 << 20, 4
	// tries of one range; each goes on where the one before broke off.
	tries = 5
)

// Object is one version of an object.
type Object struct {
	Key, ETag string
	Size      int64
}

// Stat looks at an object. The error's code is NoSuchKey when there is none.
func (b *Box) Stat(ctx context.Context, key string) (Object, error) {
	info, err := b.StatObject(ctx, b.Bucket, key, minio.StatObjectOptions{})
	return Object{Key: key, ETag: info.ETag, Size: info.Size}, err
}

// Missing reports that S3 said that there is no such object.
func Missing(err error) bool {
	code := minio.ToErrorResponse(err).Code
	return code == "NoSuchKey" || code == "NoSuchBucket"
}

// Download brings one version of an object into a file that appears whole or not at all: it is written beside its place and renamed. Ranges come in parallel, each pinned to the version: an
// object that changes meanwhile is an error, never a mixture.
func (b *Box) Download(ctx context.Context, o Object, path string) error {
	f, err := os.CreateTemp(filepath.Dir(path), ".fetch-*")
	if err != nil {
		return fmt.Errorf("downloading %s: %w", o.Key, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(ranges)
	for from := int64(0); from < o.Size; from += rangeSize {
		g.Go(func() error { return b.downloadRange(gctx, o, f, from, min(from+rangeSize, o.Size)) })
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("downloading %s: %w", o.Key, err)
	}
	if err := errors.Join(f.Chmod(0o644), f.Close(), os.Rename(f.Name(), path)); err != nil {
		return fmt.Errorf("downloading %s: %w", o.Key, err)
	}
	return nil
}

// downloadRange brings the bytes [from, to).
func (b *Box) downloadRange(ctx context.Context, o Object, f io.WriterAt, from, to int64) error {
	for try := 1; ; try++ {
		n, err := b.copyRange(ctx, o, f, from, to)
		from += n
		switch code := minio.ToErrorResponse(err).Code; {
		case err == nil && from == to:
			return nil
		case err == nil:
			err = io.ErrUnexpectedEOF
		case code == "PreconditionFailed" || code == "NoSuchKey" || code == "AccessDenied":
			return err
		}
		if try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

func (b *Box) copyRange(ctx context.Context, o Object, f io.WriterAt, from, to int64) (int64, error) {
	var opts minio.GetObjectOptions
	if err := errors.Join(opts.SetRange(from, to-1), opts.SetMatchETag(o.ETag)); err != nil {
		return 0, err
	}
	body, _, _, err := (&minio.Core{Client: b.Client}).GetObject(ctx, b.Bucket, o.Key, opts)
	if err != nil {
		return 0, err
	}
	defer body.Close()
	return io.Copy(io.NewOffsetWriter(f, from), io.LimitReader(body, to-from))
}
