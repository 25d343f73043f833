package s3

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

const (
	// ranges are how many requests of a download run at once.
	ranges = 8
	// tries of one range; each goes on where the one before broke off.
	tries = 5
)

// Stat looks at an object. The error is one of IsMissing when there is none.
func (b *Box) Stat(ctx context.Context, key string) (Object, error) {
	info, err := b.StatObject(ctx, b.Bucket, key, minio.StatObjectOptions{})
	return Object{Key: key, ETag: info.ETag, Size: info.Size}, err
}

// Download brings one version of an object into a file of mode 0644 that appears whole or not at
// all: it is written beside its place and renamed. The rest is as of a Transfer.
func (b *Box) Download(ctx context.Context, o Object, path string) error {
	return b.download(ctx, o, path, ranges)
}

func (b *Box) download(ctx context.Context, o Object, path string, parallel int) error {
	f, err := os.CreateTemp(filepath.Dir(path), unfinished+"*")
	if err != nil {
		return fmt.Errorf("downloading %s: %w", o.Key, err)
	}
	defer os.Remove(f.Name())
	defer f.Close()
	if err := b.transfer(ctx, o, f, parallel); err != nil {
		return err
	}
	if err := errors.Join(f.Chmod(0o644), f.Close(), os.Rename(f.Name(), path)); err != nil {
		return fmt.Errorf("downloading %s: %w", o.Key, err)
	}
	return nil
}

func (b *Box) transfer(ctx context.Context, o Object, f File, parallel int) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	b.Transfer(o, f).Start(ctx, g)
	return g.Wait()
}

// Transfer brings one version of an object into a file of the caller's. It is not started.
func (b *Box) Transfer(o Object, f File) *Transfer {
	return &Transfer{Bucket: b.Bucket, Object: o, File: f, Requests: b.requests}
}

// requests are Requests with the box's own client, which follows its session.
func (b *Box) requests(ctx context.Context, request func(*minio.Client) error) error {
	for try := 1; ; try++ {
		err := request(b.Client)
		if err == nil || final(err) || try == tries {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(time.Duration(try) * 100 * time.Millisecond):
		}
	}
}

// final reports what another try would not mend: S3 has said no, or the file system has.
func final(err error) bool {
	var disk *fs.PathError
	return IsFinal(err) || errors.Is(err, ErrChanged) || errors.As(err, &disk)
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
