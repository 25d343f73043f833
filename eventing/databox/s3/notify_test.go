package s3_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/unip-knative/unip/eventing/databox/s3"
)

// configured is a server's side of a bucket's notifications: what it has, and what it is given.
type configured struct{ has, given string }

func (c *configured) RoundTrip(r *http.Request) (*http.Response, error) {
	answer := c.has
	if r.Method == http.MethodPut {
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		c.given, answer = string(b), ""
	}
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Request: r,
		Body: io.NopCloser(strings.NewReader(answer))}, nil
}

const (
	xmlOfOthers = `<QueueConfiguration><Id>theirs</Id><Queue>arn:aws:sqs:eu-central-1:1:q</Queue>` +
		`<Event>s3:ObjectRemoved:*</Event></QueueConfiguration>`
	topic     = "arn:aws:sns:default::unip"
	topicFull = `<TopicConfiguration><Id>unip</Id><Topic>` + topic + `</Topic><Event>s3:ObjectCreated:*</Event>` +
		`<Event>s3:ObjectRemoved:*</Event>`
)

// A topic, as AWS and Ceph have them, is told of all changes in the form of a topic; what others have
// set stays. The form is Amazon's (PutBucketNotificationConfiguration), which Ceph documents as its own.
func TestATopicIsTold(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		has  string
		told bool
	}{
		"nothing":         {"", false},
		"others":          {xmlOfOthers, false},
		"ours":            {xmlOfOthers + topicFull + `</TopicConfiguration>`, true},
		"an empty filter": {topicFull + `<Filter><S3Key></S3Key></Filter></TopicConfiguration>`, true},
		"a part of the keys": {topicFull + `<Filter><S3Key><FilterRule><Name>prefix</Name><Value>in/</Value></FilterRule>` +
			`</S3Key></Filter></TopicConfiguration>`, false},
		"a part of the changes": {strings.Replace(topicFull, "<Event>s3:ObjectRemoved:*</Event>", "", 1) +
			`</TopicConfiguration>`, false},
		"another topic": {strings.NewReplacer(topic, topic+"2", "unip</Id>", "theirs</Id>").Replace(topicFull) +
			`</TopicConfiguration>`, false},
	} {
		server := &configured{has: `<NotificationConfiguration>` + c.has + `</NotificationConfiguration>`}
		client, err := minio.New("s3.example.org", &minio.Options{Creds: credentials.NewStaticV4("a", "s", ""),
			Region: "default", BucketLookup: minio.BucketLookupPath, Transport: server})
		if err != nil {
			t.Fatal(err)
		}
		if told, err := s3.HasNotification(t.Context(), client, "bucket", topic); err != nil || told != c.told {
			t.Errorf("%s: told %v, %v", name, told, err)
		}
		written, err := s3.EnsureNotification(t.Context(), client, "bucket", topic)
		if err != nil || written == c.told {
			t.Errorf("%s: written %v, %v", name, written, err)
		}
		if c.told {
			continue
		}
		_, ours, _ := strings.Cut(server.given, "<TopicConfiguration><Id>unip</Id>")
		ours, _, _ = strings.Cut(ours, "</TopicConfiguration>")
		for _, want := range []string{"<Topic>" + topic + "</Topic>",
			"<Event>s3:ObjectCreated:*</Event><Event>s3:ObjectRemoved:*</Event>"} {
			if !strings.Contains(ours, want) || strings.Contains(ours, "Filter") {
				t.Errorf("%s: the server is given %s", name, server.given)
			}
		}
		if kept := strings.Contains(server.given, "<Id>theirs</Id>"); kept != strings.Contains(c.has, "theirs") {
			t.Errorf("%s: what others have set is gone: %s", name, server.given)
		}
	}
}
