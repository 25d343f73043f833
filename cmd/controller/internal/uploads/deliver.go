package uploads

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"k8s.io/client-go/util/workqueue"

	"github.com/unip-knative/unip/cmd/controller/internal/fair"
	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/run"
)

const (
	// workers is how many entries are worked at once.
	workers = 24
	// maxTaken bounds the entries that a replica has taken up, maxOfOne those of one bucket; more
	// stay in the inbox for the leader. One takes some 2 KiB of memory.
	maxTaken = 16384
	maxOfOne = 2048
	// stepTimeout bounds one look at one entry.
	stepTimeout = 30 * time.Second
	// The pauses before an entry is looked at again that could not be settled.
	firstPause, longestPause = 500 * time.Millisecond, 15 * time.Second
)

// table holds the entries that this replica has taken up, each from its coming to its end.
type table struct {
	queue workqueue.TypedRateLimitingInterface[string]

	mu      sync.Mutex
	entries map[string]*entry
	of      map[string]int // how many, by bucket
}

// entry is one notification. Its key's worker has it alone, but for what a Broker answers.
type entry struct {
	key  string
	told time.Time // by the own clock
	news []*news   // nil until it was read
}

// news is one record of a notification.
type news struct {
	notification.Record
	counted, started, settled bool

	mu        sync.Mutex
	published bool      // it was given to the publisher, which has not said yet what came of it
	taken     time.Time // by the Broker
}

func (r *Receiver) init() {
	r.prepare.Do(func() {
		t := &r.table
		t.entries, t.of = map[string]*entry{}, map[string]int{}
		in := workqueue.NewTypedWithConfig(workqueue.TypedQueueConfig[string]{
			Queue: fair.NewTurns(bucketOf), // a module waits for itself
		})
		later := workqueue.NewTypedDelayingQueueWithConfig(workqueue.TypedDelayingQueueConfig[string]{Queue: in})
		t.queue = workqueue.NewTypedRateLimitingQueueWithConfig(
			workqueue.NewTypedItemExponentialFailureRateLimiter[string](firstPause, longestPause),
			workqueue.TypedRateLimitingQueueConfig[string]{DelayingQueue: later})
	})
}

// take takes an entry up, told so long ago; records are nil where it was not read yet. It reports
// false when so many are taken up that this one must wait.
func (r *Receiver) take(key string, records []notification.Record, age time.Duration) bool {
	r.init()
	t, bucket := &r.table, bucketOf(key)
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[key] != nil {
		return true
	}
	if len(t.entries) >= maxTaken || t.of[bucket] >= maxOfOne {
		return false
	}
	t.entries[key] = &entry{key: key, told: time.Now().Add(-age), news: newsOf(records)}
	t.of[bucket]++
	t.queue.Add(key)
	return true
}

func newsOf(records []notification.Record) []*news {
	var all []*news
	for _, x := range records {
		all = append(all, &news{Record: x})
	}
	return all
}

func (t *table) find(key string) *entry {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.entries[key]
}

// crowded reports that others of the bucket may wait for this entry's place.
func (t *table) crowded(key string) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.entries) > maxTaken/2 || t.of[bucketOf(key)] > maxOfOne/2
}

// idle reports that no answer of a Broker is awaited.
func (e *entry) idle() bool {
	return !slices.ContainsFunc(e.news, func(n *news) bool {
		n.mu.Lock()
		defer n.mu.Unlock()
		return n.published
	})
}

func (t *table) drop(key string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.entries[key] != nil {
		delete(t.entries, key)
		if t.of[bucketOf(key)]--; t.of[bucketOf(key)] == 0 {
			delete(t.of, bucketOf(key))
		}
	}
	t.queue.Forget(key)
}

// Deliver works off what was taken up, until ctx ends. Every replica runs it.
func (r *Receiver) Deliver(ctx context.Context) error {
	r.init()
	var all sync.WaitGroup
	for range workers {
		all.Go(func() {
			for {
				key, ended := r.table.queue.Get()
				if ended {
					return
				}
				r.work(ctx, key)
				r.table.queue.Done(key)
			}
		})
	}
	<-ctx.Done()
	r.table.queue.ShutDown()
	all.Wait()
	return nil
}

// work takes an entry as far as it goes now.
func (r *Receiver) work(life context.Context, key string) {
	e := r.table.find(key)
	if e == nil || life.Err() != nil {
		return
	}
	ctx, cancel := context.WithTimeout(life, stepTimeout)
	defer cancel()
	again, err := r.step(ctx, e)
	switch {
	case life.Err() != nil: // what is broken off is the next replica's
	case err != nil:
		if r.table.queue.NumRequeues(key) == 0 {
			slog.Warn("a notification of S3 stays in the inbox", "object", key, "error", err)
		}
		if e.idle() && r.table.crowded(key) {
			r.table.drop(key) // the leader comes back to it
			return
		}
		r.table.queue.AddRateLimited(key)
	case !again.IsZero():
		r.table.queue.AddAfter(key, time.Until(again))
	}
}

