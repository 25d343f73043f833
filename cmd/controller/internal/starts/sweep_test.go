//go:build integration

package starts

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/eventing/start"
)

// swept is a module whose box is swept.
type swept struct {
	*Maker
	sweeper *Sweeper
	s3      *miniotest.Server
	bucket  string
	looked  sync.Map // the boxes that the controller was asked to look at
}

func newSwept(t *testing.T) *swept {
	t.Helper()
	w := &swept{bucket: databox.UsualBuckets.Box("default", "userdata")}
	w.Maker, w.s3 = newStarts(t)
	w.sweeper = NewSweeper(w.Maker, func(box types.NamespacedName) { w.looked.Store(box.Name, true) })
	return w
}

func (w *swept) sweep(t *testing.T) {
	t.Helper()
	must(t, w.sweeper.sweep(t.Context()))
}

func (w *swept) pipeline(t testing.TB) *runtimev1.Pipeline {
	t.Helper()
	p := &runtimev1.Pipeline{}
	must(t, w.Live.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: "train"}, p))
	return p
}

// put puts n files that came so long ago.
func (w *swept) put(t *testing.T, name string, n int, ago time.Duration) {
	t.Helper()
	var all sync.WaitGroup
	for part := range 8 {
		all.Go(func() {
			for i := part; i < n; i += 8 {
				w.s3.PutAt(t, w.bucket, fmt.Sprintf("users/ann/file_groups/in/%s-%d.csv", name, i), name,
					time.Now().Add(-ago), nil)
			}
		})
	}
	all.Wait()
}

// wantRuns wants so many runs, whose files have these names, and none twice.
func (w *swept) wantRuns(t *testing.T, want int, name string) []runtimev1.PipelineRun {
	t.Helper()
	runs := runsOf(t, w.Maker)
	seen := map[string]bool{}
	for _, r := range runs {
		for _, in := range r.Spec.Inputs {
			if !strings.HasPrefix(in.Path, "userdata/in/"+name) || seen[in.Path] {
				t.Errorf("a run of %s", in.Path)
			}
			seen[in.Path] = true
		}
	}
	if len(runs) != want {
		t.Fatalf("%d runs, want %d", len(runs), want)
	}
	return runs
}

// A sweep finds what nobody has told, and nothing that is old, too young or told.
func TestSweep(t *testing.T) {
	t.Parallel()
	w := newSwept(t)
	hold(t, w.Client, w.pipeline(t), time.Now().Add(-time.Hour))
	w.put(t, "old", 1000, 2*time.Hour)
	w.put(t, "young", 1, 0)
	w.s3.PutAt(t, w.bucket, "in/developers.csv", "x", time.Now().Add(-time.Minute), nil)
	w.s3.PutAt(t, w.bucket, "users/ann/file_groups/out/other.csv", "x", time.Now().Add(-time.Minute), nil)
	w.s3.PutAt(t, w.bucket, "users/ann/file_groups/in/blank .csv", "x", time.Now().Add(-time.Minute), nil)
	w.s3.PutAt(t, w.bucket, "users/ann/file_groups/in/ blank.csv", "x", time.Now().Add(-time.Minute), nil)
	w.sweep(t)
	for _, r := range w.wantRuns(t, 2, "") {
		if !strings.Contains(r.Spec.Inputs["table"].Path, "blank") {
			t.Errorf("a run of %v", r.Spec.Inputs)
		}
		must(t, w.Client.Delete(t.Context(), &r))
	}
	w.put(t, "lost", 20, time.Minute)
	must(t, w.Upload(t.Context(), "default", "train", 0, "ann", "in/lost-0.csv")) // one was told
	w.sweep(t)
	lost := 0
	for _, r := range w.wantRuns(t, 20, "lost") {
		if r.Annotations[runtimev1.EventLostAnnotation] != "" {
			lost++
		}
	}
	if lost != 19 {
		t.Errorf("%d runs say that their event was lost, want 19", lost)
	}
	w.sweep(t)
	w.wantRuns(t, 20, "lost")
	if _, ok := w.looked.Load("userdata"); !ok {
		t.Error("the box tells nobody of uploads, and nobody was made to look at it")
	}
}

