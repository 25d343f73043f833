// Package filebox keeps users' files in boxes in S3: it is files.Storage. It is apart from package
// files so that a server without S3 need not carry the client.
package filebox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/inference/internal/files"
)

const (
	// storedAtOnce is how many files of a call are stored at once; a large one goes in parts of
	// partSize, partsAtOnce of them at once. minio-go reads the parts of a file in place: nothing
	// is held in memory.
	storedAtOnce          = 4
	partSize, partsAtOnce = 64 << 20, 4
	// takeBack bounds the removal of what was stored of a call that failed.
	takeBack = 10 * time.Second
)

// Boxes are the component's boxes, each with its session in <Dir>/<box>/session.json. They are
// opened when they are wanted and kept open.
type Boxes struct {
	Dir string
	// Prefix is what the names of boxes have before those of the folders.
	Prefix string
	Log    *slog.Logger

	mu   sync.Mutex
	open map[string]*s3.Box
}

func (b *Boxes) box(name string) (*s3.Box, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	session := filepath.Join(b.Dir, strings.TrimPrefix(name, b.Prefix), databox.SessionKey)
	x, err := s3.Reopen(b.open[name], session, func(s databox.Session) {
		b.Log.Info("S3 session opened", "box", name,
			"bucket", s.Bucket, "access_key_id", s.AccessKeyID, "expires", s.Expiration)
	})
	if err != nil {
		return nil, fmt.Errorf("box %s: %w: %w", name, files.ErrUnavailable, err)
	}
	if b.open == nil {
		b.open = map[string]*s3.Box{}
	}
	b.open[name] = x
	return x, nil
}

// key is the place of a user's file in its bucket.
func key(user string, p files.Place) (string, error) {
	k := databox.Place{Box: p.Box, Path: p.Path}.Key(user)
	if err := databox.CheckObjectPath(p.Path); err != nil {
		return "", err
	}
	if len(k) > databox.MaxKey {
		return "", fmt.Errorf("the key of a user's file has %d bytes, S3 takes %d", len(k), databox.MaxKey)
	}
	return k, nil
}

// Stat implements files.Storage.
func (b *Boxes) Stat(ctx context.Context, user string, p files.Place) (files.Version, error) {
	box, err := b.box(p.Box)
	if err != nil {
		return files.Version{}, err
	}
	k, err := key(user, p)
	if err != nil { // nobody could put it there
		return files.Version{}, fmt.Errorf("%w: %w", files.ErrMissing, err)
	}
	o, err := box.Stat(ctx, k)
	// The storage has other rules for names than S3, as MinIO for "a\\..\\b": nobody could put a
	// file there.
	if s3.AnswerOf(err) == s3.BadRequest {
		return files.Version{}, fmt.Errorf("%w: %w", files.ErrMissing, err)
	}
	return files.Version{Size: o.Size, Tag: o.ETag}, classify(err)
}

// Fetch implements files.Storage.
func (b *Boxes) Fetch(ctx context.Context, user string, p files.Place, v files.Version, path string) error {
	box, err := b.box(p.Box)
	if err != nil {
		return err
	}
	k, err := key(user, p)
	if err != nil {
		return fmt.Errorf("%w: %w", files.ErrMissing, err)
	}
	return classify(box.Download(ctx, s3.Object{Key: k, ETag: v.Tag, Size: v.Size}, path))
}

func classify(err error) error {
	var disk *fs.PathError
	switch {
	case err == nil, errors.As(err, &disk), errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return err
	case errors.Is(err, s3.ErrChanged):
		return fmt.Errorf("%w: %w", files.ErrChanged, err)
	case s3.IsMissing(err):
		return fmt.Errorf("%w: %w", files.ErrMissing, err)
	default:
		return fmt.Errorf("%w: %w", files.ErrUnavailable, err)
	}
}

// Store implements files.Storage. What was stored before another one failed is removed again, as
// far as the storage lets it.
func (b *Boxes) Store(ctx context.Context, user string, all []files.Content) error {
	if err := b.fits(ctx, all); err != nil {
		return err
	}
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(storedAtOnce)
	for _, c := range all {
		g.Go(func() error { return b.write(gctx, user, c) })
	}
	err := g.Wait()
	if err != nil {
		b.remove(context.WithoutCancel(ctx), user, all)
	}
	return err
}

// fits refuses what would fill a box beyond its capacity.
func (b *Boxes) fits(ctx context.Context, all []files.Content) error {
	need := map[string]int64{}
	for _, c := range all {
		need[c.Place.Box] += c.Size
	}
	for name, n := range need {
		box, err := b.box(name)
		if err == nil {
			err = box.Fit(ctx, n)
		}
		if full, ok := errors.AsType[*databox.FullError](err); ok {
			return fmt.Errorf("%w: box %s: %w", files.ErrFull, name, full)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func (b *Boxes) write(ctx context.Context, user string, c files.Content) error {
	box, err := b.box(c.Place.Box)
	if err != nil {
		return err
	}
	k, err := key(user, c.Place)
	if err != nil {
		return err
	}
	_, err = box.PutObject(ctx, box.Bucket, k, io.NewSectionReader(c.File, 0, c.Size), c.Size, minio.PutObjectOptions{
		ContentType: c.Type, PartSize: partSize, NumThreads: partsAtOnce,
	})
	if err != nil {
		return fmt.Errorf("storing a file of %d bytes: %w", c.Size, err)
	}
	return nil
}

func (b *Boxes) remove(ctx context.Context, user string, all []files.Content) {
	ctx, cancel := context.WithTimeout(ctx, takeBack)
	defer cancel()
	for _, c := range all {
		box, err := b.box(c.Place.Box)
		if err != nil {
			return
		}
		k, err := key(user, c.Place)
		if err != nil {
			continue // it was not stored
		}
		if err := box.RemoveObject(ctx, box.Bucket, k, minio.RemoveObjectOptions{}); err != nil {
			b.Log.Warn("a file of a call that failed is left", "box", c.Place.Box, "error", err)
			return
		}
	}
}
