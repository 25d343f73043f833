package runs

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/media"
	"github.com/unip-knative/unip/eventing/routes"
)

const (
	// maxTyped is how many entries of a folder are looked at for the types of files, maxAsked how many
	// files the storage is asked about: those whose names say nothing.
	maxTyped = 1000
	maxAsked = 32
)

// versionAt gives the version of a file; of a folder it sees that something is in it. wrong says that
// the variable takes no such thing.
func (h *Handler) versionAt(ctx context.Context, p databox.Place, user string, v routes.Variable) (
	etag, wrong string, err error,
) {
	if wrong := wrongDatatype(p, v); wrong != "" {
		return "", wrong, nil
	}
	p.Developer = h.dataset(p.Box)
	box, err := h.Open(p.Box)
	if err != nil {
		return "", "", err
	}
	key := box.Prefix + p.Key(user)
	if p.Developer && strings.HasPrefix(key, databox.UsersArea) {
		return "", "", errNothing
	}
	if p.Folder() {
		err := anything(ctx, box, key, p.Developer)
		if err == nil && len(v.ContentTypes) > 0 {
			wrong, err = typesBelow(ctx, box, key, p.Developer, v.ContentTypes)
		}
		return "", wrong, err
	}
	o, err := box.StatObject(ctx, box.Bucket, key, minio.StatObjectOptions{})
	// 400 is the answer to a name that the storage has other rules for than S3: nothing can be
	// there.
	if a := s3.AnswerOf(err); a == s3.NotThere || a == s3.BadRequest {
		return "", "", errNothing
	}
	if err != nil {
		return "", "", err
	}
	if t := media.Of(o.ContentType, key); !media.Takes(v.ContentTypes, t) {
		wrong = fmt.Sprintf("%s is of type %s; it takes %s", p, t, strings.Join(v.ContentTypes, ", "))
	}
	return o.ETag, wrong, nil
}

// wrongDatatype says that a variable does not take a file, or a folder.
func wrongDatatype(p databox.Place, v routes.Variable) string {
	is, other := media.File, "a file"
	if p.Folder() {
		is, other = media.Folder, "a folder, for it ends in /"
	}
	if len(v.Datatypes) == 0 || slices.Contains(v.Datatypes, is) {
		return ""
	}
	return fmt.Sprintf("%s is %s; it takes %s", p, other, strings.Join(v.Datatypes, ", "))
}

// anything sees that something is below a prefix.
func anything(ctx context.Context, box *s3.Box, prefix string, dataset bool) error {
	// The session of a dataset lists one folder at a time.
	options := minio.ListObjectsOptions{Prefix: prefix, Recursive: !dataset, MaxKeys: 2}
	for o := range box.ListObjectsIter(ctx, box.Bucket, options) {
		if s3.AnswerOf(o.Err) == s3.BadRequest { // nothing can be below such a name
			return errNothing
		}
		if o.Key != databox.UsersArea {
			return o.Err
		}
	}
	return errNothing
}

// typesBelow says which file of a folder has a type that a variable does not take. Of many it looks at
// the first ones.
func typesBelow(ctx context.Context, box *s3.Box, prefix string, dataset bool, types []string) (
	wrong string, err error,
) {
	seen, asked := 0, 0
	for folders := []string{prefix}; len(folders) > 0; folders = folders[1:] {
		options := minio.ListObjectsOptions{Prefix: folders[0], Recursive: !dataset}
		for o := range box.ListObjectsIter(ctx, box.Bucket, options) {
			if o.Err != nil {
				return "", o.Err
			}
			if seen++; seen > maxTyped {
				return "", nil
			}
			switch {
			case dataset && o.Key == databox.UsersArea, o.Key == folders[0]:
				continue
			case strings.HasSuffix(o.Key, "/"):
				if dataset {
					folders = append(folders, o.Key)
				}
				continue
			}
			t := media.Of("", o.Key)
			if t == media.Unknown {
				if asked++; asked > maxAsked {
					continue
				}
				info, err := box.StatObject(ctx, box.Bucket, o.Key, minio.StatObjectOptions{})
				if err != nil && !s3.IsMissing(err) {
					return "", err
				}
				t = media.Of(info.ContentType, o.Key)
			}
			if !media.Takes(types, t) {
				return fmt.Sprintf("%s in it is of type %s; it takes %s", strings.TrimPrefix(o.Key, prefix), t,
					strings.Join(types, ", ")), nil
			}
		}
	}
	return "", nil
}
