// Package uploads receives what the S3 server posts when objects change, and makes events of it for
// the modules' Brokers.
//
// A notification is answered only after its raw body lies in the spool, a bucket of the
// controller's own: MinIO keeps what is not answered, sends one at a time, and would stop at one
// that is refused for ever. From the spool events go to the Brokers in the background; the spool
// object is deleted when all of them were taken. What a controller that died has left there is
// swept up by the leader.
package uploads

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path"
	"strings"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/notification"
	dialect "github.com/unip-knative/unip/eventing/notification/minio"
)

const (
	spoolPrefix    = "spool/"
	rejectedPrefix = "rejected/"
	// sweepEvery is how often the leader looks for what was left; sweepAfter how old that must be:
	// younger ones are being delivered.
	sweepEvery = 30 * time.Second
	sweepAfter = 30 * time.Second
	// spoolTimeout bounds the write into the spool: MinIO waits for it.
	spoolTimeout = 10 * time.Second
	// maxUnderWay bounds the notifications that are delivered at once; more stay in the spool for
	// the sweep.
	maxUnderWay = 256
)

// dialects are the S3 servers that are understood. Each posts to /v1/<its name>.
var dialects = map[string]func(body []byte) ([]notification.Record, error){
	usual: dialect.Parse,
}

// usual is the dialect of what lies in the spool without one's name.
const usual = "minio"

// Spool is where notifications wait.
type Spool struct {
	*minio.Client
	Bucket string
}

// Receiver is the HTTP handler and what is behind it.
type Receiver struct {
	// Token is what the S3 server must send, without "Bearer "; empty refuses everything.
	Token func() string
	// Spool opens the spool, its bucket made.
	Spool func(ctx context.Context) (Spool, error)
	// Box finds whose bucket it is; unknown buckets are nobody's.
	Box func(ctx context.Context, bucket string) (namespace, box string, ok bool, err error)
	// Changed is told of each object of a box that has come or gone, whoever's it is; nil is
	// nobody.
	Changed func(namespace, box string, size int64, removed bool)
	// Publish gives an event to a module's Broker.
	Publish func(namespace string, e cloudevents.Event, done func(error)) error

	mu       sync.Mutex
	underWay map[string]bool // by spool key
}

// ServeHTTP takes POST /v1/<dialect>.
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name, _ := strings.CutPrefix(req.URL.Path, "/v1/")
	parse, ok := dialects[name]
	switch {
	case !ok || req.URL.Path != "/v1/"+name:
		http.NotFound(w, req)
		return
	case req.Method == http.MethodHead || req.Method == http.MethodGet: // MinIO looks whether somebody is there
		w.WriteHeader(http.StatusOK)
		return
	case req.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	given, bearer := strings.CutPrefix(req.Header.Get("Authorization"), "Bearer ")
	if want := r.Token(); !bearer || want == "" || subtle.ConstantTimeCompare([]byte(given), []byte(want)) != 1 {
		http.Error(w, "the token is missing or wrong", http.StatusUnauthorized)
		return
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, req.Body, notification.MaxBody))
	if err != nil {
		var large *http.MaxBytesError
		if errors.As(err, &large) {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		http.Error(w, "the body broke off", http.StatusBadRequest)
		return
	}
	records, malformed := parse(body)
	if malformed == nil && len(records) == 0 {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	slog.Info("a notification of S3 has come", "records", len(records), "bytes", len(body))
	ctx, cancel := context.WithTimeout(req.Context(), spoolTimeout)
	defer cancel()
	prefix := spoolPrefix
	if malformed != nil {
		// Refused, it would stand before all others for ever; so it is taken and kept aside.
		prefix = rejectedPrefix
		slog.Error("a notification of S3 cannot be understood and is kept aside", "bytes", len(body), "sha256",
			fmt.Sprintf("%x", sha256.Sum256(body)), "error", malformed)
	}
	spool, err := r.Spool(ctx)
	key := prefix + time.Now().UTC().Format("20060102T150405.000000000") + "-" + rand.Text() + "." + name + ".json"
	if err == nil {
		_, err = spool.PutObject(ctx, spool.Bucket, key, bytes.NewReader(body), int64(len(body)),
			minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true})
	}
	if err != nil {
		slog.Error("a notification of S3 cannot be spooled", "error", err)
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
	if malformed == nil && r.begin(key) {
		go r.deliver(context.WithoutCancel(req.Context()), spool, key, records)
	}
}

// begin marks a spool object as under way; false when it is already, or when enough others are.
func (r *Receiver) begin(key string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.underWay == nil {
		r.underWay = map[string]bool{}
	}
	if r.underWay[key] || len(r.underWay) >= maxUnderWay {
		return false
	}
	r.underWay[key] = true
	return true
}

func (r *Receiver) end(key string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.underWay, key)
}

