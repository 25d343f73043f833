package aws_test

import (
	"encoding/json"
	"net/url"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/aws"
	"github.com/unip-knative/unip/eventing/notification/notificationtest"
)

// The bodies have the form of Amazon's documentation: event message structure 2.2 of S3, HTTP message
// formats of SNS, event message structure of S3 for EventBridge.
const (
	put = `{"Records":[{"eventVersion":"2.2","eventSource":"aws:s3","awsRegion":"eu-central-1",` +
		`"eventTime":"2026-03-01T12:00:00.123Z","eventName":"ObjectCreated:Put","userIdentity":{"principalId":"AWS:AIDA"},` +
		`"requestParameters":{"sourceIPAddress":"192.0.2.7"},"responseElements":{"x-amz-request-id":"C3D","x-amz-id-2":"F"},` +
		`"s3":{"s3SchemaVersion":"1.0","configurationId":"unip","bucket":{"name":"unip-b",` +
		`"ownerIdentity":{"principalId":"A3N"},"arn":"arn:aws:s3:::unip-b"},"object":{"key":"users/ann/file_groups/` +
		`in/%D0%B0+b%2Bc.csv","size":1024,"eTag":"d41d8cd98f00b204e9800998ecf8427e","versionId":"096fKK","sequencer":"0055AED6DCD90281E5"}}}]}`
	removed = `{"Records":[{"eventVersion":"2.1","eventTime":"2026-03-01T12:00:00.123Z","eventName":` +
		`"ObjectRemoved:DeleteMarkerCreated","s3":{"bucket":{"name":"unip-b"},"object":{"key":"a","eTag":"e",` +
		`"versionId":"v","sequencer":"17"}}},{"eventName":"ObjectRestore:Post","s3":{}}]}`
	bridge = `{"version":"0","id":"17793124-05d4-b198-2fde-7ededc63b103","detail-type":"Object Created","source":"aws.s3",` +
		`"account":"111122223333","time":"2026-03-01T12:00:00Z","region":"ca-central-1","resources":["arn:aws:s3:::unip-b"],` +
		`"detail":{"version":"0","bucket":{"name":"unip-b"},"object":{"key":"in/а b+c%20.csv","size":5,` +
		`"etag":"b1946ac92492d2347c6235b4d2611184","version-id":"IYV","sequencer":"617f08299329d189"},` +
		`"request-id":"N4N","requester":"123456789012","source-ip-address":"192.0.2.7","reason":"PutObject"}}`
)

