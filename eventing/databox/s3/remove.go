package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/eventing/databox"
)

// Removal says how a bucket is removed.
type Removal struct {
	// Budget is how long one call may take, more or less.
	Budget time.Duration
	// OneByOne sends a request for each object. RGW of Ceph 16 aborts when one request deletes objects of
	// a bucket that tells a persistent topic.
	OneByOne bool
}

// atOnce is how many objects are deleted at a time, each by its own request.
const atOnce = 16

// removeBatch is how many objects one call deletes (S3's own limit).
const removeBatch = 1000

// RemoveBucket deletes all objects, old versions and unfinished uploads of the owner's bucket and
// then the bucket, as far as it comes within the budget. It returns how many objects it deleted and
// whether the bucket is gone; when it is not, call it again: every call goes on where the last one
// stopped. A bucket that is not the owner's is left alone (ErrBucketNotOurs); one that does not
// exist is gone.
func RemoveBucket(
	ctx context.Context, c *minio.Client, bucket string, o databox.Owner, how Removal,
) (removed int, gone bool, err error) {
	if err := CheckBucket(ctx, c, bucket, o); err != nil {
		if isCode(err, "NoSuchBucket") {
			return 0, true, nil
		}
		return 0, false, err
	}
	for deadline := time.Now().Add(how.Budget); ; {
		n, err := removeSome(ctx, c, bucket, how.OneByOne)
		removed += n
		if err != nil {
			return removed, false, err
		}
		if n == 0 {
			break
		}
		if time.Now().After(deadline) {
			return removed, false, nil
		}
	}
	if err := abortUploads(ctx, c, bucket); err != nil {
		return removed, false, err
	}
	err = c.RemoveBucket(ctx, bucket)
	switch {
	case err == nil, isCode(err, "NoSuchBucket"):
		return removed, true, nil
	case isCode(err, "BucketNotEmpty"): // somebody's session is still writing
		return removed, false, nil
	}
	return removed, false, fmt.Errorf("deleting bucket %s: %w", bucket, err)
}

// removeSome deletes the first objects (all their versions) of the bucket, at most removeBatch.
func removeSome(ctx context.Context, c *minio.Client, bucket string, oneByOne bool) (int, error) {
	listing, stop := context.WithCancel(ctx)
	defer stop()
	batch := make(chan minio.ObjectInfo, removeBatch)
	all := minio.ListObjectsOptions{WithVersions: true, Recursive: true, MaxKeys: removeBatch}
	for o := range c.ListObjects(listing, bucket, all) {
		if o.Err != nil {
			return 0, fmt.Errorf("listing bucket %s: %w", bucket, o.Err)
		}
		if batch <- o; len(batch) == removeBatch {
			break
		}
	}
	stop()
	n := len(batch)
	close(batch)
	if oneByOne {
		g, each := errgroup.WithContext(ctx)
		g.SetLimit(atOnce)
		for o := range batch {
			g.Go(func() error {
				return c.RemoveObject(each, bucket, o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID})
			})
		}
		if err := g.Wait(); err != nil {
			return 0, fmt.Errorf("deleting an object of bucket %s: %w", bucket, err)
		}
		return n, ctx.Err()
	}
	var errs []error
	for r := range c.RemoveObjects(ctx, bucket, batch, minio.RemoveObjectsOptions{}) {
		if len(errs) < 3 { // the reasons are the same for all
			errs = append(errs, fmt.Errorf("deleting an object of bucket %s: %w", bucket, r.Err))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return 0, err
	}
	return n, ctx.Err()
}

// abortUploads ends the unfinished multipart uploads, which keep a bucket from being deleted on
// some servers.
func abortUploads(ctx context.Context, c *minio.Client, bucket string) error {
	for u := range c.ListIncompleteUploads(ctx, bucket, "", true) {
		if u.Err != nil {
			return fmt.Errorf("listing the unfinished uploads of bucket %s: %w", bucket, u.Err)
		}
		if err := c.RemoveIncompleteUpload(ctx, bucket, u.Key); err != nil {
			return fmt.Errorf("ending an unfinished upload in bucket %s: %w", bucket, err)
		}
	}
	return nil
}