// Times are the S3 server's. Whatever the controller's clock says, what is old starts nothing, and
// what was missed starts.
func TestSweepByTheClockOfS3(t *testing.T) {
	t.Parallel()
	for _, ahead := range []time.Duration{5 * time.Minute, -5 * time.Minute} {
		t.Run(ahead.String(), func(t *testing.T) {
			t.Parallel()
			w := newSwept(t)
			w.Transport = shifted{-ahead}
			hold(t, w.Client, w.pipeline(t), time.Now().Add(-ahead).Add(-2*time.Minute))
			w.put(t, "old", 20, 3*time.Minute)
			w.put(t, "young", 20, 0)
			w.put(t, "lost", 20, time.Minute)
			w.sweep(t)
			w.wantRuns(t, 20, "lost")
		})
	}
}

// shifted is a way to an S3 server whose clock is so much ahead of the controller's.
type shifted struct{ by time.Duration }

var listed = regexp.MustCompile(`<LastModified>([^<]*)</LastModified>`)

func (s shifted) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := http.DefaultTransport.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	for _, name := range []string{"Date", "Last-Modified"} {
		if at, err := http.ParseTime(resp.Header.Get(name)); err == nil {
			resp.Header.Set(name, at.Add(s.by).UTC().Format(http.TimeFormat))
		}
	}
	if req.URL.Query().Get("list-type") == "" {
		return resp, nil
	}
	b, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	if err != nil {
		return nil, err
	}
	b = listed.ReplaceAllFunc(b, func(x []byte) []byte {
		at, err := time.Parse(time.RFC3339, string(listed.FindSubmatch(x)[1]))
		if err != nil {
			panic(err)
		}
		return []byte("<LastModified>" + at.Add(s.by).UTC().Format("2006-01-02T15:04:05.000Z") + "</LastModified>")
	})
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(b)), int64(len(b))
	resp.Header.Set("Content-Length", strconv.Itoa(len(b)))
	return resp, nil
}

// What is older than a start record lives starts nothing, however long its rule has been there.
func TestSweepLeavesWhatHasNoRecordAnyMore(t *testing.T) {
	t.Parallel()
	w := newSwept(t)
	hold(t, w.Client, w.pipeline(t), time.Now().AddDate(-1, 0, 0))
	w.put(t, "old", 1000, 91*24*time.Hour)
	w.put(t, "lost", 5, 89*24*time.Hour)
	w.sweep(t)
	w.wantRuns(t, 5, "lost")
}

