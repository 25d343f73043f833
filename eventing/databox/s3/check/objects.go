package check

import (
	"bytes"
	"context"
	"crypto/md5" //nolint:gosec // S3 compares it
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"sync"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"

	"github.com/unip-knative/unip/eventing/databox/s3"
)

// partSize is the least that S3 takes for a part that is not the last.
const partSize = 5 << 20

// writeOnce has several writers at one key: exactly one may win, and what it wrote is there.
func writeOnce(ctx context.Context, x *suite) error {
	const writers, keys = 8, 4
	for k := range keys {
		key := x.key(fmt.Sprintf("once/%d", k))
		errs := make([]error, writers)
		var all sync.WaitGroup
		for i := range writers {
			all.Go(func() {
				o := whole()
				o.SetMatchETagExcept("*") // If-None-Match: *
				text := fmt.Sprint("writer ", i)
				_, errs[i] = x.root.PutObject(ctx, x.bucket, key, strings.NewReader(text), int64(len(text)), o)
			})
		}
		all.Wait()
		var won []int
		for i, err := range errs {
			if err == nil {
				won = append(won, i)
			} else if err := conditionFails("PUT with If-None-Match: *", err); err != nil {
				return err
			}
		}
		if len(won) != 1 {
			return fmt.Errorf("%d of %d writers at once won, and not one", len(won), writers)
		}
		if err := x.holds(ctx, key, fmt.Sprint("writer ", won[0])); err != nil {
			return err
		}
	}
	return nil
}

func writeOver(ctx context.Context, x *suite) error {
	key := x.key("over")
	if err := x.put(ctx, x.bucket, key, "one"); err != nil {
		return err
	}
	info, err := x.root.StatObject(ctx, x.bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return err
	}
	write := func(text string) error {
		o := whole()
		o.SetMatchETag(info.ETag)
		_, err := x.root.PutObject(ctx, x.bucket, key, strings.NewReader(text), int64(len(text)), o)
		return err
	}
	if err := write("two"); err != nil {
		return fmt.Errorf("PUT with If-Match: %w", err)
	}
	if err := conditionFails("PUT with the If-Match of an older version", write("three")); err != nil {
		return err
	}
	return x.holds(ctx, key, "two")
}

// readOne reads a range of a version, and none of another one.
func readOne(ctx context.Context, x *suite) error {
	key := x.key("ranges")
	if err := x.put(ctx, x.bucket, key, "0123456789"); err != nil {
		return err
	}
	info, err := x.root.StatObject(ctx, x.bucket, key, minio.StatObjectOptions{})
	if err != nil {
		return err
	}
	var o minio.GetObjectOptions
	if err := errors.Join(o.SetMatchETag(info.ETag), o.SetRange(3, 5)); err != nil {
		return err
	}
	ask := func() (string, error) {
		body, _, _, err := (&minio.Core{Client: x.root}).GetObject(ctx, x.bucket, key, o)
		if err != nil {
			return "", err
		}
		defer body.Close()
		b, err := io.ReadAll(io.LimitReader(body, maxBody))
		return string(b), err
	}
	if got, err := ask(); err != nil || got != "345" {
		return fmt.Errorf("GET of the bytes 3 to 5 gives %q: %w", got, err)
	}
	if err := x.put(ctx, x.bucket, key, "abcdefghij"); err != nil {
		return err
	}
	got, err := ask()
	if err == nil {
		return fmt.Errorf("GET with the If-Match of an older version gives %q", got)
	}
	return conditionFails("GET with the If-Match of an older version", err)
}