// step publishes what an entry tells, starts what is due, and removes an entry of which nothing is
// left to do. again is when to look next, if nobody says something before.
func (r *Receiver) step(ctx context.Context, e *entry) (again time.Time, err error) {
	inbox, err := r.Inbox(ctx)
	if err != nil {
		return again, err
	}
	if e.news == nil {
		records, err := inbox.read(ctx, e.key)
		if err != nil {
			return again, err
		}
		if records == nil { // it has gone, or tells nothing
			return again, r.remove(ctx, inbox, e)
		}
		e.news = newsOf(records)
	}
	var errs []error
	settled := true
	for _, n := range e.news {
		at, err := r.settle(ctx, e, n)
		errs = append(errs, err)
		settled = settled && n.settled
		if !at.IsZero() && (again.IsZero() || at.Before(again)) {
			again = at
		}
	}
	if settled {
		return time.Time{}, r.remove(ctx, inbox, e)
	}
	return again, errors.Join(errs...)
}

func (r *Receiver) remove(ctx context.Context, inbox Inbox, e *entry) error {
	if err := inbox.RemoveObject(ctx, inbox.Bucket, e.key, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("removing a notification that has been delivered: %w", err)
	}
	r.table.drop(e.key)
	return nil
}

// settle takes one record as far as it goes now.
func (r *Receiver) settle(ctx context.Context, e *entry, n *news) (again time.Time, err error) {
	if n.settled {
		return again, nil
	}
	namespace, box, ok, err := r.Box(ctx, n.Bucket)
	if err != nil {
		return again, err
	}
	if !ok {
		n.settled = true // it is nobody's
		return again, nil
	}
	if !n.counted && r.Changed != nil {
		r.Changed(namespace, box, n.Size, n.Removed)
	}
	n.counted = true
	user, file, ok := databox.SplitKey(n.Key)
	if !ok {
		n.settled = true
		return again, nil
	}
	taken, unpublished := r.publish(namespace, box, user, file, e, n)
	if errors.Is(unpublished, events.ErrName) {
		slog.Error("no event can be made of an object", "bucket", n.Bucket, "error", unpublished)
		n.settled = true
		return again, nil
	}
	if n.Removed || user == "" {
		n.started = true
	}
	if !n.started {
		f := starts.File{Namespace: namespace, Box: box, User: user, Path: file}
		if again, err = r.start(ctx, f, e, n, taken); err != nil {
			return again, errors.Join(unpublished, err)
		}
	}
	n.settled = n.started && !taken.IsZero()
	return again, unpublished
}

// start sees to it that a file starts what it should: by its event, and when that does not come in
// time, itself.
func (r *Receiver) start(ctx context.Context, f starts.File, e *entry, n *news, taken time.Time) (again time.Time,
	err error) {
	if n.started, err = r.Started(ctx, f, e.told); err != nil || n.started {
		return again, err
	}
	again = run.Overdue(e.told, taken, r.Grace(), r.Delivered(f.Namespace))
	if time.Now().Before(again) {
		return again, nil
	}
	if err := r.Start(ctx, f); err != nil {
		return time.Time{}, err
	}
	n.started = true
	return time.Time{}, nil
}

// publish gives the event to the Broker, unless it is on its way, and says when it was taken.
func (r *Receiver) publish(namespace, box, user, file string, e *entry, n *news) (taken time.Time, err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.published || !n.taken.IsZero() {
		return n.taken, nil
	}
	event, err := events.Object{
		Namespace: namespace, Box: box, User: user, Path: file, Bucket: n.Bucket, Key: n.Key, Removed: n.Removed,
		ETag: n.ETag, Version: n.Version, Size: n.Size, Time: n.Time, Sequencer: n.Sequencer,
	}.Event()
	if err != nil {
		return taken, fmt.Errorf("%w: %w", events.ErrName, err)
	}
	err = r.Publish(namespace, event, func(err error) {
		n.mu.Lock()
		defer n.mu.Unlock()
		if n.published = false; err != nil {
			slog.Warn("an event of S3's notification was not taken and is published again", "object", e.key, "error", err)
			r.table.queue.AddRateLimited(e.key)
			return
		}
		n.taken = time.Now()
		r.table.queue.Add(e.key)
	})
	n.published = err == nil
	return taken, err
}
