// Package aws reads the notifications of Amazon S3, in each of the forms in which they reach an HTTP
// endpoint: S3's Records alone, Records in the envelope of an SNS topic, and events of EventBridge,
// which an API destination posts.
package aws

import (
	"encoding/json"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/internal/records"
)

// forms are the fields by which the forms are told from each other.
type forms struct {
	// of SNS
	Type         string `json:"Type"`
	TopicARN     string `json:"TopicArn"`
	Message      string `json:"Message"`
	SubscribeURL string `json:"SubscribeURL"`
	// of EventBridge
	DetailType string    `json:"detail-type"`
	Source     string    `json:"source"`
	Time       time.Time `json:"time"`
	Detail     struct {
		Bucket struct {
			Name string `json:"name"`
		} `json:"bucket"`
		Object struct {
			Key       string `json:"key"`
			Size      int64  `json:"size"`
			ETag      string `json:"etag"`
			VersionID string `json:"version-id"`
			Sequencer string `json:"sequencer"`
		} `json:"object"`
	} `json:"detail"`
}

// Types of SNS's messages.
const (
	notified    = "Notification"
	subscribed  = "SubscriptionConfirmation"
	unsubscribe = "UnsubscribeConfirmation"
)

// eventBridge is who sends S3's events over EventBridge.
const eventBridge = "aws.s3"

// Parse reads a notification. Test events, what SNS tells of subscriptions, and events other than
// creation and removal give no record. The error is notification.ErrMalformed.
func Parse(b []byte) ([]notification.Record, error) {
	if len(b) > notification.MaxBody {
		return nil, notification.Malformedf("larger than %d bytes", notification.MaxBody)
	}
	var x forms
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, fmt.Errorf("%w: %w", notification.ErrMalformed, err)
	}
	switch {
	case x.Type == notified:
		return plain([]byte(x.Message))
	case x.Type == subscribed, x.Type == unsubscribe:
		return nil, nil
	case x.Source == eventBridge:
		return x.bridged()
	}
	return plain(b)
}

// plain reads Records, whose keys are encoded as in a URL's query.
func plain(b []byte) ([]notification.Record, error) {
	return records.Parse(b, url.QueryUnescape)
}

// bridged reads an event of EventBridge, whose key is not encoded.
func (x forms) bridged() ([]notification.Record, error) {
	removed := x.DetailType == "Object Deleted"
	if !removed && x.DetailType != "Object Created" {
		return nil, nil
	}
	at, o := x.Detail.Bucket.Name, x.Detail.Object
	if at == "" || o.Key == "" {
		return nil, notification.Malformedf("the event has no bucket or no key")
	}
	return []notification.Record{{
		Bucket: at, Key: o.Key, Removed: removed, Size: o.Size, Time: x.Time, ETag: o.ETag, Version: o.VersionID,
		Sequencer: o.Sequencer,
	}}, nil
}

// Subscription is what SNS asks before it sends anything: whether the endpoint wants a topic's
// messages. Nothing but the body says so, and whoever has the token can write one.
type Subscription struct {
	TopicARN string
	// URL is where a GET confirms it: always https at a host of SNS.
	URL string
}

// ReadSubscription reads such a question; ok is false for every other body, and for one whose URL
// leads anywhere but to SNS.
func ReadSubscription(b []byte) (s Subscription, ok bool) {
	var x forms
	if len(b) > notification.MaxBody || json.Unmarshal(b, &x) != nil || x.Type != subscribed {
		return s, false
	}
	u, err := url.Parse(x.SubscribeURL)
	if err != nil || !isSNS(u) {
		return s, false
	}
	return Subscription{TopicARN: x.TopicARN, URL: u.String()}, true
}

// isSNS reports a URL of SNS: sns.<region>.amazonaws.com, in China with .cn behind it.
func isSNS(u *url.URL) bool {
	region, isSNS := strings.CutPrefix(u.Host, "sns.") // u.Host: with a port it is none of theirs
	region, global := strings.CutSuffix(region, ".amazonaws.com")
	if !global {
		region, global = strings.CutSuffix(region, ".amazonaws.com.cn")
	}
	ofRegion := region != "" && strings.Trim(region, "abcdefghijklmnopqrstuvwxyz0123456789-") == ""
	return u.Scheme == "https" && u.User == nil && u.Opaque == "" && isSNS && global && ofRegion
}
