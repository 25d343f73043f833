package s3

import (
	"context"
	"fmt"
	"slices"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/notification"
)

// notificationID is the name of unip's entry in a bucket's notification configuration; other
// entries are somebody else's and stay.
const notificationID = "unip"

// EnsureNotification sees to it that the bucket tells the queue arn (arn:minio:sqs::UNIP:webhook)
// of every object that is created or removed. It writes nothing when that is so already.
func EnsureNotification(ctx context.Context, c *minio.Client, bucket, arn string) error {
	a, err := notification.NewArnFromString(arn)
	if err != nil {
		return fmt.Errorf("notification ARN %q: %w", arn, err)
	}
	have, err := c.GetBucketNotification(ctx, bucket)
	if err != nil {
		return fmt.Errorf("reading the notifications of bucket %s: %w", bucket, err)
	}
	kinds := []notification.EventType{notification.ObjectCreatedAll, notification.ObjectRemovedAll}
	right := func(q notification.QueueConfig) bool {
		lacking := func(k notification.EventType) bool { return !slices.Contains(q.Events, k) }
		return q.Queue == arn && q.Filter == nil && !slices.ContainsFunc(kinds, lacking)
	}
	if slices.ContainsFunc(have.QueueConfigs, right) {
		return nil
	}
	// What names our queue in another way is replaced: two entries for one queue may not overlap.
	have.QueueConfigs = slices.DeleteFunc(have.QueueConfigs, func(q notification.QueueConfig) bool {
		return q.ID == notificationID || q.Queue == arn
	})
	q := notification.NewConfig(a)
	q.ID = notificationID
	q.AddEvents(kinds...)
	have.QueueConfigs = append(have.QueueConfigs, notification.QueueConfig{Config: q, Queue: arn})
	if err := c.SetBucketNotification(ctx, bucket, have); err != nil {
		return fmt.Errorf("setting the notifications of bucket %s: %w", bucket, err)
	}
	return nil
}
