package s3

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/databox"
)

// listedAtOnce is how many folders are listed at once.
const listedAtOnce = 16

// ErrNoFolder: what lies below a prefix cannot become a folder of files.
var ErrNoFolder = errors.New("it cannot become a folder of files")

// Listed is one object below a prefix.
type Listed struct {
	Object
	// Name is the key below the prefix: a path that stays in the folder it is joined to. It ends in
	// "/" for an object that only marks a folder.
	Name string
}

// Folder lists all objects below a prefix, which ends in "/", but for the marker of the folder
// itself. Whoever writes them below a folder leaves it with none of them. The error is ErrNoFolder
// where a key is no path of a file, and where there are more than most.
func Folder(ctx context.Context, c *minio.Client, bucket, prefix string, most int) ([]Listed, error) {
	l := listing{bucket: bucket, prefix: prefix, most: most}
	_, err := l.list(ctx, c, prefix, true)
	return l.all, err
}

// WithoutUsers is Folder without users' files; an empty prefix is the whole bucket. It asks for each
// folder, several at once: a listing of all keys would show users' names.
func WithoutUsers(ctx context.Context, c *minio.Client, bucket, prefix string, most int) ([]Listed, error) {
	l := listing{bucket: bucket, prefix: prefix, most: most}
	for folders := []string{prefix}; len(folders) > 0; {
		below := make([][]string, len(folders))
		g, ctx := errgroup.WithContext(ctx)
		g.SetLimit(listedAtOnce)
		for i, folder := range folders {
			g.Go(func() (err error) {
				below[i], err = l.list(ctx, c, folder, false)
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		folders = slices.Concat(below...)
	}
	return l.all, nil
}

// listing is what was found below a prefix.
type listing struct {
	bucket, prefix string
	most           int

	mu  sync.Mutex
	all []Listed
}

// list adds the objects of a folder, and of those in it when it is deep. Otherwise it gives the
// folders in it, without users'.
func (l *listing) list(ctx context.Context, c *minio.Client, folder string, deep bool) (folders []string, err error) {
	ctx, stop := context.WithCancel(ctx) // ends the listing with the function
	defer stop()
	for o := range c.ListObjects(ctx, l.bucket, minio.ListObjectsOptions{Prefix: folder, Recursive: deep}) {
		switch {
		case o.Err != nil:
			return nil, o.Err
		case !deep && o.Key == databox.UsersArea:
		case !deep && o.Key != folder && strings.HasSuffix(o.Key, "/"):
			if err := l.check(o.Key); err != nil {
				return nil, err
			}
			folders = append(folders, o.Key)
		default:
			if err := l.add(o); err != nil {
				return nil, err
			}
		}
	}
	return folders, ctx.Err()
}

func (l *listing) add(o minio.ObjectInfo) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	name := strings.TrimPrefix(o.Key, l.prefix)
	switch {
	case name == "": // the marker of the folder itself
		return nil
	case len(l.all) == l.most:
		return fmt.Errorf("%w: there are more than %d objects", ErrNoFolder, l.most)
	}
	if err := l.check(o.Key); err != nil {
		return err
	}
	l.all = append(l.all, Listed{Object{Key: o.Key, ETag: o.ETag, Size: o.Size}, name})
	return nil
}

// check reports a key that is no path below the prefix.
func (l *listing) check(key string) error {
	name, below := strings.CutPrefix(key, l.prefix)
	if !below {
		return fmt.Errorf("%w: object %q was listed below %q", ErrNoFolder, key, l.prefix)
	}
	if err := databox.CheckFileName(strings.TrimSuffix(name, "/")); err != nil {
		return fmt.Errorf("%w: object %q: %w", ErrNoFolder, key, err)
	}
	return nil
}
