package mountbox

import (
	"context"
	"fmt"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/inference/internal/mounts"
)

// listedAtOnce is how many folders are listed at once.
const listedAtOnce = 16

// file is an object that lies in a folder, or a folder in it: then its name ends in "/".
type file struct {
	s3.Object
	entry int
	name  string // below the entry's folder
}

// list finds what lies in an entry, folder by folder: a session cannot list all of a box at once, which
// would name users' files. What lies where the model does is left out.
func (b *Boxes) list(ctx context.Context, entry int) ([]file, error) {
	m := b.Entries[entry]
	box, err := b.box(entry, component.ReadSession)
	if err != nil {
		return nil, err
	}
	root := box.Prefix + m.Prefix // a dataset may be a folder of its bucket
	var mu sync.Mutex
	var all []file
	for level := []string{root}; len(level) > 0; {
		var below []string
		g, gctx := errgroup.WithContext(ctx)
		g.SetLimit(listedAtOnce)
		for _, folder := range level {
			g.Go(func() error {
				found, err := listFolder(gctx, box, folder)
				mu.Lock()
				defer mu.Unlock()
				for _, o := range found {
					name := strings.TrimPrefix(o.Key, root)
					switch {
					case o.Key == databox.UsersArea || m.In(strings.TrimSuffix(name, "/")):
						continue
					case strings.HasSuffix(name, "/"):
						below = append(below, o.Key)
					}
					if err := databox.CheckFileName(strings.TrimSuffix(name, "/")); err != nil {
						return fmt.Errorf("%w: object %q: %w", mounts.ErrInvalid, o.Key, err)
					}
					if len(all) == component.MaxMounted {
						return fmt.Errorf("%w: %s has more than %d files in box %s; mount less of it by s3Path",
							mounts.ErrInvalid, m.Path, component.MaxMounted, m.Box)
					}
					all = append(all, file{o, entry, name})
				}
				return err
			})
		}
		if err := g.Wait(); err != nil {
			return nil, err
		}
		level = below
	}
	return all, nil
}

// listFolder lists a folder: its objects, and the folders in it, whose keys end in "/".
func listFolder(ctx context.Context, box *s3.Box, prefix string) ([]s3.Object, error) {
	var all []s3.Object
	for o := range box.ListObjectsIter(ctx, box.Bucket, minio.ListObjectsOptions{Prefix: prefix}) {
		if o.Err != nil {
			return nil, o.Err
		}
		if o.Key != prefix { // the folder's own mark
			all = append(all, s3.Object{Key: o.Key, ETag: o.ETag, Size: o.Size})
		}
	}
	return all, ctx.Err()
}
