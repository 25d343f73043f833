package mountbox

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"

	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/functions/inference/internal/mounts"
)

// parallel requests at once, which is how many connections the client keeps.
const parallel = 16

// Fetch implements mounts.Storage.
func (b *Boxes) Fetch(ctx context.Context) (mounts.Fetched, error) {
	if b.whole() {
		return mounts.Fetched{}, nil
	}
	all, err := b.listAll(ctx)
	if err != nil {
		return mounts.Fetched{}, classify(err)
	}
	got, err := b.measure(all)
	if err != nil {
		return mounts.Fetched{}, err
	}
	roots := make([]*os.Root, len(b.Entries))
	for i := range roots {
		if roots[i], err = os.OpenRoot(filepath.Join(b.Dir, component.Folder(i))); err != nil {
			return mounts.Fetched{}, classify(err)
		}
		defer roots[i].Close()
	}
	first, again := b.once(all)
	if err := b.bring(ctx, roots, first); err != nil {
		return mounts.Fetched{}, classify(err)
	}
	for _, c := range again {
		if err := b.copy(roots, c); err != nil {
			return mounts.Fetched{}, classify(err)
		}
	}
	if err := errors.Join(b.tidy(roots, all), b.link(roots)); err != nil {
		return mounts.Fetched{}, classify(err)
	}
	return got, os.WriteFile(filepath.Join(b.Dir, whole), nil, 0o600)
}

// listAll lists all entries at the same time.
func (b *Boxes) listAll(ctx context.Context) ([]file, error) {
	lists := make([][]file, len(b.Entries))
	g, ctx := errgroup.WithContext(ctx)
	for i := range b.Entries {
		g.Go(func() (err error) {
			lists[i], err = b.list(ctx, i)
			return err
		})
	}
	err := g.Wait()
	var all []file
	for _, l := range lists {
		all = append(all, l...)
	}
	return all, err
}

// measure refuses more than the installation allows, before anything is fetched.
func (b *Boxes) measure(all []file) (mounts.Fetched, error) {
	var got mounts.Fetched
	sizes := make([]mounts.Fetched, len(b.Entries))
	for _, f := range all {
		if !f.isFolder() {
			sizes[f.entry].Files++
			sizes[f.entry].Bytes += f.Size
			got.Files++
			got.Bytes += f.Size
		}
	}
	if got.Bytes <= b.MaxSize && got.Files <= component.MaxMounted {
		return got, nil
	}
	var parts []string
	for i, e := range b.Entries {
		parts = append(parts, fmt.Sprintf("%s (box %s, s3Path /%s) has %d files of %d bytes", e.Path, e.Box, e.Prefix,
			sizes[i].Files, sizes[i].Bytes))
	}
	return got, fmt.Errorf("%w: connectedBoxes mount %d files of %d bytes, and may mount %d of %d: %s; narrow an entry "+
		"by s3Path, or do without by the annotation knative.unified-platform.cs.hse.ru/mounts: \"off\", or have "+
		"mounts.maxSize of the installation raised", mounts.ErrInvalid, got.Files, got.Bytes, component.MaxMounted,
		b.MaxSize, strings.Join(parts, ", "))
}

func (f file) isFolder() bool { return strings.HasSuffix(f.name, "/") }

func (f file) where() where { return where{f.entry, f.name} }

// copied is a file whose object has come to another place already.
type copied struct{ from, to file }

// once tells the first place of each object from the others, which get a copy.
func (b *Boxes) once(all []file) (first []file, again []copied) {
	type object struct{ bucket, key string }
	known := map[object]file{}
	for _, f := range all {
		box := b.open[filepath.Join(b.Sessions, component.Folder(f.entry), component.ReadSession)]
		o := object{box.Bucket, f.Key}
		if before, ok := known[o]; ok && !f.isFolder() {
			again = append(again, copied{before, f})
			continue
		}
		known[o] = f
		first = append(first, f)
	}
	return first, again
}

// bring downloads what is not there yet, several at a time, a large one in several ranges.
func (b *Boxes) bring(ctx context.Context, roots []*os.Root, files []file) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	var came []*coming
	for _, f := range files {
		if b.have[f.where()] == f.ETag && !f.isFolder() {
			continue
		}
		c, err := b.create(roots[f.entry], f)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		if c == nil {
			continue
		}
		came = append(came, c)
		box, err := b.box(f.entry, component.ReadSession)
		if err != nil {
			return errors.Join(err, g.Wait())
		}
		t := box.Transfer(f.Object, c)
		t.Done = c.Close
		t.Start(ctx, g)
		if ctx.Err() != nil {
			break
		}
	}
	err := g.Wait()
	for _, c := range came {
		if err == nil || c.whole() {
			b.have[c.file.where()] = c.file.ETag
		}
	}
	return err
}

