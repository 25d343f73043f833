// Package fetch brings a stage's inputs from S3 into files before the user's container starts.
//
// What it promises: either every input is there whole, with the size (and for outputs of earlier
// stages the SHA-256) that was announced, of one version of each object; or it fails and says which
// input and why. It holds at most two packs (stage.MaxPack) and a few MiB more of content in memory,
// whatever the files' sizes. No key can make it write outside its input's folder.
package fetch

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"strings"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
	"github.com/unip-knative/unip/functions/stage/internal/volume"
)

const (
	// parallel requests at once. Each holds one copy buffer of 32 KiB beside what the HTTP client
	// holds.
	parallel = 16
	// maxObjects bounds the files of one input.
	maxObjects = 1_000_000
)

// object is one file to bring.
type object struct {
	s3.Object
	sha256 string // "" when nobody has announced it
	name   string // below the input's root; it ends in "/" for a folder
}

func (o object) isFolder() bool { return strings.HasSuffix(o.name, "/") }

// pack is one object of many files to bring.
type pack struct {
	key   string
	files []*stage.File
}

// Run does what the plan says in a stage's volume. The plan must be valid.
func Run(
	ctx context.Context, sessions *storage.Sessions, v *volume.Volume, plan *stage.FetchPlan,
) (stage.Result, error) {
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
		objects, packs, err := f.resolve(ctx, in)
		if err == nil {
			err = f.bring(ctx, in, objects, packs)
		}
		if err != nil {
			return done, fmt.Errorf("input %s: %w", in.Name, err)
		}
		for _, o := range objects {
			if !o.isFolder() {
				done.Files++
				done.Bytes += o.Size
			}
		}
		for _, p := range packs {
			for _, x := range p.files {
				done.Files++
				done.Bytes += x.Size
			}
		}
	}
	return done, nil
}

type fetcher struct {
	sessions *storage.Sessions
	volume   *volume.Volume
}

// resolve lists what an input consists of.
func (f *fetcher) resolve(ctx context.Context, in stage.Input) (alone []object, packs []pack, err error) {
	switch {
	case in.Key != "":
		alone, err = f.resolveKey(ctx, in)
	case in.Prefix != "" || in.Whole:
		alone, err = f.resolveFolder(ctx, in)
	default:
		return f.resolveCommit(ctx, in)
	}
	return alone, nil, err
}

