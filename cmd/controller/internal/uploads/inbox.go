package uploads

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"path"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/notification"
)

// Where entries lie. The inbox was called a spool once, and what lies in it need not move.
const (
	inboxPrefix    = "spool/"
	rejectedPrefix = "rejected/"
)

const (
	// drainEvery is how often the leader looks for what was left, drainMore how often while there
	// is more than it takes at once, and drainAfter how old it must be: who received it is at it
	// before.
	drainEvery = 10 * time.Second
	drainMore  = time.Second
	drainAfter = 30 * time.Second
)

// Inbox is where notifications wait.
type Inbox struct {
	*minio.Client
	Bucket string
	// Clock is that of the S3 server, by which entries have their times.
	Clock *s3.Clock
}

func (i Inbox) now() time.Time {
	if i.Clock != nil {
		if now, ok := i.Clock.Now(); ok {
			return now
		}
	}
	return time.Now()
}

// Drain takes up what others have left in the inbox, until ctx ends. Only the leader runs it.
func (r *Receiver) Drain(ctx context.Context) error {
	for {
		wait := drainEvery
		more, err := r.drain(ctx, drainAfter)
		if err != nil && ctx.Err() == nil {
			slog.Warn("the inbox of S3's notifications cannot be read", "error", err)
		}
		if more {
			wait = drainMore
		}
		select {
		case <-ctx.Done():
			inboxEntries.Set(0) // the next leader tells
			inboxOldest.Set(0)
			return nil
		case <-time.After(wait):
		}
	}
}

// drain takes up what is older, and reports whether there is more than can be taken up now.
func (r *Receiver) drain(ctx context.Context, older time.Duration) (more bool, err error) {
	inbox, err := r.Inbox(ctx)
	if err != nil {
		return false, err
	}
	listing, stop := context.WithCancel(ctx)
	defer stop()
	n, oldest, last := 0, time.Duration(0), ""
	all := minio.ListObjectsOptions{Prefix: inboxPrefix, Recursive: true}
	for o := range inbox.ListObjects(listing, inbox.Bucket, all) {
		if o.Err != nil {
			return false, fmt.Errorf("listing the inbox: %w", o.Err)
		}
		age := inbox.now().Sub(o.LastModified)
		n, oldest = n+1, max(oldest, age)
		// Those behind the last that was taken are first next time: what cannot be settled, at the
		// beginning of the list, holds up none behind it.
		if age < older || o.Key <= r.cursor {
			continue
		}
		if r.take(o.Key, nil, age) {
			last = o.Key
		} else {
			more = true
		}
	}
	if more = more || r.cursor != ""; more && last != "" {
		r.cursor = last
	} else {
		r.cursor = ""
	}
	inboxEntries.Set(float64(n))
	inboxOldest.Set(oldest.Seconds())
	return more, ctx.Err()
}

// dialectOf is the dialect of an entry, and the usual one of entries from before there were several.
func dialectOf(key string) string {
	if _, dialect, ok := strings.Cut(nameOf(key), "."); ok {
		return dialect[strings.LastIndex(dialect, ".")+1:]
	}
	return usual
}

// bucketOf is the bucket that an entry is about; empty for those of before.
func bucketOf(key string) string {
	name, _, _ := strings.Cut(nameOf(key), ".")
	_, bucket, _ := strings.Cut(name, "_")
	return bucket
}

// nameOf is what stands behind the time in an entry's key.
func nameOf(key string) string {
	_, name, _ := strings.Cut(strings.TrimSuffix(path.Base(key), ".json"), "-")
	return name
}

// read reads an entry; nil when it has gone.
func (i Inbox) read(ctx context.Context, key string) ([]notification.Record, error) {
	body, err := i.GetObject(ctx, i.Bucket, key, minio.GetObjectOptions{})
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
		return nil, fmt.Errorf("reading %s: %w: a dialect that is not understood", key, notification.ErrMalformed)
	}
	records, err := parse(b)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	return records, nil
}
