package s3

import (
	"context"
	"errors"
	"fmt"
	"hash/maphash"
	"maps"
	"net/http"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"

	"github.com/unip-knative/unip/eventing/databox"
)

// ErrBucketNotOurs: a bucket of the box's name exists and is somebody else's, or nobody's but with
// objects in it.
var ErrBucketNotOurs = errors.New("the bucket belongs to somebody else")

// ClaimBucket makes the bucket and tags it with its owner, or finds that both was done. It may be
// broken off at any point and called again.
//
// A bucket with other tags is ErrBucketNotOurs. One without our tags is what is left when the
// controller dies between making and tagging; it is adopted only while it is empty (no object, no
// old version), since then nothing of anybody is in it. One that is ours by tags of before is tagged
// anew, and what others have tagged stays. S3 has no conditional tagging, and on MinIO
// claims that overlapped were seen to find objects without the tags that another had just set. So
// claims of one bucket take turns in this process, and no other may claim it at the same time: the
// controller's leader election sees to that.
func ClaimBucket(ctx context.Context, c *minio.Client, bucket, region string, o databox.Owner) error {
	found, err := bucketTags(ctx, c, bucket, o)
	if err == nil && hasAll(found, o.Tags()) {
		return nil // mostly: that needs no turn
	}
	if err != nil && !isCode(err, "NoSuchBucket") && !errors.Is(err, errUntagged) {
		return err
	}
	turn := claims[maphash.String(claimsSeed, bucket)%uint64(len(claims))]
	select {
	case turn <- struct{}{}:
		defer func() { <-turn }()
	case <-ctx.Done():
		return fmt.Errorf("waiting to claim bucket %s: %w", bucket, context.Cause(ctx))
	}
	return claimInTurn(ctx, c, bucket, region, o)
}

// claims are the turns. Buckets whose names fall together wait for each other as well.
var claims = func() (all [64]chan struct{}) {
	for i := range all {
		all[i] = make(chan struct{}, 1)
	}
	return all
}()

var claimsSeed = maphash.MakeSeed()

func claimInTurn(ctx context.Context, c *minio.Client, bucket, region string, o databox.Owner) error {
	found, err := bucketTags(ctx, c, bucket, o)
	switch {
	case err == nil && hasAll(found, o.Tags()): // the turn before was of the same bucket
		return nil
	case err == nil: // ours by other tags
		return tag(ctx, c, bucket, o, found)
	case isCode(err, "NoSuchBucket"):
		if err := c.MakeBucket(ctx, bucket, minio.MakeBucketOptions{Region: region}); err != nil {
			if isCode(err, "BucketAlreadyExists") { // in another account, which is why we could not see it
				return fmt.Errorf("bucket %s is in another account, and no server has two of a name: %w; s3.bucketPrefix of "+
					"unip.yaml gives the installation other names", bucket, ErrBucketNotOurs)
			}
			if !isCode(err, "BucketAlreadyOwnedByYou") {
				return fmt.Errorf("making bucket %s: %w", bucket, err)
			}
		}
	case errors.Is(err, errUntagged):
	default:
		return err
	}
	empty, err := isEmpty(ctx, c, bucket)
	if err != nil {
		return err
	}
	if !empty {
		return fmt.Errorf("bucket %s has objects and no tag of unip: %w", bucket, ErrBucketNotOurs)
	}
	return tag(ctx, c, bucket, o, found)
}

// tag sets the owner's tags beside those of others.
func tag(ctx context.Context, c *minio.Client, bucket string, o databox.Owner, found map[string]string) error {
	all := maps.Clone(found)
	if all == nil {
		all = map[string]string{}
	}
	maps.Copy(all, o.Tags())
	t, err := tags.NewTags(all, false)
	if err == nil {
		err = c.SetBucketTagging(ctx, bucket, t)
	}
	if err != nil {
		return fmt.Errorf("tagging bucket %s: %w", bucket, err)
	}
	return CheckBucket(ctx, c, bucket, o)
}

// errUntagged is ErrBucketNotOurs to everybody but ClaimBucket.
var errUntagged = fmt.Errorf("%w: it has no tag of unip", ErrBucketNotOurs)

// CheckBucket is nil when the bucket exists and is o's by its tags. It changes nothing. Otherwise the
// error is ErrBucketNotOurs or S3's own (code NoSuchBucket when there is none), wrapped.
func CheckBucket(ctx context.Context, c *minio.Client, bucket string, o databox.Owner) error {
	_, err := bucketTags(ctx, c, bucket, o)
	return err
}

// CheckBucketOfAny is CheckBucket for whoever cannot know UIDs now: it takes any.
func CheckBucketOfAny(ctx context.Context, c *minio.Client, bucket string, o databox.Owner) error {
	found, err := readTags(ctx, c, bucket)
	if err != nil {
		return err
	}
	o.ClusterUID, o.NamespaceUID = "", found[databox.TagNamespaceUID]
	return judge(bucket, found, o)
}

// bucketTags gives all tags of a bucket that is o's, and those of others of one that has none of unip.
func bucketTags(ctx context.Context, c *minio.Client, bucket string, o databox.Owner) (map[string]string, error) {
	found, err := readTags(ctx, c, bucket)
	if err != nil {
		return nil, err
	}
	return found, judge(bucket, found, o)
}

func readTags(ctx context.Context, c *minio.Client, bucket string) (map[string]string, error) {
	t, err := c.GetBucketTagging(ctx, bucket)
	if isCode(err, "NoSuchTagSet") || isCode(err, "NoSuchTagSetError") {
		// MinIO gives this answer for a bucket that does not exist, too.
		if exists, err := c.BucketExists(ctx, bucket); err != nil {
			return nil, fmt.Errorf("looking for bucket %s: %w", bucket, err)
		} else if exists {
			return nil, fmt.Errorf("bucket %s: %w", bucket, errUntagged)
		}
		return nil, fmt.Errorf("bucket %s: %w", bucket, minio.ErrorResponse{StatusCode: http.StatusNotFound,
			Code: "NoSuchBucket"})
	}
	if err != nil {
		return nil, fmt.Errorf("reading the tags of bucket %s: %w", bucket, err)
	}
	return t.ToMap(), nil
}

func judge(bucket string, found map[string]string, o databox.Owner) error {
	if o.Owns(found) {
		return nil
	}
	untagged := true
	for k := range o.Tags() {
		_, has := found[k]
		untagged = untagged && !has
	}
	if untagged {
		return fmt.Errorf("bucket %s: %w", bucket, errUntagged)
	}
	cluster := ""
	if of := found[databox.TagClusterUID]; of != "" {
		cluster = fmt.Sprintf(" of cluster %q", of)
	}
	return fmt.Errorf("bucket %s is tagged for namespace %q (UID %q)%s, box %q: %w", bucket, found[databox.TagNamespace],
		found[databox.TagNamespaceUID], cluster, found[databox.TagBox], ErrBucketNotOurs)
}

func hasAll(found, want map[string]string) bool {
	for k, v := range want {
		if found[k] != v {
			return false
		}
	}
	return true
}

// isEmpty reports a bucket without any object, old version or delete marker.
func isEmpty(ctx context.Context, c *minio.Client, bucket string) (bool, error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel() // ends the listing after its first entry
	first, any := <-c.ListObjects(ctx, bucket, minio.ListObjectsOptions{WithVersions: true, Recursive: true,
		MaxKeys: 1})
	if first.Err != nil {
		return false, fmt.Errorf("listing bucket %s: %w", bucket, first.Err)
	}
	return !any, nil
}
