//go:build integration

package starts

import (
	"fmt"
	"runtime"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/eventing/databox"
)

// How long a sweep takes over a box with so many files, each with a start record
// (-bench Sweep -benchtime 100000x).
func BenchmarkSweep(b *testing.B) {
	m, server := newStarts(b)
	w := &swept{Maker: m, s3: server, bucket: databox.UsualBuckets.Box("default", "userdata")}
	w.sweeper = NewSweeper(m, func(types.NamespacedName) {})
	store, err := m.Settings.Open(m.Transport)
	must(b, err)
	at, err := m.box(b.Context(), store, "default", "userdata")
	must(b, err)
	r := rulesOf(w.pipeline(b))[0]
	came := time.Now().Add(-time.Hour).Truncate(time.Second)
	var all sync.WaitGroup
	for part := range 32 {
		all.Go(func() {
			for i := part; i < b.N; i += 32 {
				f := File{Namespace: "default", Box: "userdata", User: fmt.Sprint("user", i%50),
					Path: fmt.Sprintf("in/%d.csv", i)}
				o, err := server.PutObject(b.Context(), w.bucket, f.Key(), strings.NewReader(""), 0,
					minio.PutObjectOptions{Internal: minio.AdvancedPutOptions{SourceMTime: came}})
				must(b, err)
				key := r.VersionKey(f, at.box.Name, o.ETag, came)
				server.Put(b, at.runs, records+key, `{"created":true}`)
			}
		})
	}
	all.Wait()
	b.ResetTimer()
	ended := make(chan struct{})
	peak := make(chan uint64)
	go func() {
		top := uint64(0)
		for {
			var s runtime.MemStats
			runtime.ReadMemStats(&s)
			top = max(top, s.HeapInuse)
			select {
			case <-ended:
				peak <- top
				return
			case <-time.After(100 * time.Millisecond):
			}
		}
	}()
	must(b, w.sweeper.sweep(b.Context()))
	close(ended)
	b.ReportMetric(float64(<-peak>>20), "MiB")
	if n := len(runsOf(b, m)); n != 0 {
		b.Errorf("%d runs of what had started", n)
	}
}
