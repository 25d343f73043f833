package fetch

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"sync/atomic"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

// rangeSize is how much of a large object one request asks for.
const rangeSize = 32 << 20

// transfer brings one object into one file, which it closes when the last range has come.
type transfer struct {
	sessions *storage.Sessions
	session  string
	object   object
	file     *os.File
	left     atomic.Int64 // ranges under way or to come
}

// start puts the object's ranges into the group; it waits while the group is full.
func (t *transfer) start(ctx context.Context, g *errgroup.Group) {
	n := max(1, (t.object.size+rangeSize-1)/rangeSize)
	t.left.Store(n)
	for i := range n {
		from := i * rangeSize
		to := min(from+rangeSize, t.object.size)
		g.Go(func() error {
			err := t.bring(ctx, from, to)
			if t.left.Add(-1) == 0 {
				if e := t.finish(); err == nil {
					err = e
				}
			}
			if err != nil {
				err = fmt.Errorf("object %q: %w", t.object.key, err)
			}
			return err
		})
	}
}

// bring fetches the bytes [from, to). A body that breaks off is asked for again from where it stopped, of the same version of the object.
func (t *transfer) bring(ctx context.Context, from, to int64) error {
	return t.sessions.Try(ctx, t.session, func(s3 *minio.Client) error {
		if from == to {
			return nil // an empty object: the file is there
		}
		var o minio.GetObjectOptions
		if err := o.SetRange(from, to-1); err != nil {
			return err
		}
		if t.object.etag != "" {
			if err := o.SetMatchETag(t.object.etag); err != nil {
				return err
			}
		}
		body, info, _, err := (&minio.Core{Client: s3}).GetObject(ctx, t.object.bucket, t.object.key, o)
		if err != nil {
			return err
		}
		defer body.Close()
		if info.Size != to-from {
			return storage.Permanentf("%d bytes were announced from %d on, %d come", to-from, from, info.Size)
		}
		n, err := io.Copy(io.NewOffsetWriter(t.file, from), io.LimitReader(body, to-from))
		from += n
		if err == nil && from < to {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
}

// finish checks the whole file and closes it.
func (t *transfer) finish() error {
	defer t.file.Close()
	info, err := t.file.Stat()
	if err != nil {
		return err
	}
	if info.Size() != t.object.size {
		return fmt.Errorf("%d bytes were announced, %d are here", t.object.size, info.Size())
	}
	if t.object.sha256 == "" {
		return nil
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(t.file, 0, info.Size())); err != nil {
		return err
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != t.object.sha256 {
		return fmt.Errorf("its SHA-256 is %s, the commit says %s", got, t.object.sha256)
	}
	return nil
}
