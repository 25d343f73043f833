// Package modelbox fetches a component's model from its box in S3. It is apart from package model
// so that `unip serve`, which serves a model of the local disk, need not carry the S3 client.
package modelbox

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/inference/internal/model"
)

const (
	// maxFiles of a model that is a folder.
	maxFiles = 10_000
	// atOnce is how many files of a folder are fetched at once; each large one comes in several
	// ranges beside.
	atOnce = 8
)

// Source says where the model is and where it goes. It implements model.Source; it is for one
// caller at a time.
type Source struct {
	// Session is the file with the box's session.
	Session string
	// Object is the key; ending in "/" it is the prefix of a folder.
	Object string
	// File is where it goes in this container, a folder for a folder; Path is the same place as the
	// user's container sees it.
	File, Path string
	// Next is a folder, of the same path in both containers, for every other version; "" when the
	// model is never fetched again.
	Next string
	Log  *slog.Logger

	box *s3.Box
	// next says that the model in service lies in Next, fetched that the last one does.
	next, fetched bool
	some          bool // there was one
}

// String is the key.
func (s *Source) String() string { return s.Object }

// Fetch brings the object or the folder. A folder's ETag is made of those of its files.
func (s *Source) Fetch(ctx context.Context) (model.File, error) {
	// The session of a model opens nothing else; a server that was given another one must not bring
	// users' files into the function's container.
	if err := databox.CheckModelKey(s.Object); err != nil {
		return model.File{}, fmt.Errorf("%w: %w", model.ErrInvalid, err)
	}
	first := s.box == nil
	if err := s.open(); err != nil {
		return model.File{}, err
	}
	if first {
		if err := errors.Join(s.removeUnfinished(), empty(s.Next)); err != nil {
			s.Log.Error("removing what a former start of this server has fetched in part", "error", err)
		}
	}
	objects, err := s.list(ctx)
	if err != nil {
		return model.File{}, classify(err)
	}
	s.fetched = s.some && !s.next
	got, file := model.File{Path: s.Path, ETag: etagOf(objects)}, s.File
	if s.fetched {
		got.Path, file = s.beside(), s.beside()
	}
	for _, o := range objects {
		got.Size += o.Size
	}
	if got.Size > component.ModelSpace {
		return model.File{}, fmt.Errorf("%w: %s has %d bytes, more than %d",
			model.ErrInvalid, s.Object, got.Size, int64(component.ModelSpace))
	}
	if err := s.makeRoom(file); err != nil {
		return model.File{}, classify(err)
	}
	if err := s.bring(ctx, objects, file); err != nil {
		return model.File{}, classify(err)
	}
	s.some = true
	return got, nil
}

// open opens the box of the session, or leaves the one open that it tells of.
func (s *Source) open() error {
	box, err := s3.Reopen(s.box, s.Session, func(session databox.Session) {
		s.Log.Info("S3 session opened",
			"bucket", session.Bucket, "access_key_id", session.AccessKeyID, "expires", session.Expiration)
	})
	if err != nil {
		return fmt.Errorf("%w: %w", model.ErrUnavailable, err)
	}
	s.box = box
	return nil
}

// etagOf is the object's, or made of those of a folder's files and their names.
func etagOf(objects []s3.Object) string {
	if len(objects) == 1 {
		return strings.Trim(objects[0].ETag, `"`)
	}
	sum := sha256.New()
	for _, o := range objects {
		fmt.Fprintf(sum, "%q %q\n", o.Key, strings.Trim(o.ETag, `"`))
	}
	return hex.EncodeToString(sum.Sum(nil)[:16])
}

// removeUnfinished gives the volume the space back that a server took that was killed while it
// fetched.
func (s *Source) removeUnfinished() error {
	if strings.HasSuffix(s.Object, "/") {
		return s3.RemoveUnfinished(s.File)
	}
	return s3.RemoveUnfinished(filepath.Dir(s.File))
}

// bring downloads all objects to a file, or into a folder of that name.
func (s *Source) bring(ctx context.Context, objects []s3.Object, file string) error {
	g, gctx := errgroup.WithContext(ctx)
	g.SetLimit(atOnce)
	for _, o := range objects {
		to := file
		if strings.HasSuffix(s.Object, "/") {
			to = filepath.Join(file, filepath.FromSlash(strings.TrimPrefix(o.Key, s.key())))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return errors.Join(err, g.Wait())
			}
		}
		g.Go(func() error { return s.box.Download(gctx, o, to) })
		if gctx.Err() != nil {
			break
		}
	}
	return g.Wait()
}

// key is the object in the bucket: a dataset may be a folder of it.
func (s *Source) key() string { return s.box.Prefix + s.Object }

// list is the object, or all below the prefix.
func (s *Source) list(ctx context.Context) ([]s3.Object, error) {
	if !strings.HasSuffix(s.Object, "/") {
		o, err := s.box.Stat(ctx, s.key())
		return []s3.Object{o}, err
	}
	listed, err := s3.Folder(ctx, s.box.Client, s.box.Bucket, s.key(), 2*maxFiles) // with the markers of folders
	if err != nil {
		return nil, err
	}
	var all []s3.Object
	for _, o := range listed {
		if !strings.HasSuffix(o.Name, "/") {
			all = append(all, o.Object)
		}
	}
	if len(all) > maxFiles {
		return nil, fmt.Errorf("%w: it has more than %d files", model.ErrInvalid, maxFiles)
	}
	if len(all) == 0 {
		return nil, model.ErrMissing
	}
	return all, nil
}

// classify tells what waiting may mend from what it does not.
func classify(err error) error {
	var disk *fs.PathError
	var link *os.LinkError
	switch {
	case err == nil, errors.Is(err, model.ErrMissing), errors.Is(err, model.ErrInvalid):
		return err
	case s3.IsMissing(err):
		return model.ErrMissing
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: the disk is full: %w", model.ErrInvalid, err)
	case errors.As(err, &disk), errors.As(err, &link):
		return fmt.Errorf("%w: its files cannot be written: %w", model.ErrInvalid, err) // "a" and "a/b", for one
	case errors.Is(err, s3.ErrCorrupt), errors.Is(err, s3.ErrNoFolder):
		return fmt.Errorf("%w: %w", model.ErrInvalid, err)
	default:
		return fmt.Errorf("%w: %w", model.ErrUnavailable, err)
	}
}