func (f *fetcher) resolveKey(ctx context.Context, in stage.Input) ([]object, error) {
	var info minio.ObjectInfo
	err := f.sessions.Try(ctx, in.Session, func(c *minio.Client) (err error) {
		info, err = c.StatObject(ctx, in.Bucket, in.Key, minio.StatObjectOptions{})
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
	return []object{{Object: s3.Object{Key: in.Key, ETag: info.ETag, Size: info.Size}, name: path.Base(in.Key)}}, nil
}

func (f *fetcher) resolveFolder(ctx context.Context, in stage.Input) ([]object, error) {
	var listed []s3.Listed
	err := f.sessions.Try(ctx, in.Session, func(c *minio.Client) (err error) {
		if in.Whole {
			listed, err = s3.WithoutUsers(ctx, c, in.Bucket, "", maxObjects)
		} else {
			listed, err = s3.Folder(ctx, c, in.Bucket, in.Prefix, maxObjects)
		}
		return err
	})
	if err != nil {
		return nil, err
	}
	all := make([]object, len(listed))
	for i, o := range listed {
		if err := stage.CheckPath(strings.TrimSuffix(o.Name, "/")); err != nil {
			return nil, storage.Permanentf("object %q cannot become a file: %w", o.Key, err)
		}
		all[i] = object{Object: o.Object, name: o.Name}
	}
	return all, nil
}

func (f *fetcher) resolveCommit(ctx context.Context, in stage.Input) (alone []object, packs []pack, err error) {
	var commit *stage.Commit
	err = f.sessions.Try(ctx, in.Session, func(c *minio.Client) (err error) {
		commit, err = storage.ReadCommit(ctx, c, in.Bucket, in.Commit)
		return err
	})
	if err != nil {
		return nil, nil, fmt.Errorf("%s: %w", in.Commit, err)
	}
	files, ok := commit.Outputs[in.Output]
	if !ok {
		return nil, nil, storage.Permanentf("commit %s has no output %s", in.Commit, in.Output)
	}
	part := path.Dir(in.Commit)
	prefix := path.Join(part, fmt.Sprint(commit.Attempt), in.Output) + "/"
	byPack := stage.ByPack(files)
	for _, f := range byPack[0] {
		alone = append(alone, object{Object: s3.Object{Key: prefix + f.ObjectPath(), Size: f.Size}, sha256: f.SHA256,
			name: f.Path})
	}
	for _, folder := range commit.Folders[in.Output] {
		alone = append(alone, object{Object: s3.Object{Key: prefix + folder + "/"}, name: folder + "/"})
	}
	for n, files := range byPack[1:] {
		key := stage.PackKey(part, commit.Attempt, in.Output, commit.Packs[in.Output][n])
		packs = append(packs, pack{key, files})
	}
	return alone, packs, nil
}

// bring downloads what one input consists of.
func (f *fetcher) bring(ctx context.Context, in stage.Input, alone []object, packs []pack) error {
	root, err := f.volume.Make(in.Name, 0o755)
	if err != nil {
		return err
	}
	defer root.Close()
	if err := f.bringAlone(ctx, in, root, alone); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(storage.PacksAtOnce)
	for _, p := range packs {
		g.Go(func() error { return f.bringPack(ctx, in, root, p) })
	}
	return g.Wait()
}

// bringPack downloads a pack, and writes its files.
func (f *fetcher) bringPack(ctx context.Context, in stage.Input, root *os.Root, p pack) error {
	content, err := f.sessions.ReadPack(ctx, in.Session, in.Bucket, p.key, p.files)
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, x := range p.files {
		if ctx.Err() != nil {
			break
		}
		g.Go(func() error {
			file, err := create(root, x.Path)
			if err != nil {
				return collision(x.Path, err)
			}
			if _, err = file.Write(x.In(content)); err != nil {
				err = fmt.Errorf("%q: %w", x.Path, err)
			}
			return errors.Join(err, file.Close())
		})
	}
	return g.Wait()
}

// bringAlone downloads objects of one file each, several at a time, a large one in several ranges.
func (f *fetcher) bringAlone(ctx context.Context, in stage.Input, root *os.Root, objects []object) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, o := range objects {
		if o.isFolder() {
			if err := root.MkdirAll(strings.TrimSuffix(o.name, "/"), 0o755); err != nil {
				return collision(o.Key, err)
			}
			continue
		}
		file, err := create(root, o.name)
		if err != nil {
			return collision(o.Key, err)
		}
		t := &s3.Transfer{
			Bucket: in.Bucket, Object: o.Object, SHA256: o.sha256, File: file, Done: file.Close,
			Requests: func(ctx context.Context, request func(*minio.Client) error) error {
				return f.sessions.Try(ctx, in.Session, request)
			},
		}
		t.Start(ctx, g)
		if ctx.Err() != nil {
			break
		}
	}
	return g.Wait()
}

// create makes a file, and the folders above it.
func create(root *os.Root, name string) (*os.File, error) {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return nil, err
	}
	return volume.Create(root, name)
}

// collision says in words that one object is a folder for another: "a" and "a/b".
func collision(key string, err error) error {
	if text := err.Error(); errors.Is(err, fs.ErrExist) || strings.Contains(text, "is a directory") ||
		strings.Contains(text, "not a directory") {
		return storage.Permanentf("object %q: its name is a file's and a folder's at once: %w", key, err)
	}
	return fmt.Errorf("object %q: %w", key, err)
}
