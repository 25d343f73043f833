package minio_test

import (
	"errors"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/minio"
)

func TestParse(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		body string
		want []notification.Record
		bad  bool
	}{
		"MinIO": {
			`{"EventName":"s3:ObjectCreated:Put","Key":"b/users/a","Records":[{"eventName":"s3:ObjectCreated:Put","eventTime":"2026-03-01T12:00:00Z","s3":{"bucket":{"name":"b"},` +
				`"object":{"key":"users%2Fann%2Ffile_groups%2F%D0%B0+b%2Bc%25.csv","size":3,"eTag":"e","sequencer":"17"}}}]}`,
			[]notification.Record{{Bucket: "b", Key: "users/ann/file_groups/а b+c%.csv", ETag: "e", Size: 3,
				Sequencer: "17", Time: at}}, false,
		},
		"AWS, two of three count": {
			`{"Records":[{"eventName":"ObjectRemoved:Delete","eventTime":"2026-03-01T12:00:00Z","s3":{"bucket":{"name":"b"},"object":{"key":"x/y","versionId":"v"}}},` +
				`{"eventName":"ReducedRedundancyLostObject"},{"eventName":"ObjectCreated:CompleteMultipartUpload","eventTime":"2026-03-01T12:00:00Z","s3":{"bucket":{"name":"b"},"object":{"key":"z"}}}]}`,
			[]notification.Record{{Bucket: "b", Key: "x/y", Removed: true, Version: "v", Time: at},
				{Bucket: "b", Key: "z", Time: at}}, false,
		},
		"a test":       {`{"Service":"Amazon S3","Event":"s3:TestEvent","Bucket":"b"}`, nil, false},
		"no record":    {`{"Records":[]}`, nil, false},
		"not JSON":     {`nonsense`, nil, true},
		"empty":        {``, nil, true},
		"another JSON": {`{"a":1}`, nil, true},
		"no key": {
			`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":""}}}]}`, nil,
			true},
		"bad encoding": {
			`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"%zz"}}}]}`, nil,
			true},
		"wrong types": {`{"Records":[{"eventName":1}]}`, nil, true},
		"a size of -1": {
			`{"Records":[{"eventName":"ObjectCreated:Put","eventTime":"2026-03-01T12:00:00Z","s3":{"bucket":{"name":"b"},"object":{"key":"k","size":-1}}}]}`, []notification.Record{{Bucket: "b", Key: "k", Size: -1, Time: at}}, false},
		"Records: null": {`{"Records":null}`, nil, true},
	} {
		got, err := minio.Parse([]byte(c.body))
		if (err != nil) != c.bad || (err != nil && !errors.Is(err, notification.ErrMalformed)) {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(
		`{"Records":[{"eventName":"ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"a%2Fb"}}}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		records, err := minio.Parse(b)
		if err != nil && !errors.Is(err, notification.ErrMalformed) {
			t.Error(err)
		}
		for _, r := range records {
			if r.Bucket == "" || r.Key == "" {
				t.Errorf("%+v", r)
			}
		}
	})
}
