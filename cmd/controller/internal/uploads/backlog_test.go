//go:build integration

package uploads

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/cluster"

	"github.com/unip-knative/unip/cmd/controller/internal/controllertest"
	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/events"
)

// backlog is an inbox with n uploads of a module that came while the controller was away, on a real
// API server and a real S3 server.
type backlog struct {
	Receiver
	api client.Client
	s3  *miniotest.Server
}

func newBacklog(t testing.TB, n int) *backlog {
	t.Helper()
	cfg, api, server, src := controllertest.Servers(t)
	bucket := controllertest.Box(t, api, server, "userdata")
	ns := &corev1.Namespace{}
	controllertest.Must(t, api.Get(t.Context(), client.ObjectKey{Name: "default"}, ns))
	controllertest.Claim(t, server, databox.UsualBuckets.Runs("default"), databox.RunsBox, ns)
	p := controllertest.OneStage("train", "table", "model")
	p.Namespace, p.Spec.OnUpload = "default", []runtimev1.UploadRule{{Box: "userdata", Prefix: "in/", Input: "table"}}
	controllertest.Must(t, api.Create(t.Context(), p))
	controllertest.Must(t, server.MakeBucket(t.Context(), "inbox", minio.MakeBucketOptions{}))
	parallel(n, func(i int) {
		key := fmt.Sprintf("users/ann/file_groups/in/%d.csv", i)
		server.Put(t, bucket, key, "x")
		server.PutAt(t, "inbox", fmt.Sprintf("spool/20260101T000000.%09d-A.%s.minio.json", i, bucket), fmt.Sprintf(
			`{"Records":[{"eventName":"s3:ObjectCreated:Put","s3":{"bucket":{"name":%q},"object":{"key":%q}}}]}`,
			bucket, url.QueryEscape(key)), time.Now().Add(-time.Hour), nil)
	})
	cached, err := cluster.New(cfg, func(o *cluster.Options) { o.Scheme = api.Scheme() })
	controllertest.Must(t, err)
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan error)
	go func() { ended <- cached.Start(ctx) }()
	t.Cleanup(func() {
		stop()
		controllertest.Must(t, <-ended)
	})
	maker := &starts.Maker{Client: cached.GetClient(), Live: api, Runs: api, Settings: src,
		Transport: http.DefaultTransport}
	return &backlog{api: api, s3: server, Receiver: Receiver{
		Inbox: func(context.Context) (Inbox, error) { return Inbox{Client: server.Client, Bucket: "inbox"}, nil },
		Box: func(_ context.Context, b string) (string, string, bool, error) {
			return "default", "userdata", b == bucket, nil
		},
		Started: maker.Started, Start: maker.Told, Grace: func() time.Duration { return 30 * time.Second },
		Delivered: func(string) bool { return true },
	}}
}

func parallel(n int, do func(int)) {
	var all sync.WaitGroup
	for part := range 16 {
		all.Go(func() {
			for i := part; i < n; i += 16 {
				do(i)
			}
		})
	}
	all.Wait()
}

// work drains until there are so many runs.
func (b *backlog) work(t testing.TB, n int) {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	var all sync.WaitGroup
	for _, part := range []func(context.Context) error{b.Deliver, b.Drain} {
		all.Go(func() { controllertest.Must(t, part(ctx)) })
	}
	defer all.Wait()
	defer stop()
	peak := uint64(0)
	for end := time.Now().Add(20 * time.Minute); ; time.Sleep(200 * time.Millisecond) {
		var l runtimev1.PipelineRunList
		controllertest.Must(t, b.api.List(ctx, &l, client.InNamespace("default"), client.Limit(1)))
		have := len(l.Items)
		if l.RemainingItemCount != nil {
			have += int(*l.RemainingItemCount)
		}
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		peak = max(peak, m.HeapInuse)
		if have >= n {
			t.Logf("%d runs; at most %d MiB in use", have, peak>>20)
			return
		}
		if time.Now().After(end) {
			t.Fatalf("%d of %d runs", have, n)
		}
	}
}

// Whatever becomes of the events, all that came while the controller was away starts, once each,
// also more than are taken up at once. Here no Broker takes any.
func TestABacklogWithoutABroker(t *testing.T) {
	t.Parallel()
	const n = maxOfOne + 200
	b := newBacklog(t, n)
	b.Publish = func(string, cloudevents.Event, func(error)) error { return events.ErrQueueFull }
	b.work(t, n)
	names := map[string]bool{}
	var l runtimev1.PipelineRunList
	controllertest.Must(t, b.api.List(t.Context(), &l))
	for _, r := range l.Items {
		names[strings.TrimPrefix(r.Spec.Inputs["table"].Path, "userdata/in/")] = true
	}
	if len(names) != n || len(l.Items) != n {
		t.Errorf("%d runs of %d files", len(l.Items), len(names))
	}
}

// How many uploads start in a second that came while the controller was away
// (-bench Backlog -benchtime 10000x). A Broker takes their events and loses all.
func BenchmarkBacklog(b *testing.B) {
	x := newBacklog(b, b.N)
	x.Publish = func(_ string, _ cloudevents.Event, done func(error)) error {
		time.AfterFunc(50*time.Millisecond, func() { done(nil) })
		return nil
	}
	b.ResetTimer()
	x.work(b, b.N)
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "starts/s")
}