// A rule that moves in the list stays the same one, whoever tells of a file; one that changes is
// another.
func TestRulesInAnotherOrder(t *testing.T) {
	t.Parallel()
	w := newSwept(t)
	w.put(t, "old", 1000, time.Minute)
	w.sweep(t)
	w.wantRuns(t, 1000, "old")
	p := w.pipeline(t)
	was := p.Spec.OnUpload[0]
	p.Spec.OnUpload = []runtimev1.UploadRule{{Box: "userdata", Prefix: "other/", Input: "table"}, was}
	must(t, w.Client.Update(t.Context(), p))
	hold(t, w.Client, p, time.Now().Add(-time.Hour))
	w.sweep(t)
	must(t, w.Told(t.Context(), File{Namespace: "default", Box: "userdata", User: "ann", Path: "in/old-1.csv"}))
	must(t, w.Upload(t.Context(), "default", "train", 1, "ann", "in/old-2.csv"))
	must(t, w.Upload(t.Context(), "default", "train", 0, "ann", "in/old-3.csv")) // by its place of before
	w.wantRuns(t, 1000, "old")

	// An event that goes to the place of before starts nothing; the inbox does.
	w.s3.Put(t, w.bucket, "users/ann/file_groups/in/old-new.csv", "x")
	must(t, w.Upload(t.Context(), "default", "train", 0, "ann", "in/old-new.csv"))
	w.wantRuns(t, 1000, "old")
	must(t, w.Told(t.Context(), File{Namespace: "default", Box: "userdata", User: "ann", Path: "in/old-new.csv"}))
	w.wantRuns(t, 1001, "old")

	// Another rule about the same files is not the same one.
	other := was
	other.Outputs = nil
	p.Spec.OnUpload = append(p.Spec.OnUpload, other)
	must(t, w.Client.Update(t.Context(), p))
	must(t, w.Told(t.Context(), File{Namespace: "default", Box: "userdata", User: "ann", Path: "in/old-new.csv"}))
	if n := len(runsOf(t, w.Maker)); n != 1002 {
		t.Errorf("%d runs, want 1002: two rules are about one file", n)
	}

	for _, change := range []func(*runtimev1.UploadRule){
		func(r *runtimev1.UploadRule) { r.Box = "x" }, func(r *runtimev1.UploadRule) { r.Prefix += "x" },
		func(r *runtimev1.UploadRule) { r.Suffix += "x" }, func(r *runtimev1.UploadRule) { r.Input += "x" },
		func(r *runtimev1.UploadRule) { r.Outputs = nil },
		func(r *runtimev1.UploadRule) { r.Outputs = append(r.Outputs, r.Outputs...) },
	} {
		other := *was.DeepCopy()
		if change(&other); other.ID() == was.ID() {
			t.Errorf("%+v has the identity of %+v", other, was)
		}
	}
}

// recordOfBefore writes a start record as the release before wrote it.
func (w *swept) recordOfBefore(t *testing.T, index int, path string, created bool) {
	t.Helper()
	key := "users/ann/file_groups/" + path
	o, err := w.s3.StatObject(t.Context(), w.bucket, key, minio.StatObjectOptions{})
	must(t, err)
	hash := names.Hash("default", "train", strconv.Itoa(index), w.bucket, key,
		o.ETag+"@"+o.LastModified.UTC().Format(time.RFC3339Nano))
	b, err := json.Marshal(start.Record{Pipeline: "train", Run: names.Shorten(53, "train", hash), Created: created,
		Spec: runtimev1.PipelineRunSpec{
			Pipeline: "train", User: "ann", Origin: runtimev1.OriginUpload, IdempotencyKey: "upload/" + hash,
			Inputs:  map[string]runtimev1.InputPath{"table": {Path: "userdata/" + path, ETag: o.ETag}},
			Outputs: map[string]string{"model": "weights:/m/"},
		}})
	must(t, err)
	w.s3.Put(t, databox.UsualBuckets.Runs("default"), "starts/"+hash, string(b))
}

// After an upgrade nothing starts twice of what the release before has started, wherever its rule
// stood, and what it had begun is made.
func TestStartsOfTheReleaseBefore(t *testing.T) {
	t.Parallel()
	w := newSwept(t)
	w.put(t, "old", 1000, 2*time.Minute)
	var all sync.WaitGroup
	for part := range 8 {
		all.Go(func() {
			for i := part; i < 1000; i += 8 {
				w.recordOfBefore(t, i%3, fmt.Sprintf("in/old-%d.csv", i), true)
			}
		})
	}
	all.Wait()
	p := w.pipeline(t)
	newest, err := w.Newest(t.Context(), p)
	must(t, err)
	if at := newest[p.Spec.OnUpload[0].ID()]; time.Since(at) > time.Minute || time.Since(at) < 0 {
		t.Errorf("the newest start was at %v", at)
	}
	p.Status.Uploads.SeenTime, p.Status.Uploads.Upgraded = p.CreationTimestamp, true
	must(t, w.Client.Status().Update(t.Context(), p))
	w.sweep(t)
	for _, i := range []int{0, 1, 2} {
		f := File{Namespace: "default", Box: "userdata", User: "ann", Path: fmt.Sprintf("in/old-%d.csv", i)}
		must(t, w.Told(t.Context(), f))
		must(t, w.Upload(t.Context(), "default", "train", 0, "ann", f.Path))
	}
	w.wantRuns(t, 0, "")

	// Uploads during the upgrade: one was started, one begun, one told only.
	w.put(t, "during", 3, time.Minute)
	w.recordOfBefore(t, 0, "in/during-0.csv", true)
	w.recordOfBefore(t, 0, "in/during-1.csv", false)
	for range 2 {
		for i := range 3 {
			f := File{Namespace: "default", Box: "userdata", User: "ann", Path: fmt.Sprintf("in/during-%d.csv", i)}
			must(t, w.Told(t.Context(), f))
			must(t, w.Upload(t.Context(), "default", "train", 0, "ann", f.Path))
		}
		w.sweep(t)
	}
	w.wantRuns(t, 2, "during-")
}