// coming is a file that is being downloaded.
type coming struct {
	*os.File
	file    file
	written atomic.Int64
}

// WriteAt counts.
func (c *coming) WriteAt(p []byte, at int64) (int, error) {
	n, err := c.File.WriteAt(p, at)
	c.written.Add(int64(n))
	return n, err
}

// whole reports that everything has come, of what may have been broken off.
func (c *coming) whole() bool { return c.written.Load() == c.file.Size }

// create makes the file, or nil for a folder, which it makes. Whoever has a key that is a file's and a
// folder's at once is told so.
func (b *Boxes) create(root *os.Root, f file) (*coming, error) {
	e := b.Entries[f.entry]
	if err := makeFolders(root, path.Dir(strings.TrimSuffix(f.name, "/")), e); err != nil {
		return nil, collision(f, err)
	}
	if f.isFolder() {
		return nil, collision(f, makeFolders(root, strings.TrimSuffix(f.name, "/"), e))
	}
	opened, err := root.OpenFile(f.name, os.O_CREATE|os.O_TRUNC|os.O_RDWR|syscall.O_NOFOLLOW, fileMode(e))
	if err != nil {
		return nil, collision(f, err)
	}
	if err := opened.Chmod(fileMode(e)); err != nil { // whatever the umask is
		opened.Close()
		return nil, err
	}
	return &coming{File: opened, file: f}, nil
}

// makeFolders makes a folder and those that it lies in.
func makeFolders(root *os.Root, name string, e component.Mount) error {
	if name == "." {
		return nil
	}
	if info, err := root.Lstat(name); err == nil && info.IsDir() {
		return nil
	}
	if err := makeFolders(root, path.Dir(name), e); err != nil {
		return err
	}
	if err := root.Mkdir(name, folderMode(e)); err != nil {
		return err
	}
	return root.Chmod(name, folderMode(e))
}

// collision says in words that one key is a folder for another: "a" and "a/b".
func collision(f file, err error) error {
	if errors.Is(err, fs.ErrExist) || errors.Is(err, syscall.EISDIR) || errors.Is(err, syscall.ENOTDIR) ||
		errors.Is(err, syscall.ENAMETOOLONG) {
		return fmt.Errorf("%w: object %q cannot be a file: its name is too long, or a file's and a folder's at once: %w",
			mounts.ErrInvalid, f.Key, err)
	}
	return err
}

// copy brings a file to another place of its.
func (b *Boxes) copy(roots []*os.Root, c copied) error {
	if b.have[c.to.where()] == c.to.ETag {
		return nil
	}
	from, err := roots[c.from.entry].Open(c.from.name)
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := b.create(roots[c.to.entry], c.to)
	if err != nil {
		return err
	}
	_, err = io.Copy(to.File, from) // by the kernel, without reading where the file system can
	if err = errors.Join(err, to.Close()); err == nil {
		b.have[c.to.where()] = c.to.ETag
	}
	return err
}

// tidy removes what an earlier try has brought and is not in its box any more.
func (b *Boxes) tidy(roots []*os.Root, all []file) error {
	now := make(map[where]bool, len(all))
	for _, f := range all {
		now[f.where()] = true
	}
	for w := range b.have {
		if now[w] {
			continue
		}
		if err := roots[w.entry].Remove(w.name); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		delete(b.have, w)
	}
	return nil
}

// link has the model lie at its paths.
func (b *Boxes) link(roots []*os.Root) error {
	for i, e := range b.Entries {
		for _, l := range e.Links {
			if err := makeFolders(roots[i], path.Dir(l.Name), e); err != nil {
				return err
			}
			if err := roots[i].Symlink(l.Target, l.Name); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	return nil
}

// classify tells what another try may mend from what it does not.
func classify(err error) error {
	var disk *fs.PathError
	switch {
	case err == nil, errors.Is(err, mounts.ErrInvalid):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%w: the disk is full: %w", mounts.ErrInvalid, err)
	case errors.As(err, &disk) || errors.Is(err, s3.ErrCorrupt):
		return fmt.Errorf("%w: %w", mounts.ErrInvalid, err)
	}
	return err
}
