// Package records reads the event message structure of S3 (version 2.x), a JSON object with Records,
// which several servers post, each with ways of its own.
package records

import (
	"bytes"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/notification"
)

type body struct {
	Event   string   `json:"Event"` // s3:TestEvent
	Records []record `json:"Records"`
}

type record struct {
	EventName string    `json:"eventName"`
	EventTime timestamp `json:"eventTime"`
	S3        struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      size   `json:"size"`
			ETag      string `json:"eTag"`
			VersionID string `json:"versionId"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"s3"`
}

// size is a number, or a text of one.
type size int64

func (s *size) UnmarshalJSON(b []byte) error {
	b = bytes.Trim(b, `"`)
	if len(b) == 0 || string(b) == "null" {
		return nil
	}
	n, err := strconv.ParseInt(string(b), 10, 64)
	*s = size(n)
	return err
}

// timestamp is when something happened; zero where it is told in a way that is not known, for no more
// hangs on it than what an event says.
type timestamp struct{ time.Time }

func (t *timestamp) UnmarshalJSON(b []byte) error {
	var text string
	if err := json.Unmarshal(b, &text); err != nil {
		return err
	}
	for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05Z0700", "2006-01-02 15:04:05Z0700"} {
		if at, err := time.Parse(layout, text); err == nil {
			t.Time = at
			break
		}
	}
	return nil
}

// Plain is the key of servers that do not encode it.
func Plain(key string) (string, error) { return key, nil }

// Parse reads a notification. key decodes a key as the server encodes it. Test events, and events other
// than creation and removal, give no record. The error is notification.ErrMalformed.
func Parse(b []byte, key func(string) (string, error)) ([]notification.Record, error) {
	if len(b) > notification.MaxBody {
		return nil, notification.Malformedf("larger than %d bytes", notification.MaxBody)
	}
	var x body
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, fmt.Errorf("%w: %w", notification.ErrMalformed, err)
	}
	if x.Event == "" && x.Records == nil {
		return nil, notification.Malformedf("no Records")
	}
	var out []notification.Record
	for i, r := range x.Records {
		name := strings.TrimPrefix(r.EventName, "s3:") // some write it with, AWS and Ceph without
		created, removed := strings.HasPrefix(name, "ObjectCreated:"), strings.HasPrefix(name, "ObjectRemoved:")
		if !created && !removed {
			continue
		}
		at, err := key(r.S3.Object.Key)
		if err != nil || at == "" || r.S3.Bucket.Name == "" {
			return nil, notification.Malformedf("record %d has no bucket or no key", i)
		}
		out = append(out, notification.Record{
			Bucket: r.S3.Bucket.Name, Key: at, Removed: removed, Size: int64(r.S3.Object.Size),
			Time: r.EventTime.Time, ETag: strings.Trim(r.S3.Object.ETag, `"`), Version: r.S3.Object.VersionID,
			Sequencer: r.S3.Object.Sequencer,
		})
	}
	return out, nil
}
