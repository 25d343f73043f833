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
// of every object that is created or removed. It writes nothing when that is so already, and reports
// whether it had to.
func EnsureNotification(ctx context.Context, c *minio.Client, bucket, arn string) (written bool, err error) {
	a, err := notification.NewArnFromString(arn)
	if err != nil {
		return false, fmt.Errorf("notification ARN %q: %w", arn, err)
	}
	have, err := notifications(ctx, c, bucket)
	if err != nil || tells(have, arn) {
		return false, err
	}
	// What names our queue in another way is replaced: two entries for one queue may not overlap.
	have.QueueConfigs = slices.DeleteFunc(have.QueueConfigs, func(q notification.QueueConfig) bool {
		return q.ID == notificationID || q.Queue == arn
	})
	q := notification.NewConfig(a)
	q.ID = notificationID
	q.AddEvents(changes...)
	have.QueueConfigs = append(have.QueueConfigs, notification.QueueConfig{Config: q, Queue: arn})
	if err := c.SetBucketNotification(ctx, bucket, have); err != nil {
		return false, fmt.Errorf("setting the notifications of bucket %s: %w", bucket, err)
	}
	return true, nil
}

// HasNotification reports whether the bucket tells the queue of every change. It changes nothing.
func HasNotification(ctx context.Context, c *minio.Client, bucket, arn string) (bool, error) {
	have, err := notifications(ctx, c, bucket)
	return tells(have, arn), err
}

var changes = []notification.EventType{notification.ObjectCreatedAll, notification.ObjectRemovedAll}

func notifications(ctx context.Context, c *minio.Client, bucket string) (notification.Configuration, error) {
	have, err := c.GetBucketNotification(ctx, bucket)
	if err != nil {
		return have, fmt.Errorf("reading the notifications of bucket %s: %w", bucket, err)
	}
	return have, nil
}

func tells(have notification.Configuration, arn string) bool {
	return slices.ContainsFunc(have.QueueConfigs, func(q notification.QueueConfig) bool {
		lacking := func(k notification.EventType) bool { return !slices.Contains(q.Events, k) }
		return q.Queue == arn && q.Filter == nil && !slices.ContainsFunc(changes, lacking)
	})
}
