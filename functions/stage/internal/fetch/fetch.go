// Package fetch brings a stage's inputs from S3 into files before the user's container starts.
//
// What it promises: either every input is there whole, with the size (and for outputs of earlier stages the SHA-256) that was announced, of one version of each object; or it fails and says
// which input and why. It holds at most a few MiB of content in memory, whatever the files' sizes. No key can make it write outside its input's folder.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
	"github.com/unip-knative/unip/functions/stage/internal/volume"
)

const (
	// parallel transfers at once. Each holds one copy buffer of 32 KiB beside what the HTTP client holds.
	parallel = 16
	// maxObjects bounds the files of one input.
	maxObjects = 1_000_000
)

// object is one file to bring.
type object struct {
	bucket, key, etag string
	size              int64
	sha256            string // "" when nobody has announced it
	name              string // below the input's root
}

// Run does what the plan says in a stage's volume. The plan must be valid.
func Run(ctx context.Context, sessions *storage.Sessions, v *volume.Volume, plan *stage.FetchPlan) (stage.Result, error) {
	f := &fetcher{sessions: sessions, volume: v}
	var done stage.Result
	for _, o := range plan.Outputs {
		folder, err := v.Make(o, 0o777) // the user's container may run as any uid
		if err != nil {
			return done, fmt.Errorf("output %s: %w", o, err)
		}
		_ = folder.Close()
	}
	for _, in := range plan.Inputs {
		objects, err := f.resolve(ctx, in)
		if err == nil {
			err = f.bring(ctx, in, objects)
		}
		if err != nil {
			return done, fmt.Errorf("input %s: %w", in.Name, err)
		}
		for _, o := range objects {
			done.Files++
			done.Bytes += o.size
		}
	}
	return done, nil
}

type fetcher struct {
	sessions *storage.Sessions
	volume   *volume.Volume
}

// resolve lists what an input consists of.
func (f *fetcher) resolve(ctx context.Context, in stage.Input) ([]object, error) {
	switch {
	case in.Key != "":
		return f.resolveKey(ctx, in)
	case in.Prefix != "":
		return f.resolvePrefix(ctx, in)
	default:
		return f.resolveCommit(ctx, in)
	}
}

func (f *fetcher) resolveKey(ctx context.Context, in stage.Input) ([]object, error) {
	var info minio.ObjectInfo
	err := f.sessions.Try(ctx, in.Session, func(s3 *minio.Client) (err error) {
		info, err = s3.StatObject(ctx, in.Bucket, in.Key, minio.StatObjectOptions{})
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.Key, err)
	}
	if in.ETag != "" && info.ETag != in.ETag {
		return nil, storage.Permanentf("%s has changed since the run was requested", in.Key)
	}
	if err := stage.CheckPath(path.Base(in.Key)); err != nil {
		return nil, &storage.Permanent{Err: err}
	}
	return []object{{bucket: in.Bucket, key: in.Key, etag: info.ETag, size: info.Size, name: path.Base(in.Key)}}, nil
}

func (f *fetcher) resolvePrefix(ctx context.Context, in stage.Input) ([]object, error) {
	var all []object
	err := f.sessions.Try(ctx, in.Session, func(s3 *minio.Client) error {
		all = nil
		ctx, stop := context.WithCancel(ctx)
		defer stop()
		for info := range s3.ListObjects(ctx, in.Bucket, minio.ListObjectsOptions{Prefix: in.Prefix, Recursive: true}) {
			if info.Err != nil {
				return info.Err
			}
			name := strings.TrimPrefix(info.Key, in.Prefix)
			if name == "" {
				continue // the folder's own marker
			}
			if err := stage.CheckPath(strings.TrimSuffix(name, "/")); err != nil {
				return storage.Permanentf("object %q cannot become a file: %w", info.Key, err)
			}
			if len(all) == maxObjects {
				return storage.Permanentf("more than %d objects", maxObjects)
			}
			all = append(all, object{bucket: in.Bucket, key: info.Key, etag: info.ETag, size: info.Size, name: name})
		}
		return ctx.Err()
	})
	return all, err
}

func (f *fetcher) resolveCommit(ctx context.Context, in stage.Input) ([]object, error) {
	var commit *stage.Commit
	err := f.sessions.Try(ctx, in.Session, func(s3 *minio.Client) error {
		body, err := s3.GetObject(ctx, in.Bucket, in.Commit, minio.GetObjectOptions{})
		if err != nil {
			return err
		}
		defer body.Close()
		b, err := io.ReadAll(io.LimitReader(body, stage.MaxCommit+1))
		if err != nil {
			return err
		}
		if len(b) > stage.MaxCommit {
			return storage.Permanentf("commit %s is larger than %d bytes", in.Commit, stage.MaxCommit)
		}
		if commit, err = stage.DecodeCommit(b); err != nil {
			return storage.Permanentf("%w", err)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("%s: %w", in.Commit, err)
	}
	files, ok := commit.Outputs[in.Output]
	if !ok {
		return nil, storage.Permanentf("commit %s has no output %s", in.Commit, in.Output)
	}
	prefix := path.Join(path.Dir(in.Commit), fmt.Sprint(commit.Attempt), in.Output) + "/"
	all := make([]object, len(files))
	for i, f := range files {
		all[i] = object{bucket: in.Bucket, key: prefix + f.Path, size: f.Size, sha256: f.SHA256, name: f.Path}
	}
	return all, nil
}

// bring downloads the objects of one input, several at a time, a large one in several ranges.
func (f *fetcher) bring(ctx context.Context, in stage.Input, objects []object) error {
	root, err := f.volume.Make(in.Name, 0o755)
	if err != nil {
		return err
	}
	defer root.Close()
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, o := range objects {
		if strings.HasSuffix(o.name, "/") { // the marker of a folder
			if err := root.MkdirAll(strings.TrimSuffix(o.name, "/"), 0o755); err != nil {
				return collision(o, err)
			}
			continue
		}
		if err := root.MkdirAll(path.Dir(o.name), 0o755); err != nil {
			return collision(o, err)
		}
		file, err := volume.Create(root, o.name)
		if err != nil {
			return collision(o, err)
		}
		(&transfer{sessions: f.sessions, session: in.Session, object: o, file: file}).start(ctx, g)
		if ctx.Err() != nil {
			break
		}
	}
	return g.Wait()
}

// collision says in words that one key is a folder for another: "a" and "a/b".
func collision(o object, err error) error {
	if errors.Is(err, fs.ErrExist) || strings.Contains(err.Error(), "is a directory") || strings.Contains(err.Error(), "not a directory") {
		return storage.Permanentf("object %q: its name is a file's and a folder's at once: %w", o.key, err)
	}
	return fmt.Errorf("object %q: %w", o.key, err)
}
