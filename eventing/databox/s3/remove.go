package s3

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
)

// removeBatch is how many objects one call deletes (S3's own limit).
const removeBatch = 1000

// RemoveBucket deletes all objects, old versions and unfinished uploads of the owner's bucket and
// then the bucket, as far as it comes within the budget. It returns how many objects it deleted and
// whether the bucket is gone; when it is not, call it again: every call goes on where the last one
// stopped. A bucket that is not the owner's is left alone (ErrBucketNotOurs); one that does not
// exist is gone.
func RemoveBucket(
	ctx context.Context, c *minio.Client, bucket string, o databox.Owner, budget time.Duration,
) (removed int, gone bool, err error) {
	if err := CheckBucket(ctx, c, bucket, o); err != nil {
		if isCode(err, "NoSuchBucket") {
			return 0, true, nil
		}
		return 0, false, err
	}
	for deadline := time.Now().Add(budget); ; {
		n, err := removeSome(ctx, c, bucket)
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
func removeSome(ctx context.Context, c *minio.Client, bucket string) (int, error) {
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