// deliver makes events of a notification and deletes it from the spool when all of them were taken.
func (r *Receiver) deliver(ctx context.Context, spool Spool, key string, records []notification.Record) {
	defer r.end(key)
	results := make(chan error, len(records))
	wait := 0
	var errs []error
	for _, rec := range records {
		namespace, e, ok, err := r.event(ctx, rec)
		if err == nil && !ok {
			continue
		}
		if err == nil {
			err = r.Publish(namespace, e, func(err error) { results <- err })
		}
		if err != nil {
			errs = append(errs, err)
			continue
		}
		wait++
	}
	for range wait {
		select {
		case err := <-results:
			errs = append(errs, err)
		case <-ctx.Done(): // the sweep's, at the end of a leader's term
			return
		}
	}
	if err := errors.Join(errs...); err != nil {
		slog.Warn("a notification of S3 stays in the spool", "object", key, "error", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, spoolTimeout)
	defer cancel()
	if err := spool.RemoveObject(ctx, spool.Bucket, key, minio.RemoveObjectOptions{}); err != nil {
		slog.Warn("a delivered notification could not be deleted: its events will come once more", "object", key,
			"error", err)
	}
}

// event is what a record says; ok is false for what is no module's file.
func (r *Receiver) event(ctx context.Context, rec notification.Record) (namespace string, e cloudevents.Event, ok bool,
	err error) {
	namespace, box, ok, err := r.Box(ctx, rec.Bucket)
	if err != nil || !ok {
		return "", e, false, err
	}
	if r.Changed != nil {
		r.Changed(namespace, box, rec.Size, rec.Removed)
	}
	user, file, ok := databox.SplitKey(rec.Key)
	if !ok {
		return "", e, false, nil
	}
	e, err = events.Object{
		Namespace: namespace, Box: box, User: user, Path: file, Bucket: rec.Bucket, Key: rec.Key, Removed: rec.Removed,
		ETag: rec.ETag, Version: rec.Version, Size: rec.Size, Time: rec.Time, Sequencer: rec.Sequencer,
	}.Event()
	if err != nil {
		slog.Error("no event can be made of an object", "bucket", rec.Bucket, "error", err)
		return "", e, false, nil
	}
	return namespace, e, true, nil
}

// Sweep delivers what was left in the spool, until ctx ends. Only the leader runs it.
func (r *Receiver) Sweep(ctx context.Context) error {
	t := time.NewTicker(sweepEvery)
	defer t.Stop()
	for {
		if err := r.sweep(ctx, sweepAfter); err != nil && ctx.Err() == nil {
			slog.Warn("the spool of S3 notifications cannot be swept", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
	}
}

func (r *Receiver) sweep(ctx context.Context, older time.Duration) error {
	spool, err := r.Spool(ctx)
	if err != nil {
		return err
	}
	listing, stop := context.WithCancel(ctx)
	defer stop()
	all := minio.ListObjectsOptions{Prefix: spoolPrefix, Recursive: true}
	var unread []error // one that cannot be read holds back none behind it
	for o := range spool.ListObjects(listing, spool.Bucket, all) {
		if o.Err != nil {
			return fmt.Errorf("listing the spool: %w", o.Err)
		}
		if time.Since(o.LastModified) < older || !r.begin(o.Key) {
			continue
		}
		records, err := readSpooled(ctx, spool, o.Key)
		if err != nil {
			r.end(o.Key)
			unread = append(unread, err)
			continue
		}
		r.deliver(ctx, spool, o.Key, records)
	}
	return errors.Join(unread...)
}

// dialectOf is the dialect of a spool object: <time>-<random>.<dialect>.json, and the usual one of
// objects from before there were several.
func dialectOf(key string) string {
	_, random, _ := strings.Cut(strings.TrimSuffix(path.Base(key), ".json"), "-")
	if _, name, ok := strings.Cut(random, "."); ok {
		return name
	}
	return usual
}

func readSpooled(ctx context.Context, spool Spool, key string) ([]notification.Record, error) {
	body, err := spool.GetObject(ctx, spool.Bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, notification.MaxBody+1))
	if s3.IsMissing(err) {
		return nil, nil // another one was faster
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	parse, ok := dialects[dialectOf(key)]
	if !ok {
		return nil, fmt.Errorf("%w: a dialect that is not understood", notification.ErrMalformed)
	}
	return parse(b)
}
