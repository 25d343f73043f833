//go:build integration

package main

import (
	"fmt"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"k8s.io/apimachinery/pkg/api/resource"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// countsBoxes: status.used, and what enforcers read, follow what is in the bucket.
func (c *cluster) countsBoxes(t *testing.T) {
	b := c.boxWith(t, "counted", "small", platformv1.DataBoxSpec{
		S3DefaultStorage: &platformv1.S3DefaultStorage{Capacity: new(resource.MustParse("1k"))},
	})
	c.waitFor(t, b, platformv1.ReasonReady)
	at := databox.UsageOf(databox.UsualBuckets.System(), "counted", "small")
	counted := func(used int64) {
		t.Helper()
		eventually(t, fmt.Sprintf("%d bytes are counted", used), func() error {
			must(t, c.Get(t.Context(), client.ObjectKeyFromObject(b), b))
			u, _, err := s3.ReadUsage(t.Context(), c.s3.Client, at)
			if err != nil || b.Status.Used == nil || b.Status.Used.Value() != used || u.Used != used ||
				u.Capacity != 1000 {
				return fmt.Errorf("status %v, usage %+v, %w", b.Status.Used, u, err)
			}
			return nil
		})
	}
	counted(0)
	// Of two new files one is told: its size counts at once, the other's when the bucket is listed.
	for _, key := range []string{"models/m", databox.UserPrefix("ann") + "g/f"} {
		_, err := c.s3.PutObject(t.Context(), b.Status.Bucket, key, strings.NewReader(strings.Repeat("x", 700)), 700,
			minio.PutObjectOptions{})
		must(t, err)
	}
	c.notify(t, b.Status.Bucket, "models/m", 700)
	counted(1400)
}

// webhookToken is what the S3 server sends with its notifications.
const webhookToken = "of-the-webhook"

// notify tells the controller of a new object, as MinIO does.
func (c *cluster) notify(t *testing.T, bucket, key string, size int64) {
	t.Helper()
	body := fmt.Sprintf(
		`{"Records":[{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":%q},"object":{"key":%q,"size":%d}}}]}`,
		bucket, url.QueryEscape(key), size)
	eventually(t, "the notification is taken", func() error {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, "http://"+c.s3Events+"/v1/minio",
			strings.NewReader(body))
		must(t, err)
		req.Header.Set("Authorization", "Bearer "+webhookToken)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusNoContent {
			return fmt.Errorf("%s", resp.Status)
		}
		return nil
	})
}
