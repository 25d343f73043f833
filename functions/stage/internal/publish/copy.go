package publish

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

const (
	// maxCopy is what one request copies. S3's limit is 5 GiB; but the storage says nothing while
	// it copies, and a request without an answer counts as one that hangs.
	maxCopy = 256 << 20
	// copiesAtOnce are the parts of one large file that are copied at once.
	copiesAtOnce = 2
	// maxTold bounds how many files in the way are named in the log.
	maxTold = 20
)

// copies are those of a commit's files to the folders that want them.
type copies struct {
	sessions *storage.Sessions
	plan     *stage.PublishPlan
	won      *stage.Commit
	// doubt says that something may lie at the copies' places that is newer than the commit: a copy
	// of before, or somebody's own file. So it is once another has won, and after a request whose
	// answer did not come.
	doubt atomic.Bool
	kept  atomic.Int64

	mu   sync.Mutex
	time time.Time // of the commit, when it was asked for
}

// copy copies the committed files of each output to the folders that want them.
func (p *publisher) copy(ctx context.Context, won *stage.Commit, doubt bool) (stage.Result, error) {
	c := &copies{sessions: p.sessions, plan: p.plan, won: won}
	c.doubt.Store(doubt)
	if err := c.packed(ctx); err != nil {
		return stage.Result{}, err
	}
	if err := c.alone(ctx); err != nil {
		return stage.Result{}, err
	}
	done := stage.Result{Attempt: won.Attempt, Kept: int(c.kept.Load())}
	for _, files := range won.Outputs {
		for _, f := range files {
			done.Files++
			done.Bytes += f.Size
		}
	}
	return done, nil
}

// packed copies the files that are in packs.
func (c *copies) packed(ctx context.Context) error {
	packs, within := errgroup.WithContext(ctx)
	packs.SetLimit(storage.PacksAtOnce)
	for _, o := range c.plan.Outputs {
		if len(o.Copies) == 0 {
			continue
		}
		for n, files := range stage.ByPack(c.won.Outputs[o.Name])[1:] {
			packs.Go(func() error { return c.pack(within, o, c.won.Packs[o.Name][n], files) })
		}
	}
	return packs.Wait()
}

