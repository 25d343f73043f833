// Package uploads receives what the S3 server posts when objects change. It makes events of it for
// the modules' Brokers, and sees to it that every upload starts what it should.
//
// A notification is answered only after its raw body lies in the inbox, in a bucket of the
// controller's own: MinIO keeps what is not answered, sends one at a time, and would stop at one
// that is refused for ever. Every replica takes them, with or without an API server. An entry of the
// inbox lives until the module's Broker has taken its events and all that it starts is recorded as
// started (Receiver.Start). What a replica has not done in time, or has left when it died, the leader
// takes up.
package uploads

import (
	"bytes"
	"context"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	cloudevents "github.com/cloudevents/sdk-go/v2"
	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/aws"
	"github.com/unip-knative/unip/eventing/notification/ceph"
	dialect "github.com/unip-knative/unip/eventing/notification/minio"
	"github.com/unip-knative/unip/eventing/notification/seaweedfs"
	"github.com/unip-knative/unip/eventing/notification/versitygw"
)

// writeTimeout bounds the write into the inbox: MinIO waits for it.
const writeTimeout = 10 * time.Second

// dialects are the S3 servers that are understood. Each posts to /v1/<its name>.
var dialects = map[string]func(body []byte) ([]notification.Record, error){
	usual:  dialect.Parse,
	amazon: aws.Parse, "ceph": ceph.Parse, "seaweedfs": seaweedfs.Parse, "versitygw": versitygw.Parse,
}

const (
	// usual is the dialect of an entry without one's name.
	usual = "minio"
	// amazon asks, over SNS, whether it shall send.
	amazon = "aws"
)

// Receiver is the HTTP handler and what is behind it.
type Receiver struct {
	// Token is what the S3 server must send, without "Bearer "; empty refuses everything.
	Token func() string
	// Topic is the ARN of the topic whose messages are wanted, where the S3 server sends them by SNS.
	Topic func() string
	// SNS carries the requests by which its subscriptions are confirmed; nil is the usual one.
	SNS http.RoundTripper
	// Ours reports the buckets of which anything is wanted; nil is all. A server that tells of all its
	// buckets tells of the inbox, too: what comes would bring the next one for ever.
	Ours func(bucket string) bool
	// Inbox opens the inbox, its bucket made.
	Inbox func(ctx context.Context) (Inbox, error)
	// Box finds whose bucket it is; unknown buckets are nobody's.
	Box func(ctx context.Context, bucket string) (namespace, box string, ok bool, err error)
	// Changed is told of each object of a box that has come or gone, whoever's it is; nil is
	// nobody.
	Changed func(namespace, box string, size int64, removed bool)
	// Publish gives an event to a module's Broker.
	Publish func(namespace string, e cloudevents.Event, done func(error)) error
	// Started reports whether it is known that a user's file has started all that it should since
	// it was told. It costs nothing.
	Started func(ctx context.Context, f starts.File, told time.Time) (bool, error)
	// Start starts what a user's file should and has not yet.
	Start func(ctx context.Context, f starts.File) error
	// Grace is how long what a file starts may take by its event.
	Grace func() time.Duration
	// Delivered reports a namespace whose Broker answers only after its subscribers have.
	Delivered func(namespace string) bool

	prepare sync.Once
	table   table
	cursor  string // how far the leader has come through a full inbox
}

// ServeHTTP takes POST /v1/<dialect>, with the token in one of three ways (authorized).
func (r *Receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	name, inPath := pathOf(req.URL.Path)
	parse, ok := dialects[name]
	looks := req.Method == http.MethodHead || req.Method == http.MethodGet
	switch {
	case looks && (ok || req.URL.Path == "/"): // some servers look whether somebody is there
		w.WriteHeader(http.StatusOK)
		return
	case !ok:
		http.NotFound(w, req)
		return
	case req.Method != http.MethodPost:
		w.Header().Set("Allow", "POST")
		http.Error(w, "POST only", http.StatusMethodNotAllowed)
		return
	}
	if !r.authorized(req, inPath) {
		w.Header().Set("WWW-Authenticate", `Basic realm="unip"`) // SNS shows a password when it is asked
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
	if r.Ours != nil {
		records = slices.DeleteFunc(records, func(x notification.Record) bool { return !r.Ours(x.Bucket) })
	}
	if malformed == nil && len(records) == 0 {
		if name == amazon && !r.subscribe(req.Context(), body) {
			http.Error(w, "not now", http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusNoContent)
		return
	}
	slog.Info("a notification of S3 has come", "records", len(records), "bytes", len(body))
	ctx, cancel := context.WithTimeout(req.Context(), writeTimeout)
	defer cancel()
	prefix := inboxPrefix
	if malformed != nil {
		// Refused, it would stand before all others for ever; so it is taken and kept aside.
		prefix = rejectedPrefix
		slog.Error("a notification of S3 cannot be understood and is kept aside", "bytes", len(body), "sha256",
			fmt.Sprintf("%x", sha256.Sum256(body)), "error", malformed)
	}
	inbox, err := r.Inbox(ctx)
	key := newKey(prefix, time.Now(), records, name)
	if err == nil {
		_, err = inbox.PutObject(ctx, inbox.Bucket, key, bytes.NewReader(body), int64(len(body)),
			minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true})
	}
	if err != nil {
		slog.Error("a notification of S3 cannot be put into the inbox", "error", err)
		http.Error(w, "not now", http.StatusServiceUnavailable)
		return
	}
	w.WriteHeader(http.StatusNoContent)
	if malformed == nil {
		r.take(key, records, 0)
	}
}

// newKey is the key of an entry: <prefix><time>-<random>_<bucket>.<dialect>.json. The bucket says
// whose turn it is before the entry was read. Releases that know of no bucket there take it for a
// part of the random text: whoever goes back to one loses none of what lies in the inbox.
func newKey(prefix string, now time.Time, records []notification.Record, dialect string) string {
	key := prefix + now.UTC().Format("20060102T150405.000000000") + "-" + rand.Text()
	if len(records) > 0 && !strings.ContainsAny(records[0].Bucket, "./") {
		key += "_" + records[0].Bucket
	}
	return key + "." + dialect + ".json"
}
