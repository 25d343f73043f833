//go:build integration

package uploads

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/events"
)

// broker remembers what it is given.
type broker struct {
	mu   sync.Mutex
	down bool
	got  chan cloudevents.Event
}

func (b *broker) publish(namespace string, e cloudevents.Event, done func(error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		go done(errors.New("down"))
		return nil
	}
	if namespace == "ns" {
		b.got <- e
	}
	go done(nil)
	return nil
}

type world struct {
	*Receiver
	*broker
	s3     *miniotest.Server
	bucket string
	server *httptest.Server
}

// newWorld is a MinIO that posts to a receiver.
func newWorld(t *testing.T) *world {
	t.Helper()
	w := &world{broker: &broker{got: make(chan cloudevents.Event, 100)}}
	w.Receiver = &Receiver{
		Token:   func() string { return "secret" },
		Publish: w.publish,
		Spool:   func(context.Context) (Spool, error) { return Spool{w.s3.Client, "spool"}, nil },
		Box: func(_ context.Context, bucket string) (string, string, bool, error) {
			return "ns", "userdata", bucket == w.bucket, nil
		},
	}
	w.server = httptest.NewServer(w.Receiver)
	t.Cleanup(w.server.Close)
	w.s3 = miniotest.Start(t, "MINIO_NOTIFY_WEBHOOK_ENABLE_UNIP=on",
		"MINIO_NOTIFY_WEBHOOK_ENDPOINT_UNIP="+w.server.URL+"/v1/minio",
		"MINIO_NOTIFY_WEBHOOK_AUTH_TOKEN_UNIP=Bearer secret")
	w.bucket = w.s3.Bucket(t)
	if err := w.s3.MakeBucket(t.Context(), "spool", minio.MakeBucketOptions{}); err != nil {
		t.Fatal(err)
	}
	return w
}

const arn = "arn:minio:sqs::UNIP:webhook"

func (w *world) next(t *testing.T) cloudevents.Event {
	t.Helper()
	select {
	case e := <-w.got:
		return e
	case <-time.After(20 * time.Second):
		t.Fatal("no event")
		return cloudevents.Event{}
	}
}

func (w *world) spooled(t *testing.T, prefix string) int {
	t.Helper()
	n := 0
	for o := range w.s3.ListObjects(t.Context(), "spool", minio.ListObjectsOptions{Prefix: prefix, Recursive: true}) {
		if o.Err != nil {
			t.Fatal(o.Err)
		}
		n++
	}
	return n
}

func TestAnUploadBecomesAnEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	for range 2 { // the second finds it done
		if err := s3.EnsureNotification(t.Context(), w.s3.Client, w.bucket, arn); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"incoming/a.csv", "in coming/Таблица 1+2%25 $(X).csv"} {
		w.s3.Put(t, w.bucket, "users/a%2Fnn/file_groups/"+file, "1")
		e := w.next(t)
		if e.Type() != events.ObjectCreated || e.Subject() != file || e.Extensions()["user"] != "a/nn" ||
			e.Extensions()["box"] != "userdata" {
			t.Errorf("%v", e)
		}
	}
	w.s3.Put(t, w.bucket, "digits/model.joblib", "1")
	if e := w.next(t); e.Subject() != "digits/model.joblib" || e.Extensions()["user"] != nil {
		t.Errorf("%v", e)
	}
	if err := w.s3.RemoveObject(t.Context(), w.bucket, "digits/model.joblib", minio.RemoveObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	if e := w.next(t); e.Type() != events.ObjectRemoved {
		t.Errorf("%v", e)
	}
}

func TestNotificationsOfOthersStay(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if err := s3.EnsureNotification(t.Context(), w.s3.Client, w.bucket, "arn:minio:sqs::NOBODY:webhook"); err == nil {
		t.Error("a target that the server does not know is accepted")
	}
	if err := s3.EnsureNotification(t.Context(), w.s3.Client, w.bucket, "nonsense"); err == nil {
		t.Error("nonsense is accepted")
	}
}

func TestTheSpoolKeepsWhatTheBrokerDoesNotTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.down = true
	body := `{"Records":[{"eventName":"s3:ObjectCreated:Put","eventTime":"2026-03-01T12:00:00Z","s3":{"bucket":{"name":"` + w.bucket + `"},"object":{"key":"users%2Fann%2Ffile_groups%2Fg%2Ff","eTag":"e","sequencer":"1"}}}]}`
	if code := w.post(t, body, "Bearer secret"); code != http.StatusNoContent {
		t.Fatalf("answer %d", code)
	}
	// A new controller after the first has gone: it knows nothing but the spool.
	other := &Receiver{Token: w.Token, Spool: w.Spool, Box: w.Box, Publish: w.Publish}
	if err := other.sweep(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if n := w.spooled(t, "spool/"); n != 1 {
		t.Errorf("%d in the spool, want 1: the Broker is down", n)
	}
	w.broker.mu.Lock()
	w.down = false
	w.broker.mu.Unlock()
	if err := other.sweep(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	if e := w.next(t); e.Subject() != "g/f" {
		t.Errorf("%v", e)
	}
	if n := w.spooled(t, ""); n != 0 {
		t.Errorf("%d in the spool, want none", n)
	}
}

func (w *world) post(t *testing.T, body, authorization string) int {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, w.server.URL+"/v1/minio",
		strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Authorization", authorization)
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	return res.StatusCode
}

func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	record := `{"Records":[{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":"b"},"object":{"key":"k"}}}]}`
	for _, a := range []string{"", "secret", "Bearer wrong", "Bearer ", "bearer secret"} {
		if code := w.post(t, record, a); code != http.StatusUnauthorized {
			t.Errorf("authorization %q: %d", a, code)
		}
	}
	if n := w.spooled(t, ""); n != 0 {
		t.Errorf("%d spooled without the token", n)
	}
	if code := w.post(t, strings.Repeat("x", 2<<20), "Bearer secret"); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", code)
	}
	if code := w.post(t, "nonsense", "Bearer secret"); code != http.StatusNoContent {
		t.Errorf("nonsense: %d", code)
	}
	if n := w.spooled(t, "rejected/"); n != 1 {
		t.Errorf("%d kept aside, want 1", n)
	}
	if code := w.post(t, `{"Event":"s3:TestEvent"}`, "Bearer secret"); code != http.StatusNoContent {
		t.Errorf("a test event: %d", code)
	}
}
