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

// EnsureNotification sees to it that the bucket tells arn of every object that is created or removed:
// a queue (arn:minio:sqs::UNIP:webhook), or a topic (arn:aws:sns:default::unip). It writes nothing when
// that is so already, and reports whether it had to.
func EnsureNotification(ctx context.Context, c *minio.Client, bucket, arn string) (written bool, err error) {
	a, err := notification.NewArnFromString(arn)
	if err != nil {
		return false, fmt.Errorf("notification ARN %q: %w", arn, err)
	}
	have, err := notifications(ctx, c, bucket)
	if err != nil || tells(have, arn) {
		return false, err
	}
	// What names our target in another way is replaced: two entries for one target may not overlap.
	have.QueueConfigs = slices.DeleteFunc(have.QueueConfigs, func(q notification.QueueConfig) bool {
		return q.ID == notificationID || q.Queue == arn
	})
	have.TopicConfigs = slices.DeleteFunc(have.TopicConfigs, func(q notification.TopicConfig) bool {
		return q.ID == notificationID || q.Topic == arn
	})
	told := notification.Config{Arn: a, ID: notificationID, Events: changes}
	if a.Service == topics {
		have.TopicConfigs = append(have.TopicConfigs, notification.TopicConfig{Config: told, Topic: arn})
	} else {
		have.QueueConfigs = append(have.QueueConfigs, notification.QueueConfig{Config: told, Queue: arn})
	}
	if err := c.SetBucketNotification(ctx, bucket, have); err != nil {
		return false, fmt.Errorf("setting the notifications of bucket %s: %w", bucket, err)
	}
	return true, nil
}

// topics is the service in the ARN of a topic.
const topics = "sns"

// HasNotification reports whether the bucket tells the target of every change. It changes nothing.
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

// tells reports whether a target is told of all changes of all keys.
func tells(have notification.Configuration, arn string) bool {
	all := func(target string, c notification.Config) bool {
		lacking := func(k notification.EventType) bool { return !slices.Contains(c.Events, k) }
		whole := c.Filter == nil || len(c.Filter.S3Key.FilterRules) == 0
		return target == arn && whole && !slices.ContainsFunc(changes, lacking)
	}
	queue := func(q notification.QueueConfig) bool { return all(q.Queue, q.Config) }
	topic := func(t notification.TopicConfig) bool { return all(t.Topic, t.Config) }
	return slices.ContainsFunc(have.QueueConfigs, queue) || slices.ContainsFunc(have.TopicConfigs, topic)
}
