// Package runbucket claims the bucket of a module's own in which its runs and its start records lie.
//
// What it never does: take a bucket that is not tagged with the namespace's UID, or know what is
// written into the bucket beyond how long it stays there.
package runbucket

import (
	"context"
	"fmt"
	"log/slog"
	"time"

	"github.com/minio/minio-go/v7/pkg/lifecycle"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/eventing/databox"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
)

const (
	// Days after which the run bucket lets go of things. Start records live longest: a notification
	// that comes late must still find its own.
	keepRunsDays   = 30
	keepStartsDays = 90
)

// StartsLive is how long a start record lives. A file that is older has none to be known by.
const StartsLive = keepStartsDays * 24 * time.Hour

// Claim makes the module's run bucket, or finds it.
func Claim(ctx context.Context, s settings.Store, namespace, uid string) error {
	bucket := s.Config.S3.Buckets.Runs(namespace)
	if err := s3client.ClaimBucket(ctx, s.Client, bucket, s.Config.S3.Region,
		databox.Owner{Namespace: namespace, NamespaceUID: uid, Box: databox.RunsBox}); err != nil {
		return err
	}
	old, err := s.GetBucketLifecycle(ctx, bucket)
	if err == nil && len(old.Rules) == 2 && old.Rules[0].ID == "unip-runs" {
		return nil
	}
	c := lifecycle.NewConfiguration()
	for id, r := range map[string]struct {
		prefix string
		days   int
	}{"unip-runs": {"runs/", keepRunsDays}, "unip-starts": {"starts/", keepStartsDays}} {
		c.Rules = append(c.Rules, lifecycle.Rule{
			ID: id, Status: "Enabled", RuleFilter: lifecycle.Filter{Prefix: r.prefix},
			Expiration:                     lifecycle.Expiration{Days: lifecycle.ExpirationDays(r.days)},
			AbortIncompleteMultipartUpload: lifecycle.AbortIncompleteMultipartUpload{DaysAfterInitiation: 7},
		})
	}
	if c.Rules[0].ID != "unip-runs" {
		c.Rules[0], c.Rules[1] = c.Rules[1], c.Rules[0]
	}
	err = s.SetBucketLifecycle(ctx, bucket, c)
	if s3client.IsUnknown(err) { // what lies there stays, which is no reason to let no run begin
		slog.Warn("the S3 server knows no lifecycles: what runs leave in their bucket stays there until it is cleared",
			"bucket", bucket)
		return nil
	}
	if err != nil {
		return fmt.Errorf("lifecycle of bucket %s: %w", bucket, err)
	}
	return nil
}
