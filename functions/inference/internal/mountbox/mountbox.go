package mountbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"os"
	"path"
	"path/filepath"
	"sync"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/inference/internal/mounts"
)

// partSize of what is stored in parts, partsAtOnce of them at once. They are read in place.
const partSize, partsAtOnce = 64 << 20, 4

// Boxes are the boxes of a component's mounts, and the folders that they are brought to.
type Boxes struct {
	component.Mounts
	// Dir has a folder for each entry; Sessions too, with the entry's sessions.
	Dir, Sessions string
	Log           *slog.Logger

	have map[where]string // ETags of what has come

	mu   sync.Mutex
	open map[string]*s3.Box
}

// where is a place below the folders.
type where struct {
	entry int
	name  string
}

// whole marks folders in which everything lies.
const whole = ".whole"

// Prepare makes the folders, and empties those that an earlier server has not filled. A folder itself
// stays what it is: the function's container has it too.
func (b *Boxes) Prepare() error {
	b.have = map[where]string{}
	for i, e := range b.Entries {
		dir := filepath.Join(b.Dir, component.Folder(i))
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return fmt.Errorf("the folder of %s: %w", e.Path, err)
		}
		if b.whole() {
			continue
		}
		if err := empty(dir); err != nil {
			return fmt.Errorf("emptying the folder of %s: %w", e.Path, err)
		}
		// kubelet makes a folder that everybody writes to, unless this server was the first
		_ = os.Chmod(dir, folderMode(e))
	}
	return nil
}

func empty(dir string) error {
	left, err := os.ReadDir(dir)
	for _, x := range left {
		err = errors.Join(err, os.RemoveAll(filepath.Join(dir, x.Name())))
	}
	return err
}

// whole reports that an earlier server of this pod has brought everything.
func (b *Boxes) whole() bool {
	_, err := os.Lstat(filepath.Join(b.Dir, whole))
	return err == nil
}

// The function's container may run as anybody.
func folderMode(e component.Mount) os.FileMode {
	if e.Write {
		return 0o777
	}
	return 0o755
}

func fileMode(e component.Mount) os.FileMode {
	if e.Write {
		return 0o666
	}
	return 0o644
}

// box opens the box of an entry with one of its sessions; it is kept open.
func (b *Boxes) box(entry int, session string) (*s3.Box, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	file := filepath.Join(b.Sessions, component.Folder(entry), session)
	name := b.Entries[entry].Box
	x, err := s3.Reopen(b.open[file], file, func(s databox.Session) {
		b.Log.Info("S3 session opened", "box", name, "session", session,
			"bucket", s.Bucket, "access_key_id", s.AccessKeyID, "expires", s.Expiration)
	})
	if err != nil {
		return nil, fmt.Errorf("box %s: %w", name, err)
	}
	if b.open == nil {
		b.open = map[string]*s3.Box{}
	}
	b.open[file] = x
	return x, nil
}

// Fit implements mounts.Storage.
func (b *Boxes) Fit(ctx context.Context, entry int, size int64) error {
	box, err := b.box(entry, component.WriteSession)
	if err == nil {
		err = box.Fit(ctx, size)
	}
	if full, ok := errors.AsType[*databox.FullError](err); ok {
		return fmt.Errorf("%w: %w", mounts.ErrFull, full)
	}
	return err
}

// Store implements mounts.Storage.
func (b *Boxes) Store(ctx context.Context, entry int, key string, f *os.File, size int64) error {
	box, err := b.box(entry, component.WriteSession)
	if err != nil {
		return err
	}
	kind := mime.TypeByExtension(path.Ext(key))
	if kind == "" {
		kind = "application/octet-stream"
	}
	_, err = box.PutObject(ctx, box.Bucket, key, io.NewSectionReader(f, 0, size), size, minio.PutObjectOptions{
		ContentType: kind, PartSize: partSize, NumThreads: partsAtOnce,
	})
	if err != nil {
		return fmt.Errorf("storing a file of %d bytes: %w", size, err)
	}
	return nil
}