// content sends bodies that are not those of their sums.
func content(ctx context.Context, x *suite) error {
	const text = "what was sent"
	core := &minio.Core{Client: x.root}
	right, wrong := sha256.Sum256([]byte(text)), sha256.Sum256([]byte("something else"))
	send := func(name, md5, sha string, o minio.PutObjectOptions) error {
		o.DisableMultipart = true
		_, err := core.PutObject(ctx, x.bucket, x.key("content/"+name), strings.NewReader(text), int64(len(text)), md5,
			sha, o)
		return err
	}
	err := send("right", "", hex.EncodeToString(right[:]), minio.PutObjectOptions{DisableContentSha256: true})
	if err != nil {
		return fmt.Errorf("PUT with X-Amz-Content-Sha256: %w", err)
	}
	err = send("sha", "", hex.EncodeToString(wrong[:]), minio.PutObjectOptions{DisableContentSha256: true})
	if err := refused("a body that is not that of X-Amz-Content-Sha256", err); err != nil {
		return err
	}
	bad := md5.Sum([]byte("something else")) //nolint:gosec // S3 compares it
	err = send("md5", encoded(bad[:]), "", minio.PutObjectOptions{DisableContentSha256: true})
	return refused("a body that is not that of Content-MD5", err)
}

// checksums are those that a download is compared with.
func checksums(ctx context.Context, x *suite) error {
	const text = "123456789"
	for _, kind := range []minio.ChecksumType{minio.ChecksumCRC32C, minio.ChecksumSHA256} {
		key := x.key("checksums/" + kind.String())
		h := kind.Hasher()
		_, _ = h.Write([]byte(text)) // never fails
		right, wrong := encoded(h.Sum(nil)), encoded(make([]byte, h.Size()))
		write := func(sum string) (answer, error) {
			return x.signed(ctx, x.rootSession(), request{method: http.MethodPut, url: x.at(x.bucket, key), body: text,
				header: map[string]string{kind.Key(): sum}})
		}
		if a, err := write(right); err != nil || !a.ok() {
			return errors.Join(err, fmt.Errorf("PUT with %s: %v", kind.Key(), a))
		}
		info, err := x.root.StatObject(ctx, x.bucket, key, minio.StatObjectOptions{Checksum: true})
		if err != nil {
			return err
		}
		got := map[minio.ChecksumType]string{
			minio.ChecksumCRC32C: info.ChecksumCRC32C, minio.ChecksumSHA256: info.ChecksumSHA256,
		}[kind]
		// SeaweedFS says nothing of the type, and that one is of the whole object.
		if got != right || info.ChecksumMode != "" && info.ChecksumMode != minio.ChecksumFullObjectMode.String() {
			return fmt.Errorf("HEAD says %s %q of type %q, and %q was stored", kind, got, info.ChecksumMode, right)
		}
		if a, err := write(wrong); err != nil || a.ok() {
			return errors.Join(err, fmt.Errorf("a body that is not that of %s is taken", kind.Key()))
		}
	}
	return nil
}

func encoded(sum []byte) string { return base64.StdEncoding.EncodeToString(sum) }

// large is content that no server can make small.
func large(n int) []byte {
	b := make([]byte, n)
	r := rand.NewChaCha8([32]byte{})
	_, _ = r.Read(b) // never fails
	return b
}

// parts uploads in parts, and breaks one upload off.
func parts(ctx context.Context, x *suite) error {
	b := large(partSize + 1000)
	key := x.key("parts/whole")
	_, err := x.root.PutObject(ctx, x.bucket, key, bytes.NewReader(b), int64(len(b)),
		minio.PutObjectOptions{PartSize: partSize, NumThreads: 2})
	if err != nil {
		return err
	}
	if err := x.holds(ctx, key, string(b)); err != nil {
		return err
	}
	core := &minio.Core{Client: x.root}
	broken := x.key("parts/broken")
	id, err := core.NewMultipartUpload(ctx, x.bucket, broken, minio.PutObjectOptions{})
	if err != nil {
		return err
	}
	if _, err := core.PutObjectPart(ctx, x.bucket, broken, id, 1, strings.NewReader("x"), 1,
		minio.PutObjectPartOptions{}); err != nil {
		return err
	}
	listed := false
	for u := range x.root.ListIncompleteUploads(ctx, x.bucket, broken, true) {
		if u.Err != nil {
			return fmt.Errorf("listing unfinished uploads: %w", u.Err)
		}
		listed = listed || u.Key == broken
	}
	if err := core.AbortMultipartUpload(ctx, x.bucket, broken, id); err != nil {
		return fmt.Errorf("ending an upload: %w", err)
	}
	if !listed {
		return errors.New("an unfinished upload is not listed")
	}
	if _, err = x.get(ctx, x.bucket, broken); !s3.IsMissing(err) {
		return fmt.Errorf("an upload that was ended has left something: %w", err)
	}
	return nil
}