// pack copies the files of one pack.
func (c *copies) pack(ctx context.Context, o stage.Output, name string, files []*stage.File) error {
	key := stage.PackKey(stage.Prefix(c.plan.Run, c.plan.Stage), c.won.Attempt, o.Name, name)
	content, err := c.sessions.ReadPack(ctx, c.plan.Session, c.plan.Bucket, key, files)
	if err != nil {
		return fmt.Errorf("output %s: %w", o.Name, err)
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	c.each(ctx, g, o, files, content)
	return g.Wait()
}

// alone copies the files that are objects of their own. The storage does it by itself: no byte comes
// here.
func (c *copies) alone(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, o := range c.plan.Outputs {
		c.each(ctx, g, o, stage.ByPack(c.won.Outputs[o.Name])[0], nil)
	}
	return g.Wait()
}

// each copies some files of an output to each of its folders, in a group.
func (c *copies) each(ctx context.Context, g *errgroup.Group, o stage.Output, files []*stage.File, pack []byte) {
	for _, to := range o.Copies {
		for _, f := range files {
			if ctx.Err() != nil {
				return
			}
			g.Go(func() error {
				err := c.copy(ctx, o.Name, to, f, pack)
				if err != nil && !errors.Is(err, context.Canceled) {
					err = fmt.Errorf("output %s: copying %q to %s: %w", o.Name, f.Path, to.Bucket, err)
				}
				return err
			})
		}
	}
}

// copy copies one file, of a pack with its content.
func (c *copies) copy(ctx context.Context, output string, to stage.Folder, f *stage.File, pack []byte) error {
	origin := stage.Origin{Run: c.plan.Run, Stage: c.plan.Stage, Attempt: c.won.Attempt, Output: output,
		Path: f.Path, SHA256: f.SHA256}
	return c.sessions.Try(ctx, to.Session, func(store *minio.Client) error {
		if c.doubt.Load() {
			if done, err := c.there(ctx, store, to, origin, f.Size); done || err != nil {
				return err
			}
		}
		var err error
		if f.Pack > 0 {
			err = c.put(ctx, store, to, origin, f.In(pack))
		} else {
			err = c.send(ctx, store, to, origin, f)
		}
		if err != nil {
			c.doubt.Store(true)
		}
		return err
	})
}

// there reports that nothing is to be copied. A copy of this commit is the one that shall be there.
// Another file is somebody's own: it stays when it is not older than the commit, by the storage's
// clock, which tells seconds. What is older was to be replaced.
func (c *copies) there(
	ctx context.Context, store *minio.Client, to stage.Folder, want stage.Origin, size int64,
) (bool, error) {
	key := to.Prefix + want.Path
	info, err := store.StatObject(ctx, to.Bucket, key, minio.StatObjectOptions{})
	switch s3.AnswerOf(err) {
	case s3.NotThere, s3.Denied: // some servers deny what is not there to whoever may not list
		return false, nil
	}
	if err != nil {
		return false, err
	}
	if is, ok := stage.OriginOf(info.UserMetadata); ok && is == want && info.Size == size {
		return true, nil
	}
	committed, err := c.committed(ctx, store)
	if err != nil || info.LastModified.Before(committed) {
		return false, err
	}
	if c.kept.Add(1) <= maxTold {
		slog.Warn("a file that came after the commit lies in the place of a copy, and stays", "bucket", to.Bucket,
			"key", key, "file", info.LastModified, "commit", committed)
	}
	return true, nil
}

// committed is when the commit was written.
func (c *copies) committed(ctx context.Context, store *minio.Client) (time.Time, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.time.IsZero() {
		info, err := store.StatObject(ctx, c.plan.Bucket, stage.CommitKey(c.plan.Run, c.plan.Stage),
			minio.StatObjectOptions{})
		if err != nil {
			return time.Time{}, err
		}
		c.time = info.LastModified
	}
	return c.time, nil
}

// put writes a copy of a file whose content is here. The storage takes no content but that of the
// checksum in the commit.
func (c *copies) put(
	ctx context.Context, store *minio.Client, to stage.Folder, origin stage.Origin, content []byte,
) error {
	_, err := (&minio.Core{Client: store}).PutObject(ctx, to.Bucket, to.Prefix+origin.Path, bytes.NewReader(content),
		int64(len(content)), "", origin.SHA256, minio.PutObjectOptions{ContentType: contentType(origin.Path),
			UserMetadata: origin.Metadata(), DisableContentSha256: true})
	return err
}

// send has the storage copy one file, which says then where it comes from. Replacing the metadata
// replaces the content's type as well: it is that of the upload, which goes by the same name.
func (c *copies) send(
	ctx context.Context, store *minio.Client, to stage.Folder, origin stage.Origin, f *stage.File,
) error {
	metadata := map[string]string{"Content-Type": contentType(origin.Path)}
	for name, value := range origin.Metadata() {
		metadata[name] = value
	}
	dst := minio.CopyDestOptions{Bucket: to.Bucket, Object: to.Prefix + origin.Path, ReplaceMetadata: true,
		UserMetadata: metadata, PartSize: maxCopy, NumThreads: copiesAtOnce}
	src := minio.CopySrcOptions{Bucket: c.plan.Bucket,
		Object: stage.AttemptPrefix(origin.Run, origin.Stage, origin.Attempt, origin.Output) + f.ObjectPath()}
	if f.Size <= maxCopy {
		_, err := store.CopyObject(ctx, dst, src)
		return err
	}
	_, err := store.ComposeObject(ctx, dst, src)
	return err
}
