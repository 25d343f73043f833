package ceph_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/ceph"
	"github.com/unip-knative/unip/eventing/notification/notificationtest"
)

// The body has the form of Ceph's documentation ("Bucket Notifications"), whose size is a text; RGW's
// code writes a number.
const put = `{"Records":[{"eventVersion":"2.2","eventSource":"ceph:s3","awsRegion":"default",` +
	`"eventTime":"2026-03-01T12:00:00.124724Z","eventName":"ObjectCreated:Put","userIdentity":{"principalId":"unip"},` +
	`"requestParameters":{"sourceIPAddress":""},"responseElements":{"x-amz-request-id":"503a4c37.5330.903595",` +
	`"x-amz-id-2":"14d2-zone1-zonegroup1"},"s3":{"s3SchemaVersion":"1.0","configurationId":"unip","bucket":{` +
	`"name":"unip-b","ownerIdentity":{"principalId":"unip"},"arn":"arn:aws:s3:default::unip-b","id":"503a4c37.5332.38"},` +
	`"object":{"key":"users/ann/file_groups/in/а b+c%20.csv","size":"1024","eTag":"37b51d194a7513e45b56f6524f2d51f2",` +
	`"versionId":"","sequencer":"F7E6D75DC742D108","metadata":[],"tags":[]}},"eventId":"","opaqueData":"me@example.com"}]}`

func TestParse(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 124724000, time.UTC)
	one := func(change func(*notification.Record)) []notification.Record {
		r := notification.Record{Bucket: "unip-b", Key: "users/ann/file_groups/in/а b+c%20.csv", Size: 1024,
			ETag: "37b51d194a7513e45b56f6524f2d51f2", Sequencer: "F7E6D75DC742D108", Time: at}
		change(&r)
		return []notification.Record{r}
	}
	same := func(*notification.Record) {}
	notificationtest.Parser(ceph.Parse).Parse(t, map[string]notificationtest.Case{
		"a size that is a text":   {Body: put, Want: one(same)},
		"a size that is a number": {Body: strings.Replace(put, `"1024"`, `1024`, 1), Want: one(same)},
		"a size that is none":     {Body: strings.Replace(put, `"1024"`, `"much"`, 1), Bad: true},
		"a removal": {Body: strings.Replace(put, "ObjectCreated:Put", "ObjectRemoved:Delete", 1),
			Want: one(func(r *notification.Record) { r.Removed = true })},
		"with the prefix of AWS": {Body: strings.Replace(put, "ObjectCreated:Put", "s3:ObjectCreated:Put", 1),
			Want: one(same)},
		"a time with a blank": {Body: strings.Replace(put, "2026-03-01T12", "2026-03-01 12", 1), Want: one(same)},
		"a time with a zone":  {Body: strings.Replace(put, "124724Z", "124724+0000", 1), Want: one(same)},
		"a time that is none": {Body: strings.Replace(put, "2026-03-01T", "yesterday ", 1),
			Want: one(func(r *notification.Record) { r.Time = time.Time{} })},
		"a lifecycle":    {Body: strings.Replace(put, "ObjectCreated:Put", "ObjectLifecycle:Expiration:Current", 1)},
		"another zone":   {Body: strings.Replace(put, "ObjectCreated:Put", "ObjectSynced:Create", 1)},
		"no key":         {Body: strings.Replace(put, `"key"`, `"kei"`, 1), Bad: true},
		"not JSON":       {Body: "nonsense", Bad: true},
		"no Records":     {Body: "{}", Bad: true},
		"another type":   {Body: `{"Records":{"eventName":"ObjectCreated:Put"}}`, Bad: true},
		"a size of null": {Body: strings.Replace(put, `"1024"`, `null`, 1), Want: one(func(r *notification.Record) { r.Size = 0 })},
	})
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(put))
	f.Fuzz(notificationtest.Parser(ceph.Parse).Bytes)
}

// The key that stands there is the key, whatever a user calls a file.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"users/ann/file_groups/in/a.csv", "a b+c%2F", "ж/🙂", "\x00\n", "%", "+", " "} {
		f.Add("b", s, "ObjectCreated:Put")
	}
	f.Fuzz(func(t *testing.T, bucket, key, kind string) {
		if bucket == "" || key == "" || !notificationtest.Texts(bucket, key, kind) {
			return
		}
		body, err := json.Marshal(map[string]any{"Records": []any{map[string]any{"eventName": kind,
			"s3": map[string]any{"bucket": map[string]any{"name": bucket},
				"object": map[string]any{"key": key, "size": "7"}}}}})
		if err != nil {
			t.Fatal(err)
		}
		notificationtest.Parser(ceph.Parse).Key(t, body, bucket, key)
	})
}
