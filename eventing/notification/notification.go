// Package notification reads what S3 servers post when objects change. The format is AWS's event message structure (version 2.x), which MinIO sends to webhooks, too: a JSON object with Records, keys
// encoded as in a URL's query.
package notification

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"
)

// MaxBody bounds a notification in bytes. MinIO sends one record per call, AWS up to some tens.
const MaxBody = 1 << 20

// Record is one change of one object.
type Record struct {
	Bucket, Key string
	Removed     bool
	ETag        string
	Version     string
	Sequencer   string
	Size        int64
	Time        time.Time
}

// ErrMalformed is a body that will never be understood.
var ErrMalformed = errors.New("not an S3 notification")

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

// Parse reads a notification. Test events and events other than creation and removal give no record. The error is ErrMalformed.
func Parse(b []byte) ([]Record, error) {
	if len(b) > MaxBody {
		return nil, fmt.Errorf("%w: larger than %d bytes", ErrMalformed, MaxBody)
	}
	var x body
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, fmt.Errorf("%w: %w", ErrMalformed, err)
	}
	if x.Event == "" && x.Records == nil {
		return nil, fmt.Errorf("%w: no Records", ErrMalformed)
	}
	var out []Record
	for i, r := range x.Records {
		name := strings.TrimPrefix(r.EventName, "s3:") // MinIO writes it with, AWS without
		created, removed := strings.HasPrefix(name, "ObjectCreated:"), strings.HasPrefix(name, "ObjectRemoved:")
		if !created && !removed {
			continue
		}
		key, err := url.QueryUnescape(r.S3.Object.Key)
		if err != nil || key == "" || r.S3.Bucket.Name == "" {
			return nil, fmt.Errorf("%w: record %d has no bucket or no key", ErrMalformed, i)
		}
		out = append(out, Record{
			Bucket: r.S3.Bucket.Name, Key: key, Removed: removed, ETag: r.S3.Object.ETag, Version: r.S3.Object.VersionID,
			Sequencer: r.S3.Object.Sequencer, Size: r.S3.Object.Size, Time: r.EventTime,
		})
	}
	return out, nil
}
