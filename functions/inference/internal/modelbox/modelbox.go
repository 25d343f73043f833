// Package modelbox fetches a component's model from its box in S3. It is apart from package model so that `unip serve`, which serves a model of the local disk, need not carry the S3 client.
package modelbox

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/functions/inference/internal/model"
)

const (
	// MaxSize of a model in bytes: what its volume holds.
	MaxSize = 5 << 30
	// maxFiles of a model that is a folder.
	maxFiles = 10_000
)

// Source says where the model is and where it goes. It implements model.Source; it is for one caller at a time.
type Source struct {
	// Session is the file with the box's session.
	Session string
	// Object is the key; ending in "/" it is the prefix of a folder.
	Object string
	// File is where it goes in this container, a folder for a folder; Path is the same place as the user's container sees it.
	File, Path string
	Log        *slog.Logger

	box *databox.Box
}

// String is the key.
func (s *Source) String() string { return s.Object }

// Fetch brings the object or the folder. A folder's ETag is made of those of its files.
func (s *Source) Fetch(ctx context.Context) (model.File, error) {
	if s.box == nil {
		box, err := databox.Open(s.Session, func(session databox.Session) {
			s.Log.Info("S3 session opened", "bucket", session.Bucket, "access_key_id", session.AccessKeyID, "expires", session.Expiration)
		})
		if err != nil {
			return model.File{}, fmt.Errorf("%w: %w", model.ErrUnavailable, err)
		}
		s.box = box
	}
	objects, err := s.list(ctx)
	if err != nil {
		return model.File{}, classify(err)
	}
	got := model.File{Path: s.Path}
	for _, o := range objects {
		got.Size += o.Size
		got.ETag += strings.Trim(o.ETag, `"`)
	}
	if got.Size > MaxSize {
		return model.File{}, fmt.Errorf("the model has %d bytes, more than %d", got.Size, int64(MaxSize))
	}
	if len(objects) > 1 {
		got.ETag = fmt.Sprintf("%x", hash(got.ETag))
	}
	for _, o := range objects {
		to := s.File
		if strings.HasSuffix(s.Object, "/") {
			to = filepath.Join(s.File, filepath.FromSlash(strings.TrimPrefix(o.Key, s.Object)))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return model.File{}, err
			}
		}
		if err := s.box.Download(ctx, o, to); err != nil {
			return model.File{}, classify(err)
		}
	}
	return got, nil
}

// list is the object, or all below the prefix.
func (s *Source) list(ctx context.Context) ([]databox.Object, error) {
	if !strings.HasSuffix(s.Object, "/") {
		o, err := s.box.Stat(ctx, s.Object)
		return []databox.Object{o}, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all []databox.Object
	for o := range s.box.ListObjects(ctx, s.box.Bucket, minio.ListObjectsOptions{Prefix: s.Object, Recursive: true}) {
		name := strings.TrimPrefix(o.Key, s.Object)
		switch {
		case o.Err != nil:
			return nil, o.Err
		case name == "" || strings.HasSuffix(name, "/"):
			continue // the marker of a folder
		case path.Clean("/"+name) != "/"+name:
			return nil, fmt.Errorf("object %q cannot become a file", o.Key)
		case len(all) == maxFiles:
			return nil, fmt.Errorf("the model has more than %d files", maxFiles)
		}
		all = append(all, databox.Object{Key: o.Key, ETag: o.ETag, Size: o.Size})
	}
	if len(all) == 0 {
		return nil, model.ErrMissing
	}
	return all, nil
}

func classify(err error) error {
	switch {
	case errors.Is(err, model.ErrMissing):
		return err
	case databox.Missing(err):
		return model.ErrMissing
	default:
		return fmt.Errorf("%w: %w", model.ErrUnavailable, err)
	}
}
