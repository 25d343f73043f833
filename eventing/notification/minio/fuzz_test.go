package minio_test

import (
	"encoding/json"
	"net/url"
	"testing"
	"unicode/utf8"

	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/minio"
)

// The key that S3 encodes is the key that is read, whatever a user calls a file.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"users/ann/file_groups/in/a.csv", "a b+c%2F", "ж/🙂", "\x00\n", "%", "+", " ", "\xff"} {
		f.Add("b", s, "ObjectCreated:Put")
		f.Add("b", s, "s3:ObjectRemoved:Delete")
	}
	f.Fuzz(func(t *testing.T, bucket, key, kind string) {
		if bucket == "" || key == "" || !utf8.ValidString(bucket) || !utf8.ValidString(kind) {
			return
		}
		body, err := json.Marshal(map[string]any{"Records": []any{map[string]any{"eventName": kind,
			"s3": map[string]any{
				"bucket": map[string]any{"name": bucket}, "object": map[string]any{"key": url.QueryEscape(key)},
			}}}})
		if err != nil {
			t.Fatal(err)
		}
		records, err := minio.Parse(body)
		switch {
		case len(body) > notification.MaxBody:
		case err != nil || len(records) > 1:
			t.Errorf("%s: %v, %v", body, records, err)
		case len(records) == 1 && (records[0].Key != key || records[0].Bucket != bucket):
			t.Errorf("%q in %q is read as %+v", key, bucket, records[0])
		}
	})
}
