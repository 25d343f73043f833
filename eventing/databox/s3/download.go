package s3

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

const (
	// rangeSize is what one request of a download asks for; ranges are how many run at once. A
	// range is copied through 32 KiB: memory does not grow with the object.
	rangeSize, ranges = 16 << 20, 8
	// tries of one range; each goes on where the one before broke off.
	tries = 5
)

// ErrChanged: the version of the object that was asked for is no more the object's.
var ErrChanged = errors.New("the object has been replaced")

// ErrCorrupt: all bytes have come, and they are not those that the storage has a checksum of.
var ErrCorrupt = errors.New("the content is not that of the checksum which the storage has of it")

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

// Download brings one version of an object into a file of mode 0644 that appears whole or not at
// all: it is written beside its place and renamed. Ranges come in parallel, each pinned to the
// version: an object that changes meanwhile is an error, never a mixture. A connection that breaks
// off is made again, a bounded number of times, and goes on where it was. Where the storage has a
// checksum of the whole object, the file is compared with it.
//
// Errors: ErrChanged, ErrCorrupt, an *fs.PathError of the file system (no space left, say), S3's.
func (b *Box) Download(ctx context.Context, o Object, path string) error {
	return b.download(ctx, o, path, ranges)
}

// unfinished is how the names of files begin that are being downloaded.
const unfinished = ".fetch-"

// RemoveUnfinished removes from a folder and those below it what downloads have left there whose
// process was killed. Nothing may be downloaded meanwhile.
func RemoveUnfinished(dir string) error {
	return filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() && strings.HasPrefix(d.Name(), unfinished) {
			err = os.Remove(path)
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

func (b *Box) download(ctx context.Context, o Object, path string, parallel int) error {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished+"*")
	if err != nil {
		return fmt.Errorf("downloading %s: %w", o.Key, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	sum, err := b.bring(ctx, o, f, parallel)
	if err == nil {
		err = sum.check(f, o.Size)
	}
	if err != nil {
		return fmt.Errorf("downloading %s: %w", o.Key, err)
	}
	if err := errors.Join(f.Chmod(0o644), f.Close(), os.Rename(f.Name(), path)); err != nil {
		return fmt.Errorf("downloading %s: %w", o.Key, err)
	}
	return nil
}

// bring writes the object's content and returns its checksum. An object of one range says it with
// its content, of a larger one it is asked for.
func (b *Box) bring(ctx context.Context, o Object, f io.WriterAt, parallel int) (checksum, error) {
	if o.Size <= rangeSize {
		return b.bringRange(ctx, o, f, 0, o.Size)
	}
	var sum checksum
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for from := int64(0); from < o.Size; from += rangeSize {
		g.Go(func() error {
			_, err := b.bringRange(gctx, o, f, from, min(from+rangeSize, o.Size))
			return err
		})
	}
	g.Go(func() error {
		opts := minio.StatObjectOptions{Checksum: true}
		if err := opts.SetMatchETag(o.ETag); err != nil {
			return err
		}
		info, err := b.StatObject(gctx, b.Bucket, o.Key, opts)
		sum = checksumOf(info)
		return explain(err)
	})
	err := g.Wait()
	return sum, err
}

// bringRange brings the bytes [from, to).
func (b *Box) bringRange(ctx context.Context, o Object, f io.WriterAt, from, to int64) (sum checksum, err error) {
	for try := 1; ; try++ {
		n, said, err := b.copyRange(ctx, o, f, from, to)
		from += n
		if said.encoded != "" {
			sum = said
		}
		switch {
		case err == nil && from == to:
			return sum, nil
		case err == nil:
			err = io.ErrUnexpectedEOF
		case from == to && n > 0: // the client has compared a whole object with its checksum
			return sum, fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		if final(err) || try == tries {
			return sum, err
		}
		select {
		case <-ctx.Done():
			return sum, ctx.Err()
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

// final reports what another try would not mend: S3 has said no, or the file system has.
func final(err error) bool {
	var disk *fs.PathError
	code := minio.ToErrorResponse(err).Code
	return errors.Is(err, ErrChanged) || errors.As(err, &disk) || code == "NoSuchKey" || code == "NoSuchBucket" || code == "AccessDenied"
}

// copyRange asks once. Without a range, which the whole object needs none of, S3 says the checksum
// too.
func (b *Box) copyRange(ctx context.Context, o Object, f io.WriterAt, from, to int64) (int64, checksum, error) {
	var opts minio.GetObjectOptions
	if err := opts.SetMatchETag(o.ETag); err != nil {
		return 0, checksum{}, err
	}
	if from == 0 && to == o.Size {
		opts.Checksum = true
	} else if err := opts.SetRange(from, to-1); err != nil {
		return 0, checksum{}, err
	}
	body, info, _, err := (&minio.Core{Client: b.Client}).GetObject(ctx, b.Bucket, o.Key, opts)
	if err != nil {
		return 0, checksum{}, explain(err)
	}
	defer body.Close()
	n, err := io.Copy(io.NewOffsetWriter(f, from), io.LimitReader(body, to-from))
	return n, checksumOf(info), err
}

func explain(err error) error {
	if minio.ToErrorResponse(err).Code == "PreconditionFailed" || minio.ToErrorResponse(err).StatusCode == 412 {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}