// An event may be made up. One about a file that was there long before its rule starts nothing.
func TestEventsAboutOldFiles(t *testing.T) {
	t.Parallel()
	w := newSwept(t)
	hold(t, w.Client, w.pipeline(t), time.Now())
	w.put(t, "old", 1, time.Hour)
	w.put(t, "new", 1, time.Minute) // the controller saw its rule late
	for _, file := range []string{"in/old-0.csv", "in/new-0.csv"} {
		must(t, w.Upload(t.Context(), "default", "train", 0, "ann", file))
		must(t, w.DeadLetter(t.Context(), File{Namespace: "default", Box: "userdata", User: "ann", Path: file}))
	}
	w.wantRuns(t, 1, "new")
}

const digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08" // of "test"

// published writes what a run leaves: its commit, and copies of its files.
func (w *swept) published(t *testing.T, run string, n int) (copies []stage.Origin) {
	t.Helper()
	c := stage.Commit{Attempt: 1, Outputs: map[string][]stage.File{"out": nil}}
	for i := range n {
		f := stage.File{Path: fmt.Sprintf("%d.csv", i), Size: 4, SHA256: digest}
		c.Outputs["out"] = append(c.Outputs["out"], f)
		copies = append(copies, stage.Origin{Run: run, Stage: "fit", Attempt: 1, Output: "out", Path: f.Path,
			SHA256: digest})
	}
	b, err := json.Marshal(c)
	must(t, err)
	w.s3.Put(t, databox.UsualBuckets.Runs("default"), stage.CommitKey(run, "fit"), string(b))
	return copies
}

// Files that a run has published start a second pipeline once, however often their copies are made.
func TestACopyThatIsRepeated(t *testing.T) {
	t.Parallel()
	w := newSwept(t)
	copies := w.published(t, "first-1", 20)
	for _, ago := range []time.Duration{3 * time.Minute, 2 * time.Minute, time.Minute} {
		for _, c := range copies {
			w.s3.PutAt(t, w.bucket, "users/ann/file_groups/in/"+c.Path, "test", time.Now().Add(-ago), c.Metadata())
		}
		must(t, w.Upload(t.Context(), "default", "train", 0, "ann", "in/0.csv"))
		w.sweep(t)
		w.wantRuns(t, 20, "")
	}
	// What the sweep has found out once it knows by the listing alone.
	heads := &counted{base: http.DefaultTransport, method: http.MethodHead}
	w.Transport = heads
	w.sweep(t)
	if n := heads.n.Load(); n != 0 {
		t.Errorf("%d HEADs in a sweep of what has started", n)
	}
}