// sns is a message of SNS of a type.
func sns(kind, message, subscribe string) string {
	b, err := json.Marshal(map[string]string{
		"Type": kind, "MessageId": "22b80b92-fdea-4c2c-8f9d-bdfb0c7bf324",
		"TopicArn": "arn:aws:sns:eu-central-1:123456789012:unip", "Subject": "Amazon S3 Notification",
		"Message": message, "Timestamp": "2026-03-01T12:00:01.000Z", "SignatureVersion": "1", "Signature": "EXAMPLE",
		"SigningCertURL": "https://sns.eu-central-1.amazonaws.com/SimpleNotificationService-f3ecfb7224c7233fe7bb5f59f96de52f.pem",
		"SubscribeURL":   subscribe, "Token": "2336412f37",
	})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func TestParse(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	one := []notification.Record{{Bucket: "unip-b", Key: "users/ann/file_groups/in/а b+c.csv", Size: 1024,
		ETag: "d41d8cd98f00b204e9800998ecf8427e", Version: "096fKK", Sequencer: "0055AED6DCD90281E5",
		Time: at.Add(123 * time.Millisecond)}}
	bridged := notification.Record{Bucket: "unip-b", Key: "in/а b+c%20.csv", Size: 5,
		ETag: "b1946ac92492d2347c6235b4d2611184", Version: "IYV", Sequencer: "617f08299329d189", Time: at}
	gone := bridged
	gone.Removed = true
	notificationtest.Parser(aws.Parse).Parse(t, map[string]notificationtest.Case{
		"Records":           {Body: put, Want: one},
		"SNS":               {Body: sns("Notification", put, ""), Want: one},
		"a test over SNS":   {Body: sns("Notification", `{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}`, "")},
		"another's topic":   {Body: sns("Notification", "good morning", ""), Bad: true},
		"a subscription":    {Body: sns("SubscriptionConfirmation", "You have chosen …", "https://sns.eu-central-1.amazonaws.com/?a")},
		"an unsubscription": {Body: sns("UnsubscribeConfirmation", "You have chosen …", "")},
		"a removal": {Body: removed, Want: []notification.Record{{Bucket: "unip-b", Key: "a", Removed: true, ETag: "e",
			Version: "v", Sequencer: "17", Time: at.Add(123 * time.Millisecond)}}},
		"EventBridge": {Body: bridge, Want: []notification.Record{bridged}},
		"EventBridge, a removal": {Body: strings.ReplaceAll(bridge, "Object Created", "Object Deleted"),
			Want: []notification.Record{gone}},
		"EventBridge, something else": {Body: strings.ReplaceAll(bridge, "Object Created", "Object Tags Added")},
		"EventBridge, no key":         {Body: strings.ReplaceAll(bridge, `"key"`, `"kei"`), Bad: true},
		"another source":              {Body: strings.ReplaceAll(bridge, "aws.s3", "aws.ec2"), Bad: true},
		"not JSON":                    {Body: "nonsense", Bad: true},
		"empty":                       {Bad: true},
		"null":                        {Body: "null", Bad: true},
		"a list":                      {Body: "[]", Bad: true},
	})
}

// A subscription is confirmed at SNS and nowhere else: the URL is the claim of whoever posts.
func TestReadSubscription(t *testing.T) {
	t.Parallel()
	const good = "https://sns.eu-central-1.amazonaws.com/?Action=ConfirmSubscription&Token=2336"
	got, ok := aws.ReadSubscription([]byte(sns("SubscriptionConfirmation", "", good)))
	want := aws.Subscription{TopicARN: "arn:aws:sns:eu-central-1:123456789012:unip", URL: good}
	if !ok || got != want {
		t.Errorf("%+v, %v", got, ok)
	}
	if _, ok := aws.ReadSubscription([]byte(sns("SubscriptionConfirmation", "",
		"https://sns.cn-north-1.amazonaws.com.cn/?a"))); !ok {
		t.Error("a region of China is refused")
	}
	for _, u := range []string{
		"http://sns.eu-central-1.amazonaws.com/?a", "https://sns.eu-central-1.amazonaws.com.evil.example/?a",
		"https://evil.example/sns.eu-central-1.amazonaws.com", "https://sns.eu-central-1.amazonaws.com@evil.example/",
		"https://user:p@sns.eu-central-1.amazonaws.com/", "https://sns.eu-central-1.amazonaws.com:8443/",
		"https://s3.eu-central-1.amazonaws.com/", "https://sns.amazonaws.com/", "https://sns..amazonaws.com/",
		"https://sns.a.b.amazonaws.com/", "https://sns.evil-bucket.s3.amazonaws.com/", "https:sns.eu-central-1.amazonaws.com",
		"https://SNS.eu-central-1.amazonaws.com/", "https://169.254.169.254/", "//sns.eu-central-1.amazonaws.com/",
		"https://sns.eu-central-1.amazonaws.com\\@evil.example/", "", "file:///etc/passwd",
	} {
		if got, ok := aws.ReadSubscription([]byte(sns("SubscriptionConfirmation", "", u))); ok {
			t.Errorf("%q: %+v", u, got)
		}
	}
	if _, ok := aws.ReadSubscription([]byte(sns("Notification", "", good))); ok {
		t.Error("a notification is taken for a subscription")
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{put, removed, bridge, sns("Notification", put, ""),
		sns("SubscriptionConfirmation", "", "https://sns.eu-central-1.amazonaws.com/?a")} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		notificationtest.Parser(aws.Parse).Bytes(t, b)
		if s, ok := aws.ReadSubscription(b); ok {
			u, err := url.Parse(s.URL)
			if err != nil || u.Scheme != "https" || !strings.HasPrefix(u.Hostname(), "sns.") ||
				!strings.HasSuffix(strings.TrimSuffix(u.Hostname(), ".cn"), ".amazonaws.com") {
				t.Errorf("%+v", s)
			}
		}
	})
}

// A key is the same by each way, whatever a user calls a file.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"users/ann/file_groups/in/a.csv", "a b+c%2F", "ж/🙂", "\x00\n", "%", "+", " ", "\xff"} {
		f.Add("b", s, "ObjectCreated:Put")
	}
	f.Fuzz(func(t *testing.T, bucket, key, kind string) {
		if bucket == "" || key == "" || !utf8.ValidString(bucket) || !utf8.ValidString(kind) {
			return
		}
		object := map[string]any{"bucket": map[string]any{"name": bucket},
			"object": map[string]any{"key": url.QueryEscape(key)}}
		body, err := json.Marshal(map[string]any{"Records": []any{map[string]any{"eventName": kind, "s3": object}}})
		if err != nil {
			t.Fatal(err)
		}
		notificationtest.Parser(aws.Parse).Key(t, body, bucket, key)
		notificationtest.Parser(aws.Parse).Key(t, []byte(sns("Notification", string(body), "")), bucket, key)
		if !utf8.ValidString(key) {
			return
		}
		object["object"] = map[string]any{"key": key}
		if body, err = json.Marshal(map[string]any{"source": "aws.s3", "detail-type": "Object Created",
			"detail": object}); err != nil {
			t.Fatal(err)
		}
		notificationtest.Parser(aws.Parse).Key(t, body, bucket, key)
	})
}
