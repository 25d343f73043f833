// Package minio reads the notifications of MinIO. They are AWS's event message structure (version
// 2.x): a JSON object with Records, keys encoded as in a URL's query.
package minio

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/notification"
)

type body struct {
	Event   string `json:"Event"` // s3:TestEvent
	Records []struct {
		EventName string    `json:"eventName"`
		EventTime time.Time `json:"eventTime"`
		S3        struct {
			Bucket struct {
				Name string `json:"name"`
			} `json:"bucket"`
			Object struct {
				Key       string `json:"key"`
				Size      int64  `json:"size"`
				ETag      string `json:"eTag"`
				VersionID string `json:"versionId"`
				Sequencer string `json:"sequencer"`
			} `json:"object"`
		} `json:"s3"`
	} `json:"Records"`
}

// Parse reads a notification. Test events, and events other than creation and removal, give no
// record. The error is notification.ErrMalformed.
func Parse(b []byte) ([]notification.Record, error) {
	if len(b) > notification.MaxBody {
		return nil, fmt.Errorf("%w: larger than %d bytes", notification.ErrMalformed, notification.MaxBody)
	}
	var x body
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, fmt.Errorf("%w: %w", notification.ErrMalformed, err)
	}
	if x.Event == "" && x.Records == nil {
		return nil, fmt.Errorf("%w: no Records", notification.ErrMalformed)
	}
	var out []notification.Record
	for i, r := range x.Records {
		name := strings.TrimPrefix(r.EventName, "s3:") // MinIO writes it with, AWS without
		created, removed := strings.HasPrefix(name, "ObjectCreated:"), strings.HasPrefix(name, "ObjectRemoved:")
		if !created && !removed {
			continue
		}
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil || key == "" || r.S3.Bucket.Name == "" {
			return nil, fmt.Errorf("%w: record %d has no bucket or no key", notification.ErrMalformed, i)
		}
		out = append(out, notification.Record{
			Bucket: r.S3.Bucket.Name, Key: key, Removed: removed, Size: r.S3.Object.Size, Time: r.EventTime,
			ETag: r.S3.Object.ETag, Version: r.S3.Object.VersionID, Sequencer: r.S3.Object.Sequencer,
		})
	}
	return out, nil
}