// Metadata are an uploader's claim. Whoever claims a commit that says something else starts a run of
// the own, and blocks nobody's.
func TestForgedMetadata(t *testing.T) {
	t.Parallel()
	w := newSwept(t)
	genuine := w.published(t, "first-1", 1)[0]
	for i, forged := range []struct {
		change  func(*stage.Origin)
		content string
	}{
		{func(o *stage.Origin) { o.Run = "none" }, "test"},
		{func(o *stage.Origin) { o.Attempt = 2 }, "test"},
		{func(o *stage.Origin) { o.Path = "1.csv" }, "test"},
		{func(o *stage.Origin) { o.SHA256 = strings.Repeat("a", 64) }, "test"},
		{func(*stage.Origin) {}, "another size"},
		{func(*stage.Origin) {}, "tost"}, // the size of the commit's, and other content
	} {
		claim := genuine
		forged.change(&claim)
		// In a folder of one's own, and where the run's copy will come.
		for _, folder := range []string{fmt.Sprint("in/", i, "/"), "in/"} {
			w.s3.PutAt(t, w.bucket, "users/ann/file_groups/"+folder+"0.csv", forged.content,
				time.Now().Add(-time.Hour+time.Duration(i)*time.Minute), claim.Metadata())
			must(t, w.Upload(t.Context(), "default", "train", 0, "ann", folder+"0.csv"))
		}
		if n, want := len(runsOf(t, w.Maker)), 2*(i+1); n != want {
			t.Fatalf("%d runs after forgery %d, want %d", n, i, want)
		}
	}
	before := len(runsOf(t, w.Maker))
	w.s3.PutAt(t, w.bucket, "users/ann/file_groups/in/0.csv", "test", time.Now(), genuine.Metadata())
	must(t, w.Upload(t.Context(), "default", "train", 0, "ann", "in/0.csv"))
	if n := len(runsOf(t, w.Maker)); n != before+1 {
		t.Errorf("%d runs of the genuine copy", n-before)
	}
}

// counted counts requests.
type counted struct {
	base   http.RoundTripper
	method string // "" is all
	n      atomic.Int64
}

func (c *counted) RoundTrip(req *http.Request) (*http.Response, error) {
	if c.method == "" || c.method == req.Method {
		c.n.Add(1)
	}
	return c.base.RoundTrip(req)
}

// A start costs few requests: before there were inbox and sweep, it was 8 of S3 and 3 of the API
// server.
func TestAStartAsksLittle(t *testing.T) {
	t.Parallel()
	w := newSwept(t)
	s3 := &counted{base: http.DefaultTransport}
	api := &countedAPI{Client: w.Client}
	w.Transport, w.Live, w.Runs = s3, api, api
	w.s3.Put(t, w.bucket, "users/ann/file_groups/in/a.csv", "x")
	must(t, w.Upload(t.Context(), "default", "train", 0, "ann", "in/a.csv"))
	w.wantRuns(t, 1, "a")
	t.Logf("a start by its event: %d requests of S3, %d of the API server", s3.n.Load(), api.n.Load())
	if s3.n.Load() > 5 || api.n.Load() > 2 {
		t.Errorf("a start: %d requests of S3, at most 5 are expected; %d of the API server, at most 2", s3.n.Load(),
			api.n.Load())
	}
	told := time.Now().Add(-time.Second)
	f := File{Namespace: "default", Box: "userdata", User: "ann", Path: "in/a.csv"}
	known, err := w.Started(t.Context(), f, told)
	if err != nil || !known {
		t.Errorf("the start is not known (%v)", err)
	}
	if known, err := w.Started(t.Context(), f, time.Now()); err != nil || known {
		t.Errorf("a start is known of what was told later (%v)", err)
	}

	// Many at once share what is the same for all.
	w.put(t, "more", 20, 0)
	s3.n.Store(0)
	api.n.Store(0)
	for i := range 20 {
		must(t, w.Told(t.Context(), File{Namespace: "default", Box: "userdata", User: "ann",
			Path: fmt.Sprintf("in/more-%d.csv", i)}))
	}
	t.Logf("20 starts by the inbox: %d requests of S3, %d of the API server", s3.n.Load(), api.n.Load())
	if n := len(runsOf(t, w.Maker)); n != 21 {
		t.Errorf("%d runs", n)
	}
}

// countedAPI counts requests of the API server.
type countedAPI struct {
	client.Client
	n atomic.Int64
}

func (c *countedAPI) Get(ctx context.Context, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
	c.n.Add(1)
	return c.Client.Get(ctx, key, o, opts...)
}

func (c *countedAPI) Create(ctx context.Context, o client.Object, opts ...client.CreateOption) error {
	c.n.Add(1)
	return c.Client.Create(ctx, o, opts...)
}
