// Package model brings a component's model from its box to a file that the workers load.
//
// The object need not be there when the component starts: then every call looks again, at most once a second, and the first that finds it brings it.
package model

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
)

const (
	// MaxSize of a model in bytes: what its volume holds.
	MaxSize = 5 << 30
	// maxFiles of a model that is a folder.
	maxFiles = 10_000
	// lookAgain is the least time between two looks for a model that is not there.
	lookAgain = time.Second
)

var (
	// ErrMissing: the box has no such object (yet).
	ErrMissing = errors.New("the model is not in its box")
	// ErrUnavailable: the storage did not answer, or there are no credentials yet.
	ErrUnavailable = errors.New("the storage of the model does not answer")
)

// Source says where the model is and where it goes.
type Source struct {
	// Session is the file with the box's session.
	Session string
	// Object is the key; ending in "/" it is the prefix of a folder.
	Object string
	// File is where it goes in this container, a folder for a folder; Path is the same place as the user's container sees it.
	File, Path string
}

// Model is the model of a component.
type Model struct {
	Source
	// Load hands the path to the workers and returns when one has loaded it.
	Load func(ctx context.Context, path string) error
	Log  *slog.Logger

	mu     sync.Mutex // held while looking: others wait for the same look
	looked time.Time
	last   error
	etag   string
	box    *databox.Box
}

// ETag is that of the loaded model, "" before. A folder's is made of those of its files.
func (m *Model) ETag() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.etag
}

// Get makes sure that the model is loaded. Calls at the same time share one look, and a look that failed is repeated after lookAgain at the earliest. Errors: ErrMissing, ErrUnavailable, Load's.
func (m *Model) Get(ctx context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.etag != "" {
		return nil
	}
	if m.last != nil && time.Since(m.looked) < lookAgain {
		return m.last
	}
	m.last = m.bring(ctx)
	m.looked = time.Now()
	return m.last
}

func (m *Model) bring(ctx context.Context) error {
	start := time.Now()
	etag, size, err := m.fetch(ctx)
	if err != nil {
		if !errors.Is(err, ErrMissing) {
			m.Log.Error("fetching the model", "object", m.Object, "error", err)
		}
		return err
	}
	m.Log.Info("model fetched", "object", m.Object, "etag", etag, "bytes", size, "seconds", time.Since(start).Seconds())
	if err := m.Load(ctx, m.Path); err != nil {
		return err
	}
	m.etag = etag
	return nil
}

// fetch brings the object or the folder.
func (m *Model) fetch(ctx context.Context) (etag string, size int64, err error) {
	if m.box == nil {
		m.box, err = databox.Open(m.Session, func(s databox.Session) {
			m.Log.Info("S3 session opened", "bucket", s.Bucket, "access_key_id", s.AccessKeyID, "expires", s.Expiration)
		})
		if err != nil {
			return "", 0, fmt.Errorf("%w: %w", ErrUnavailable, err)
		}
	}
	objects, err := m.list(ctx)
	if err != nil {
		return "", 0, classify(err)
	}
	for _, o := range objects {
		size += o.Size
		etag += strings.Trim(o.ETag, `"`)
	}
	if size > MaxSize {
		return "", 0, fmt.Errorf("the model has %d bytes, more than %d", size, int64(MaxSize))
	}
	if len(objects) > 1 {
		etag = fmt.Sprintf("%x", hash(etag))
	}
	for _, o := range objects {
		to := m.File
		if strings.HasSuffix(m.Object, "/") {
			to = filepath.Join(m.File, filepath.FromSlash(strings.TrimPrefix(o.Key, m.Object)))
			if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
				return "", 0, err
			}
		}
		if err := m.box.Download(ctx, o, to); err != nil {
			return "", 0, classify(err)
		}
	}
	return etag, size, nil
}

// list is the object, or all below the prefix.
func (m *Model) list(ctx context.Context) ([]databox.Object, error) {
	if !strings.HasSuffix(m.Object, "/") {
		o, err := m.box.Stat(ctx, m.Object)
		return []databox.Object{o}, err
	}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	var all []databox.Object
	for o := range m.box.ListObjects(ctx, m.box.Bucket, minio.ListObjectsOptions{Prefix: m.Object, Recursive: true}) {
		name := strings.TrimPrefix(o.Key, m.Object)
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
		return nil, ErrMissing
	}
	return all, nil
}

func classify(err error) error {
	switch {
	case errors.Is(err, ErrMissing):
		return err
	case databox.Missing(err):
		return ErrMissing
	default:
		return fmt.Errorf("%w: %w", ErrUnavailable, err)
	}
}
