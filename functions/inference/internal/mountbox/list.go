package mountbox

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/inference/internal/mounts"
)

// file is an object that lies in a folder, or one that marks a folder: then its name ends in "/".
type file struct {
	s3.Object
	entry int
	name  string // below the entry's folder
}

// list finds what lies in an entry. What lies where the model does is left out.
func (b *Boxes) list(ctx context.Context, entry int) ([]file, error) {
	m := b.Entries[entry]
	box, err := b.box(entry, component.ReadSession)
	if err != nil {
		return nil, err
	}
	// A dataset may be a folder of its bucket.
	listed, err := s3.WithoutUsers(ctx, box.Client, box.Bucket, box.Prefix+m.Prefix, component.MaxMounted)
	if errors.Is(err, s3.ErrNoFolder) {
		return nil, fmt.Errorf("%w: %s (box %s): %w; mount less of it by s3Path", mounts.ErrInvalid, m.Path, m.Box, err)
	}
	if err != nil {
		return nil, err
	}
	var all []file
	for _, o := range listed {
		if !m.In(strings.TrimSuffix(o.Name, "/")) {
			all = append(all, file{o.Object, entry, o.Name})
		}
	}
	return all, nil
}
