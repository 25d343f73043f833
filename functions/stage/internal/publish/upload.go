package publish

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"os"
	"path"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

const (
	// partSize of a multipart upload, and how many parts of a file go at once. They are read from
	// the file in place: nothing is held in memory.
	partSize, partsAtOnce = 64 << 20, 4
	// maxParts is S3's limit. A file that needs more has larger parts.
	maxParts = 10_000
)

// uploads are those of one output.
type uploads struct {
	*publisher
	output string
	root   *os.Root
	all    []found // by path
	// files are what the commit says of all of them, packs the names of the packs they are in.
	files []stage.File
	packs []string
}

// found is what was found of a file.
func (u *uploads) found(f *stage.File) found {
	i, _ := slices.BinarySearchFunc(u.all, f.Path, func(x found, p string) int { return strings.Compare(x.path, p) })
	return u.all[i]
}

// do brings all to S3, and completes what the commit says.
func (u *uploads) do(ctx context.Context) error {
	byPack := stage.ByPack(u.files)
	u.packs = make([]string, len(byPack)-1)
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(storage.PacksAtOnce)
	for n, files := range byPack[1:] {
		g.Go(func() (err error) {
			u.packs[n], err = u.pack(within, files)
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	g, within = errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, f := range byPack[0] {
		g.Go(func() (err error) {
			f.SHA256, err = u.file(within, u.found(f))
			return err
		})
	}
	return g.Wait()
}

// pack brings some files to S3 as one pack, and gives its name.
func (u *uploads) pack(ctx context.Context, files []*stage.File) (string, error) {
	content := make([]byte, stage.PackSize(files))
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(parallel)
	for _, f := range files {
		g.Go(func() (err error) {
			f.SHA256, err = u.read(within, u.found(f), f.In(content))
			return err
		})
	}
	if err := g.Wait(); err != nil {
		return "", err
	}
	sum := sha256.Sum256(content)
	name := hex.EncodeToString(sum[:])
	up := &upload{p: u.publisher, content: bytes.NewReader(content), size: int64(len(content)), sum: name,
		key:         stage.PackKey(stage.Prefix(u.plan.Run, u.plan.Stage), u.plan.Attempt, u.output, name),
		contentType: contentType("")}
	if err := up.whole(ctx); err != nil {
		return "", fmt.Errorf("a pack of %d files: %w", len(files), err)
	}
	return name, nil
}

// read reads a small file, and gives its checksum.
func (u *uploads) read(ctx context.Context, f found, into []byte) (string, error) {
	if ctx.Err() != nil {
		return "", context.Cause(ctx)
	}
	file, err := open(u.root, f)
	if err != nil {
		return "", err
	}
	defer file.Close()
	if n, err := io.ReadFull(file, into); err != nil {
		return "", tooShort(f, int64(n), err)
	}
	sum := sha256.Sum256(into)
	return hex.EncodeToString(sum[:]), nil
}

func tooShort(f found, n int64, err error) error {
	return storage.Permanentf("%q: only %d of %d bytes can be read: %w", f.path, n, f.size, err)
}

// file brings one file to S3, and gives its checksum. The content is hashed first; the file is still
// in the page cache when it is sent.
func (u *uploads) file(ctx context.Context, f found) (string, error) {
	file, err := open(u.root, f)
	if err != nil {
		return "", err
	}
	defer file.Close()
	h := sha256.New()
	n, err := io.Copy(h, &cancellable{ctx, io.NewSectionReader(file, 0, f.size)})
	switch {
	case ctx.Err() != nil:
		return "", context.Cause(ctx)
	case err == nil && n != f.size:
		err = io.ErrUnexpectedEOF
	}
	if err != nil {
		return "", tooShort(f, n, err)
	}
	sum := hex.EncodeToString(h.Sum(nil))
	up := &upload{p: u.publisher, content: file, size: f.size, sum: sum, contentType: contentType(f.path),
		key: stage.AttemptPrefix(u.plan.Run, u.plan.Stage, u.plan.Attempt, u.output) + f.path}
	if f.size <= partSize {
		err = up.whole(ctx)
	} else {
		err = up.inParts(ctx)
	}
	if err != nil {
		return "", fmt.Errorf("%q: %w", f.path, err)
	}
	return sum, nil
}

// cancellable ends the reading of a large file with the context.
type cancellable struct {
	ctx context.Context
	io.Reader
}

func (c *cancellable) Read(b []byte) (int, error) {
	if err := c.ctx.Err(); err != nil {
		return 0, err
	}
	return c.Reader.Read(b)
}

// upload is one object on its way.
type upload struct {
	p       *publisher
	content io.ReaderAt
	size    int64
	key     string
	// sum is the content's SHA-256, with which a request of the whole is signed: the storage
	// refuses another content.
	sum         string
	contentType string
}

func (u *upload) try(ctx context.Context, request func(minio.Core) error) error {
	return u.p.sessions.Try(ctx, u.p.plan.Session, func(c *minio.Client) error {
		return request(minio.Core{Client: c})
	})
}

func (u *upload) whole(ctx context.Context) error {
	return u.try(ctx, func(c minio.Core) error {
		content := io.NewSectionReader(u.content, 0, u.size)
		_, err := c.PutObject(ctx, u.p.plan.Bucket, u.key, content, u.size, "", u.sum,
			minio.PutObjectOptions{ContentType: u.contentType, DisableContentSha256: true})
		return err
	})
}

// inParts tries each part alone: what has arrived before storage went away need not be sent again.
func (u *upload) inParts(ctx context.Context) error {
	var id string
	err := u.try(ctx, func(c minio.Core) (err error) {
		id, err = c.NewMultipartUpload(ctx, u.p.plan.Bucket, u.key, minio.PutObjectOptions{ContentType: u.contentType})
		return err
	})
	if err != nil {
		return err
	}
	size := max(partSize, (u.size+maxParts-1)/maxParts)
	parts := make([]minio.CompletePart, (u.size+size-1)/size)
	g, within := errgroup.WithContext(ctx)
	g.SetLimit(partsAtOnce)
	for i := range parts {
		from := int64(i) * size
		g.Go(func() error {
			return u.try(within, func(c minio.Core) error {
				n := min(size, u.size-from)
				part, err := c.PutObjectPart(within, u.p.plan.Bucket, u.key, id, i+1,
					io.NewSectionReader(u.content, from, n), n, minio.PutObjectPartOptions{})
				parts[i] = minio.CompletePart{PartNumber: i + 1, ETag: part.ETag}
				return err
			})
		})
	}
	if err = g.Wait(); err == nil {
		err = u.try(ctx, func(c minio.Core) error { return u.complete(ctx, c, id, parts) })
	}
	if err != nil {
		u.abort(ctx, id)
	}
	return err
}

// complete makes an object of the parts. Of a former request the answer may have been lost: then
// the object is there.
func (u *upload) complete(ctx context.Context, c minio.Core, id string, parts []minio.CompletePart) error {
	_, err := c.CompleteMultipartUpload(ctx, u.p.plan.Bucket, u.key, id, slices.Clone(parts), minio.PutObjectOptions{})
	if minio.ToErrorResponse(err).Code != minio.NoSuchUpload {
		return err
	}
	info, statErr := c.StatObject(ctx, u.p.plan.Bucket, u.key, minio.StatObjectOptions{})
	if statErr == nil && info.Size == u.size {
		return nil
	}
	return errors.Join(err, statErr)
}

// abort takes away the parts of an upload that comes to nothing. Those that it leaves are removed
// with the run bucket's old objects.
func (u *upload) abort(ctx context.Context, id string) {
	ctx, stop := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer stop()
	err := u.try(ctx, func(c minio.Core) error { return c.AbortMultipartUpload(ctx, u.p.plan.Bucket, u.key, id) })
	if err != nil {
		slog.Warn("parts of an upload are left", "key", u.key, "error", err)
	}
}

func contentType(name string) string {
	if t := mime.TypeByExtension(path.Ext(name)); t != "" {
		return t
	}
	return "application/octet-stream"
}
