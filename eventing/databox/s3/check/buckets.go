package check

import (
	"context"
	"errors"
	"fmt"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	"github.com/minio/minio-go/v7/pkg/tags"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// buckets makes the two buckets of the suite. Where that is refused the one that was given is used.
func buckets(ctx context.Context, x *suite) error {
	mine, other := string(x.Buckets)+x.name, ""
	err := x.root.MakeBucket(ctx, mine, minio.MakeBucketOptions{Region: x.Region})
	if err == nil {
		x.bucket, x.made = mine, true
		other = mine + "-other"
		if err = x.root.MakeBucket(ctx, other, minio.MakeBucketOptions{Region: x.Region}); err == nil {
			x.other = other
			return nil
		}
	}
	if x.Bucket != "" && x.bucket == "" {
		there, e := x.root.BucketExists(ctx, x.Bucket)
		if e == nil && !there {
			e = fmt.Errorf("there is no bucket %s", x.Bucket)
		}
		if e != nil {
			return errors.Join(fmt.Errorf("making a bucket: %w", err), e)
		}
		x.bucket = x.Bucket
	}
	return fmt.Errorf("making a bucket: %w", err)
}

// own refuses what would change a bucket that others use.
func (x *suite) own() error {
	if !x.made {
		return notTried("the bucket is not the suite's own")
	}
	return nil
}

// bucketTags claims a bucket as boxes do, and finds it claimed.
func bucketTags(ctx context.Context, x *suite) error {
	if err := x.own(); err != nil {
		return err
	}
	owner := databox.Owner{Namespace: "s3-check", NamespaceUID: "b8a7e1c0-0000-4000-8000-000000000000", Box: "files"}
	if err := s3.ClaimBucket(ctx, x.root, x.bucket, x.Region, owner); err != nil {
		return err
	}
	if err := s3.CheckBucket(ctx, x.root, x.bucket, owner); err != nil {
		return err
	}
	stranger := owner
	stranger.NamespaceUID = "another"
	if err := s3.CheckBucket(ctx, x.root, x.bucket, stranger); !errors.Is(err, s3.ErrBucketNotOurs) {
		return fmt.Errorf("the tags do not tell owners apart: %w", err)
	}
	more, err := tags.NewTags(owner.Tags(), false)
	if err == nil {
		err = x.root.SetBucketTagging(ctx, x.bucket, more) // writing them again is no fault
	}
	return err
}

// versions lists as the claim of a bucket and its end do.
func versions(ctx context.Context, x *suite) error {
	key := x.key("versions/a")
	if err := x.put(ctx, x.bucket, key, "a"); err != nil {
		return err
	}
	seen := false
	for o := range x.root.ListObjects(ctx, x.bucket, minio.ListObjectsOptions{Prefix: x.key("versions/"),
		WithVersions: true, Recursive: true}) {
		if o.Err != nil {
			return o.Err
		}
		seen = seen || o.Key == key
	}
	if !seen {
		return errors.New("ListObjectVersions does not show an object that is there")
	}
	return nil
}

// lifecycleRules sets rules as those of run buckets, and reads them.
func lifecycleRules(ctx context.Context, x *suite) error {
	if err := x.own(); err != nil {
		return err
	}
	want := lifecycle.NewConfiguration()
	for _, r := range []struct {
		id, prefix string
		days       int
	}{{"unip-runs", "runs/", 30}, {"unip-starts", "starts/", 90}} {
		want.Rules = append(want.Rules, lifecycle.Rule{
			ID: r.id, Status: "Enabled", RuleFilter: lifecycle.Filter{Prefix: r.prefix},
			Expiration:                     lifecycle.Expiration{Days: lifecycle.ExpirationDays(r.days)},
			AbortIncompleteMultipartUpload: lifecycle.AbortIncompleteMultipartUpload{DaysAfterInitiation: 7},
		})
	}
	if err := x.root.SetBucketLifecycle(ctx, x.bucket, want); err != nil {
		return err
	}
	got, err := x.root.GetBucketLifecycle(ctx, x.bucket)
	if err != nil {
		return fmt.Errorf("reading the rules: %w", err)
	}
	if len(got.Rules) != len(want.Rules) {
		return fmt.Errorf("%d rules were set, and there are %d", len(want.Rules), len(got.Rules))
	}
	for i, r := range got.Rules {
		if r.ID != want.Rules[i].ID || r.Expiration.Days != want.Rules[i].Expiration.Days ||
			r.RuleFilter.Prefix+r.Prefix != want.Rules[i].RuleFilter.Prefix {
			return fmt.Errorf("the rule %s came back as another one", want.Rules[i].ID)
		}
	}
	return nil
}

// end takes away what the suite has made. It asks for one object at a time where the server deletes
// many in no other way.
func (x *suite) end(ctx context.Context) error {
	var errs []error
	for _, b := range []struct {
		name string
		made bool
	}{{x.bucket, x.made}, {x.other, true}} {
		if b.name == "" {
			continue
		}
		prefixes := []string{x.prefix, databox.UsersArea + x.name}
		if b.made {
			prefixes = []string{""}
		}
		for _, p := range prefixes {
			if err := x.empty(ctx, b.name, p); err != nil {
				errs = append(errs, fmt.Errorf("bucket %s, below %q: %w", b.name, p, err))
			}
		}
		if b.made {
			if err := x.root.RemoveBucket(ctx, b.name); err != nil && !s3.IsMissing(err) {
				errs = append(errs, fmt.Errorf("bucket %s: %w", b.name, err))
			}
		}
	}
	return errors.Join(errs...)
}

func (x *suite) empty(ctx context.Context, bucket, prefix string) error {
	for u := range x.root.ListIncompleteUploads(ctx, bucket, prefix, true) {
		if u.Err == nil {
			_ = x.root.RemoveIncompleteUpload(ctx, bucket, u.Key) // the bucket's own end tells
		}
	}
	var errs []error
	remove := func(o minio.ObjectInfo) {
		err := x.root.RemoveObject(ctx, bucket, o.Key, minio.RemoveObjectOptions{VersionID: o.VersionID})
		if err != nil && !s3.IsMissing(err) && len(errs) < 3 {
			errs = append(errs, fmt.Errorf("%s: %w", short(o.Key), err))
		}
	}
	for _, withVersions := range []bool{true, false} { // not every server lists versions
		for o := range x.root.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true,
			WithVersions: withVersions}) {
			if o.Err == nil {
				remove(o)
			} else if !withVersions {
				errs = append(errs, o.Err)
			}
		}
	}
	return errors.Join(errs...)
}