// copyWhole copies as a stage's publish does: with other metadata and another type.
func copyWhole(ctx context.Context, x *suite) error {
	from, to := x.key("copy/from é+"), x.key("copy/to")
	if err := x.put(ctx, x.bucket, from, "copied"); err != nil {
		return err
	}
	_, err := x.root.CopyObject(ctx, minio.CopyDestOptions{Bucket: x.bucket, Object: to, ReplaceMetadata: true,
		UserMetadata: map[string]string{"Content-Type": "text/csv", "unip-origin": "run/stage"}},
		minio.CopySrcOptions{Bucket: x.bucket, Object: from})
	if err != nil {
		return err
	}
	info, err := x.root.StatObject(ctx, x.bucket, to, minio.StatObjectOptions{})
	if err != nil {
		return err
	}
	if info.ContentType != "text/csv" || info.UserMetadata["Unip-Origin"] != "run/stage" {
		return fmt.Errorf("the copy has type %q and metadata %v", info.ContentType, info.UserMetadata)
	}
	return x.holds(ctx, to, "copied")
}

func copyParts(ctx context.Context, x *suite) error {
	b := large(2 * partSize)
	from, to := x.key("compose/from"), x.key("compose/to")
	if _, err := x.root.PutObject(ctx, x.bucket, from, bytes.NewReader(b), int64(len(b)), whole()); err != nil {
		return err
	}
	_, err := x.root.ComposeObject(ctx, minio.CopyDestOptions{Bucket: x.bucket, Object: to, ReplaceMetadata: true,
		UserMetadata: map[string]string{"unip-origin": "run/stage"}, PartSize: partSize, NumThreads: 2},
		minio.CopySrcOptions{Bucket: x.bucket, Object: from})
	if err != nil {
		return err
	}
	return x.holds(ctx, to, string(b))
}

// deleteMany deletes several objects by one request, of which one is not there.
func deleteMany(ctx context.Context, x *suite) error {
	keys := []string{x.key("many/a"), x.key("many/б + &<1>"), x.key("many/c")}
	for _, k := range keys {
		if err := x.put(ctx, x.bucket, k, "x"); err != nil {
			return err
		}
	}
	all := make(chan minio.ObjectInfo, len(keys)+1)
	for _, k := range append(keys, x.key("many/none")) {
		all <- minio.ObjectInfo{Key: k}
	}
	close(all)
	for r := range x.root.RemoveObjects(ctx, x.bucket, all, minio.RemoveObjectsOptions{}) {
		return fmt.Errorf("%s: %w", short(r.ObjectName), r.Err)
	}
	for _, k := range keys {
		if _, err := x.get(ctx, x.bucket, k); !s3.IsMissing(err) {
			return fmt.Errorf("%s is still there: %w", short(k), err)
		}
	}
	return nil
}

func objectTags(ctx context.Context, x *suite) error {
	key := x.key("tags")
	if err := x.put(ctx, x.bucket, key, "x"); err != nil {
		return err
	}
	t, err := tags.NewTags(map[string]string{"colour": "blue"}, true)
	if err != nil {
		return err
	}
	if err := x.root.PutObjectTagging(ctx, x.bucket, key, t, minio.PutObjectTaggingOptions{}); err != nil {
		return err
	}
	got, err := x.root.GetObjectTagging(ctx, x.bucket, key, minio.GetObjectTaggingOptions{})
	if err == nil && got.ToMap()["colour"] != "blue" {
		err = fmt.Errorf("the tags came back as %v", got.ToMap())
	}
	return err
}
