//go:build integration

package uploads

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/run"
)

// broker is the module's Broker and what is behind it: it remembers the events that it takes, and
// has each start what it should.
type broker struct {
	mu     sync.Mutex
	down   bool // it takes nothing
	loses  bool // it takes everything, and hands on nothing
	broken bool // nothing can be started
	got    chan cloudevents.Event
	// started says when; asked counts the starts that the controller has made itself.
	started map[starts.File]time.Time
	asked   int
}

func (b *broker) give(namespace string, e cloudevents.Event, done func(error)) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.down {
		go done(errors.New("down"))
		return nil
	}
	if namespace == "ns" {
		b.got <- e
	}
	if !b.loses {
		user, _ := e.Extensions()["user"].(string)
		b.started[starts.File{Namespace: namespace, Box: "userdata", User: user, Path: e.Subject()}] = time.Now()
	}
	go done(nil)
	return nil
}

func (b *broker) hasStarted(_ context.Context, f starts.File, told time.Time) (bool, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	at, ok := b.started[f]
	return ok && !at.Before(told), nil
}

func (b *broker) startIt(_ context.Context, f starts.File) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.asked++
	if b.broken || f.Path == "never" {
		return errors.New("not now")
	}
	b.started[f] = time.Now()
	return nil
}

func (b *broker) set(f func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	f()
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
	w := &world{broker: &broker{got: make(chan cloudevents.Event, 100), started: map[starts.File]time.Time{}}}
	w.Receiver = w.receiver(t, time.Hour)
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

// receiver is a replica, which knows nothing of others but what lies in the inbox.
func (w *world) receiver(t *testing.T, grace time.Duration) *Receiver {
	t.Helper()
	r := &Receiver{
		Token:   func() string { return "secret" },
		Publish: w.give, Started: w.hasStarted, Start: w.startIt, Grace: func() time.Duration { return grace },
		Delivered: func(string) bool { return true },
		Inbox:     func(context.Context) (Inbox, error) { return Inbox{Client: w.s3.Client, Bucket: "spool"}, nil },
		Box: func(_ context.Context, bucket string) (string, string, bool, error) {
			return "ns", "userdata", bucket == w.bucket, nil
		},
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- r.Deliver(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return r
}

// told is a notification of a file of ann.
func (w *world) told(file string) string {
	return `{"Records":[{"eventName":"s3:ObjectCreated:Put","eventTime":"2026-03-01T12:00:00Z","s3":{"bucket":{"name":"` +
		w.bucket + `"},"object":{"key":"users%2Fann%2Ffile_groups%2F` + url.QueryEscape(file) +
		`","eTag":"e","sequencer":"1"}}}]}`
}

// eventually polls until check is content.
func eventually(t *testing.T, what string, check func() bool) {
	t.Helper()
	for end := time.Now().Add(20 * time.Second); !check(); time.Sleep(10 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatal(what)
		}
	}
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

func (w *world) waiting(t *testing.T, prefix string) int {
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
	for i := range 2 { // the second finds it done
		if written, err := s3.EnsureNotification(t.Context(), w.s3.Client, w.bucket, arn); err != nil ||
			written != (i == 0) {
			t.Fatal(written, err)
		}
		if told, err := s3.HasNotification(t.Context(), w.s3.Client, w.bucket, arn); err != nil || !told {
			t.Fatal(told, err)
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
	const nobody = "arn:minio:sqs::NOBODY:webhook"
	if _, err := s3.EnsureNotification(t.Context(), w.s3.Client, w.bucket, nobody); err == nil {
		t.Error("a target that the server does not know is accepted")
	}
	if _, err := s3.EnsureNotification(t.Context(), w.s3.Client, w.bucket, "nonsense"); err == nil {
		t.Error("nonsense is accepted")
	}
}

func TestTheInboxKeepsWhatTheBrokerDoesNotTake(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(func() { w.down = true })
	if code := w.post(t, w.told("g/f"), "Bearer secret"); code != http.StatusNoContent {
		t.Fatalf("answer %d", code)
	}
	// A new controller after the first has gone: it knows nothing but the inbox.
	other := w.receiver(t, time.Hour)
	if more, err := other.drain(t.Context(), 0); err != nil || more {
		t.Fatal(more, err)
	}
	if n := w.waiting(t, "spool/"); n != 1 {
		t.Errorf("%d in the inbox, want 1: the Broker is down", n)
	}
	w.set(func() { w.down = false })
	if e := w.next(t); e.Subject() != "g/f" {
		t.Errorf("%v", e)
	}
	eventually(t, "an entry stays in the inbox whose event was taken and has started a run",
		func() bool { return w.waiting(t, "") == 0 })
	if w.asked != 0 {
		t.Errorf("%d starts without their event", w.asked)
	}
}

// A Broker that has taken an event may lose it all the same. The entry lives until the start is
// made, by the controller itself when the grace period is over, and however often that fails.
func TestTheInboxKeepsWhatTheBrokerLoses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(func() { w.loses, w.broken = true, true })
	w.Receiver.Grace = func() time.Duration { return time.Millisecond }
	w.post(t, w.told("g/f"), "Bearer secret")
	w.next(t)
	eventually(t, "nobody has tried to start it twice", func() bool {
		var n int
		w.set(func() { n = w.asked })
		return n >= 2
	})
	if n := w.waiting(t, "spool/"); n != 1 {
		t.Fatalf("%d in the inbox, want 1: nothing has started", n)
	}
	w.set(func() { w.broken = false })
	eventually(t, "the entry stays", func() bool { return w.waiting(t, "") == 0 })
	if _, ok := w.started[starts.File{Namespace: "ns", Box: "userdata", User: "ann", Path: "g/f"}]; !ok {
		t.Errorf("started: %v", w.started)
	}
}

// Before the grace period is over nothing is started by the way, and the entry waits for its event.
func TestAnEntryWaitsForItsEvent(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(func() { w.loses = true })
	w.post(t, w.told("g/f"), "Bearer secret")
	w.next(t)
	f := starts.File{Namespace: "ns", Box: "userdata", User: "ann", Path: "g/f"}
	w.set(func() { w.started[f] = time.Now() }) // another replica had it
	eventually(t, "what has started stays in the inbox", func() bool { return w.waiting(t, "spool/") == 0 })
	asked := func() (n int) {
		w.set(func() { n = w.asked })
		return n
	}
	if n := asked(); n != 0 {
		t.Errorf("%d starts of what had started", n)
	}
	began := time.Now()
	w.post(t, w.told("g/g"), "Bearer secret")
	w.next(t)
	if n := asked(); n != 0 && time.Since(began) < run.GraceTaken {
		t.Errorf("%d starts before the event had its time", n)
	}
	eventually(t, "it does not start without its event", func() bool { return asked() == 1 })
}

// A Broker that stores events delivers them later: that it has taken one does not mean that the event
// has come. The whole grace period is the event's.
func TestAStoredEventHasItsGracePeriod(t *testing.T) {
	t.Parallel()
	const grace = 30 * time.Second
	told := time.Now()
	f := starts.File{Namespace: "ns", Box: "userdata", User: "ann", Path: "g/f"}
	for delivered, want := range map[bool]time.Duration{true: run.GraceTaken, false: grace} {
		b := &broker{started: map[starts.File]time.Time{}}
		r := &Receiver{Started: b.hasStarted, Start: b.startIt, Grace: func() time.Duration { return grace },
			Delivered: func(string) bool { return delivered }}
		again, err := r.start(t.Context(), f, &entry{told: told}, &news{}, told)
		if err != nil || !again.Equal(told.Add(want)) || b.asked != 0 {
			t.Errorf("delivered %v: it looks again after %s and was started %d times; want %s and none: %v", delivered,
				again.Sub(told), b.asked, want, err)
		}
	}
}

// What cannot be read, and a module that nothing can be started in, hold back nobody else. What an
// earlier release has left is understood.
func TestNothingHoldsBackOthers(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.set(func() { w.loses = true })
	w.s3.Put(t, "spool", "spool/20260101T000000.000000000-A.minio.json", "nonsense")
	w.s3.Put(t, "spool", "spool/20260101T000000.000000000-B.unknown.json", w.told("g/f"))
	for i := range 300 {
		w.s3.Put(t, "spool", fmt.Sprintf("spool/20260101T000001.%09d-C.stuck.minio.json", i), w.told("never"))
	}
	w.s3.Put(t, "spool", "spool/20260301T120000.000000000-D.json", w.told("in/of-before.csv"))
	w.s3.Put(t, "spool", "spool/20260301T120000.000000000-E.other.minio.json", w.told("in/new.csv"))
	go func() {
		for range w.got { // nobody looks at these
		}
	}()
	other := w.receiver(t, time.Millisecond)
	if _, err := other.drain(t.Context(), 0); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"in/of-before.csv", "in/new.csv"} {
		eventually(t, file+" has not started", func() bool {
			ok, err := w.hasStarted(t.Context(), starts.File{Namespace: "ns", Box: "userdata", User: "ann", Path: file},
				time.Time{})
			return ok && err == nil
		})
	}
	eventually(t, "only what is stuck stays", func() bool { return w.waiting(t, "spool/") == 302 })
}

// Nobody need answer for a notification to be taken: neither the Broker nor whoever knows the boxes.
func TestReceivingNeedsNobody(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	away := errors.New("the API server is away")
	w.Receiver.Box = func(context.Context, string) (string, string, bool, error) { return "", "", false, away }
	if code := w.post(t, w.told("g/f"), "Bearer secret"); code != http.StatusNoContent {
		t.Errorf("answer %d", code)
	}
	if n := w.waiting(t, "spool/"); n != 1 {
		t.Errorf("%d in the inbox, want 1", n)
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
	if n := w.waiting(t, ""); n != 0 {
		t.Errorf("%d taken without the token", n)
	}
	if code := w.post(t, strings.Repeat("x", 2<<20), "Bearer secret"); code != http.StatusRequestEntityTooLarge {
		t.Errorf("a large body: %d", code)
	}
	if code := w.post(t, "nonsense", "Bearer secret"); code != http.StatusNoContent {
		t.Errorf("nonsense: %d", code)
	}
	if n := w.waiting(t, "rejected/"); n != 1 {
		t.Errorf("%d kept aside, want 1", n)
	}
	if code := w.post(t, `{"Event":"s3:TestEvent"}`, "Bearer secret"); code != http.StatusNoContent {
		t.Errorf("a test event: %d", code)
	}
}
