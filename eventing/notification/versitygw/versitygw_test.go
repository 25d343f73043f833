package versitygw_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/notificationtest"
	"github.com/unip-knative/unip/eventing/notification/versitygw"
)

// Bodies as versitygw 1.8.0 has sent them, the key shortened.
const (
	put = `{"Records":[{"eventVersion":"2.2","eventSource":"aws:s3","awsRegion":"us-east-1",` +
		`"eventTime":"2026-11-30T02:02:47Z","eventName":"s3:ObjectCreated:Put","userIdentity":{"PrincipalId":"unip-test"},` +
		`"requestParameters":{"sourceIPAddress":"127.0.0.1"},"responseElements":{"x-amz-request-id":"","x-amz-id-2":""},` +
		`"s3":{"s3SchemaVersion":"1.0","configurationId":"webhook-global","bucket":{"name":"test-4",` +
		`"ownerIdentity":{"PrincipalId":"unip-test"},"arn":"arn:aws:s3:::/test-4/users/a%2Fnn/a+b.csv"},"object":{` +
		`"key":"users/a%2Fnn/a+b.csv","size":1,"eTag":"\"c4ca4238a0b923820dcc509a6f75849b\"","versionId":null,` +
		`"sequencer":"1"}},"glacierEventData":{"restoreEventData":{"lifecycleRestorationExpiryTime":"",` +
		`"lifecycleRestoreStorageClass":""}}}]}`
	begin = `{"Bucket":"Test-Bucket","Event":"s3:TestEvent","Service":"S3","Time":"2026-11-30T02:02:47Z"}`
)

func TestParse(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 30, 2, 2, 47, 0, time.UTC)
	one := func(change func(*notification.Record)) []notification.Record {
		r := notification.Record{Bucket: "test-4", Key: "users/a%2Fnn/a+b.csv", Size: 1,
			ETag: "c4ca4238a0b923820dcc509a6f75849b", Sequencer: "1", Time: at}
		change(&r)
		return []notification.Record{r}
	}
	removed := func(r *notification.Record) { r.Removed = true }
	notificationtest.Parser(versitygw.Parse).Parse(t, map[string]notificationtest.Case{
		"a new file":   {Body: put, Want: one(func(*notification.Record) {})},
		"at the start": {Body: begin},
		"gone": {Body: strings.Replace(put, "ObjectCreated:Put", "ObjectRemoved:Delete", 1),
			Want: one(removed)},
		"gone with others": {Body: strings.Replace(put, "ObjectCreated:Put", "ObjectRemoved:DeleteObjects", 1),
			Want: one(removed)},
		"tags": {Body: strings.Replace(put, "ObjectCreated:Put", "ObjectTagging:Put", 1)},
		"no ETag": {Body: strings.Replace(put, `"\"c4ca4238a0b923820dcc509a6f75849b\""`, "null", 1),
			Want: one(func(r *notification.Record) { r.ETag = "" })},
		"no key":           {Body: strings.Replace(put, `"key":"users/a%2Fnn/a+b.csv"`, `"key":""`, 1), Bad: true},
		"not JSON":         {Body: "nonsense", Bad: true},
		"another server's": {Body: "{}", Bad: true},
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(put))
	f.Add([]byte(begin))
	f.Fuzz(notificationtest.Parser(versitygw.Parse).Bytes)
}

// The key that stands there is the key, whatever a user calls a file.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"users/ann/file_groups/in/a.csv", "a b+c%2F", "ж/🙂", "\x00\n", "%", "+", " "} {
		f.Add("b", s, "s3:ObjectCreated:Put")
		f.Add("b", s, "s3:ObjectRemoved:DeleteObjects")
	}
	f.Fuzz(func(t *testing.T, bucket, key, kind string) {
		if bucket == "" || key == "" || !notificationtest.Texts(bucket, key, kind) {
			return
		}
		body, err := json.Marshal(map[string]any{"Records": []any{map[string]any{"eventName": kind,
			"s3": map[string]any{"bucket": map[string]any{"name": bucket},
				"object": map[string]any{"key": key}}}}})
		if err != nil {
			t.Fatal(err)
		}
		notificationtest.Parser(versitygw.Parse).Key(t, body, bucket, key)
	})
}
