package s3

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"sync"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
)

// rangeSize is what one request of a transfer asks for. A range is copied through 32 KiB: memory
// does not grow with the object.
const rangeSize = 16 << 20

var (
	// ErrChanged: the version of the object that was asked for is no more the object's.
	ErrChanged = errors.New("the object has been replaced")
	// ErrCorrupt: all bytes have come, and they are not those of the checksum.
	ErrCorrupt = errors.New("the content is not that of the checksum that it was stored with")
)

// Object is one version of an object.
type Object struct {
	Key, ETag string
	Size      int64
}

// Requests makes a request until it has worked, has failed for good or has been made often enough.
// It may give the request another client each time, when the session has been renewed.
type Requests func(ctx context.Context, request func(*minio.Client) error) error

// File is what a transfer writes to.
type File interface {
	io.WriterAt
	io.ReaderAt
}

// Transfer is one version of an object on its way into a file. Its ranges come in parallel, each
// pinned to the version where that has an ETag: an object that changes meanwhile is an error, never
// a mixture. A range that breaks off goes on where it was. At the end the file is compared with a
// checksum, where there is one.
//
// Errors: ErrChanged, ErrCorrupt, an *fs.PathError of the file system (no space left, say), S3's.
type Transfer struct {
	Bucket string
	Object Object
	// SHA256 of the content in hexadecimal, where somebody has announced it. Otherwise the
	// storage's own checksum of the whole object counts, where it has one.
	SHA256 string
	// File is empty when the transfer begins.
	File File
	// Requests makes each request.
	Requests Requests
	// Done, when it is set, is called once, when no request uses the file any more. Its error is
	// the transfer's.
	Done func() error

	mu     sync.Mutex
	left   int64 // requests under way or to come
	failed bool
	sum    checksum
}

// Start puts the transfer's requests into the group, whose limit may be shared by many transfers.
// It waits while the group is full.
func (t *Transfer) Start(ctx context.Context, g *errgroup.Group) {
	size := t.Object.Size
	n := max(1, (size+rangeSize-1)/rangeSize)
	ask := n > 1 && t.SHA256 == "" // of one range the answer says the checksum as well
	if t.left = n; ask {
		t.left++
	}
	for i := range n {
		from := i * rangeSize
		g.Go(func() error { return t.end(t.bring(ctx, from, min(from+rangeSize, size))) })
	}
	if ask {
		g.Go(func() error { return t.end(t.askChecksum(ctx)) })
	}
}

// end counts a request that has ended; the last one ends the transfer.
func (t *Transfer) end(err error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.failed = t.failed || err != nil
	if t.left--; t.left == 0 {
		if !t.failed {
			err = t.check()
		}
		if t.Done != nil {
			err = errors.Join(err, t.Done())
		}
	}
	if err != nil {
		return fmt.Errorf("object %q: %w", t.Object.Key, err)
	}
	return nil
}

// check compares the content with the checksum; it is still in the page cache when it has just been
// written.
func (t *Transfer) check() error {
	if t.SHA256 == "" {
		return t.sum.check(t.File, t.Object.Size)
	}
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(t.File, 0, t.Object.Size)); err != nil {
		return fmt.Errorf("reading it again: %w", err)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != t.SHA256 {
		return fmt.Errorf("%w: its SHA-256 is %s, not %s", ErrCorrupt, got, t.SHA256)
	}
	return nil
}

// askChecksum asks for the checksum of an object that comes in several ranges.
func (t *Transfer) askChecksum(ctx context.Context) error {
	return t.Requests(ctx, func(c *minio.Client) error {
		opts := minio.StatObjectOptions{Checksum: true}
		if err := pin(&opts, t.Object.ETag); err != nil {
			return err
		}
		info, err := c.StatObject(ctx, t.Bucket, t.Object.Key, opts)
		if err != nil {
			return explain(err)
		}
		t.setSum(checksumOf(info))
		return nil
	})
}

func (t *Transfer) setSum(sum checksum) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if sum.encoded != "" {
		t.sum = sum
	}
}

// bring writes the bytes [from, to) to their place.
func (t *Transfer) bring(ctx context.Context, from, to int64) error {
	if from == to {
		return nil // an empty object: the file is there
	}
	var corrupt error
	begin := from
	err := t.Requests(ctx, func(c *minio.Client) error {
		n, err := t.copyRange(ctx, c, from, to)
		from += n
		switch {
		case err != nil && n > 0 && from == to: // the client has compared a whole object with its checksum
			corrupt = fmt.Errorf("%w: %w", ErrCorrupt, err)
			return nil
		case err == nil && from < to:
			return fmt.Errorf("%d of %d bytes have come: %w", from-begin, to-begin, io.ErrUnexpectedEOF)
		}
		return err
	})
	return errors.Join(err, corrupt)
}

// copyRange asks once. Without a range, which the whole object needs none of, S3 says the checksum
// as well.
func (t *Transfer) copyRange(ctx context.Context, c *minio.Client, from, to int64) (int64, error) {
	var opts minio.GetObjectOptions
	if err := pin(&opts, t.Object.ETag); err != nil {
		return 0, err
	}
	if from == 0 && to == t.Object.Size {
		opts.Checksum = true
	} else if err := opts.SetRange(from, to-1); err != nil {
		return 0, err
	}
	body, info, _, err := (&minio.Core{Client: c}).GetObject(ctx, t.Bucket, t.Object.Key, opts)
	if err != nil {
		return 0, explain(err)
	}
	defer body.Close()
	if info.Size != to-from {
		return 0, fmt.Errorf("%w: %d bytes were announced from %d on, %d come", ErrChanged, to-from, from, info.Size)
	}
	t.setSum(checksumOf(info))
	return io.Copy(io.NewOffsetWriter(t.File, from), io.LimitReader(body, to-from))
}

// pin asks for one version of the object, where it is known.
func pin(opts interface{ SetMatchETag(string) error }, etag string) error {
	if etag == "" {
		return nil
	}
	return opts.SetMatchETag(etag)
}

func explain(err error) error {
	if AnswerOf(err) == OtherVersion {
		return fmt.Errorf("%w: %w", ErrChanged, err)
	}
	return err
}
