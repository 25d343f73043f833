package s3

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
)

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
	ctx, stop := context.WithCancel(ctx) // ends the listing with the function
	defer stop()
	var all []Listed
	for o := range c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		name, below := strings.CutPrefix(o.Key, prefix)
		switch {
		case !below:
			return nil, fmt.Errorf("%w: object %q was listed below %q", ErrNoFolder, o.Key, prefix)
		case name == "":
			continue
		case len(all) == most:
			return nil, fmt.Errorf("%w: there are more than %d objects", ErrNoFolder, most)
		}
		if err := databox.CheckFileName(strings.TrimSuffix(name, "/")); err != nil {
			return nil, fmt.Errorf("%w: object %q: %w", ErrNoFolder, o.Key, err)
		}
		all = append(all, Listed{Object{Key: o.Key, ETag: o.ETag, Size: o.Size}, name})
	}
	return all, ctx.Err()
}
