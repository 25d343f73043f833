package starts

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/runbucket"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
)

// Sweeper looks through the boxes with on-upload rules for files of which nobody has told: no S3
// server promises a notification of each. It lists a box and the module's start records, and starts
// what has none, by the same records as everybody else. It never starts what is old: what was there
// before its rule, or longer than a start record lives. All times are by the S3 server's clock.
type Sweeper struct {
	Maker *Maker
	// Look makes the controller look at a box whose bucket or notifications are not as they should
	// be.
	Look func(box types.NamespacedName)

	soon chan string
	seen atomic.Int64 // files, of the present sweep
}

const (
	// probeEvery is how often the S3 server is asked whether it answers.
	probeEvery   = time.Second
	probeTimeout = 5 * time.Second
	maxProbe     = 4 << 10
	// afterGrace is how long after the grace period a sweep begins that something has caused: what
	// came meanwhile is then old enough.
	afterGrace = 10 * time.Second
	// sweepTimeout bounds the sweep of one module. What it has not started then, the next one finds.
	sweepTimeout = 5 * time.Minute
	// modulesAtOnce and startsAtOnce bound what a sweep does at once.
	modulesAtOnce, startsAtOnce = 3, 8
	// restFactor: a sweep takes at most a tenth of the time.
	restFactor = 10
)

// NewSweeper makes one.
func NewSweeper(m *Maker, look func(types.NamespacedName)) *Sweeper {
	return &Sweeper{Maker: m, Look: look, soon: make(chan string, 1)}
}

// Soon has the boxes swept when the grace period of what may have been missed now is over.
func (w *Sweeper) Soon(why string) {
	select {
	case w.soon <- why:
	default: // one is asked for already
	}
}

// Run sweeps until ctx ends: at once, then every uploads.sweepMinutes, and when there is a reason.
// Only the leader runs it.
func (w *Sweeper) Run(ctx context.Context) error {
	probe := time.NewTicker(probeEvery)
	defer probe.Stop()
	next, answers := time.Now(), true
	w.Soon("the controller has begun its work, and what came just before is too young for the first sweep")
	for ctx.Err() == nil {
		now := w.Maker.Settings.Current().Config
		every := now.Uploads.SweepEvery()
		if every > 0 && !time.Now().Before(next) {
			began := time.Now()
			w.seen.Store(0)
			err := w.sweep(ctx)
			slog.Info("boxes were swept for uploads", "files", w.seen.Load(), "seconds", time.Since(began).Seconds())
			if err != nil && ctx.Err() == nil {
				slog.Warn("not every box could be swept for uploads", "error", err)
			}
			next = time.Now().Add(max(every, restFactor*time.Since(began)))
		}
		select {
		case <-ctx.Done():
		case why := <-w.soon:
			slog.Info("boxes are swept for uploads soon", "why", why)
			next = earlier(next, time.Now().Add(now.Runs.Grace()+afterGrace))
		case <-probe.C:
			did := w.answers(ctx)
			if did && !answers {
				w.Soon("S3 answers again")
			}
			answers = did
		}
	}
	return nil
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// answers reports whether the S3 server says anything, be it that it does not know who asks. It is no
// HEAD: the RGW of Ceph 16 ends its answer to that as if it had a body, and each would be a line in
// the log.
func (w *Sweeper) answers(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, probeTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, w.Maker.Settings.Current().Config.S3.Endpoint, nil)
	if err != nil {
		return false
	}
	resp, err := w.Maker.Transport.RoundTrip(req)
	if err != nil {
		return false
	}
	defer resp.Body.Close()
	// So that the connection is used again. The server has answered, however that ends.
	_, _ = io.CopyN(io.Discard, resp.Body, maxProbe)
	return resp.StatusCode < http.StatusInternalServerError
}

// sweep looks through all modules, some at once.
func (w *Sweeper) sweep(ctx context.Context) error {
	var all runtimev1.PipelineList
	if err := w.Maker.Client.List(ctx, &all); err != nil {
		return fmt.Errorf("reading the Pipelines: %w", err)
	}
	modules := map[string][]rule{}
	for i := range all.Items {
		for _, r := range rulesOf(&all.Items[i]) {
			modules[r.Pipeline.Namespace] = append(modules[r.Pipeline.Namespace], r)
		}
	}
	errs := make([]error, 0, len(modules))
	failed := make(chan error, len(modules))
	var g errgroup.Group
	g.SetLimit(modulesAtOnce)
	for namespace, rules := range modules {
		g.Go(func() error {
			ctx, cancel := context.WithTimeout(ctx, sweepTimeout)
			defer cancel()
			if err := w.module(ctx, namespace, rules); err != nil {
				failed <- fmt.Errorf("%s: %w", namespace, err)
			}
			return nil
		})
	}
	err := g.Wait()
	close(failed)
	for e := range failed {
		errs = append(errs, e)
	}
	return errors.Join(append(errs, err)...)
}

// module sweeps the boxes of one module.
func (w *Sweeper) module(ctx context.Context, namespace string, rules []rule) error {
	slices.SortStableFunc(rules, func(a, b rule) int { return cmp.Compare(a.Box, b.Box) })
	var known keys
	var errs []error
	for len(rules) > 0 {
		box := rules[0].Box
		n := slices.IndexFunc(rules, func(r rule) bool { return r.Box != box })
		if n < 0 {
			n = len(rules)
		}
		if err := w.box(ctx, namespace, box, rules[:n], &known); err != nil {
			errs = append(errs, fmt.Errorf("box %s: %w", box, err))
		}
		rules = rules[n:]
	}
	return errors.Join(errs...)
}

// found is a file for which rules have no start record.
type found struct {
	file  File
	rules []rule
}

// box sweeps one box. known are the module's start records, once they were needed.
func (w *Sweeper) box(ctx context.Context, namespace, box string, rules []rule, known *keys) error {
	clock := &s3client.Clock{Transport: w.Maker.Transport}
	store, err := w.Maker.Settings.Open(clock)
	if err != nil {
		return err
	}
	at, err := w.Maker.box(ctx, store, namespace, box)
	var refusal *boxes.Refusal
	if errors.As(err, &refusal) {
		w.Look(types.NamespacedName{Namespace: namespace, Name: box})
		return nil // the box itself says why
	}
	if err != nil || at.box.Dataset {
		return err
	}
	if arn := store.Config.S3.NotificationARN; arn != "" {
		told, err := s3client.HasNotification(ctx, store.Client, at.box.Name, arn)
		if err != nil {
			slog.Warn("whether a box tells of uploads cannot be seen", "namespace", namespace, "box", box, "error", err)
		} else if !told {
			w.Look(types.NamespacedName{Namespace: namespace, Name: box})
		}
	}
	now, ok := clock.Now()
	if !ok {
		return errors.New("the S3 server does not tell the time")
	}
	young := func(came time.Time) bool { return came.After(now.Add(-runbucket.StartsLive)) }
	rules = slices.DeleteFunc(slices.Clone(rules), func(r rule) bool {
		_, seen := r.Pipeline.Status.Uploads.Since(r.RuleID)
		return !seen
	})
	settled := now.Add(-store.Config.Runs.Grace()) // what is younger may be on its way
	candidates := make(chan found)
	g, ctx := errgroup.WithContext(ctx)
	failed := make(chan error, startsAtOnce)
	for range startsAtOnce {
		g.Go(func() error {
			var last error // one file that cannot be started holds up none behind it
			for c := range candidates {
				if err := w.Maker.startAll(ctx, c.file, c.rules, bySweep); err != nil {
					last = err
				}
			}
			failed <- last
			return nil
		})
	}
	g.Go(func() error {
		defer close(candidates)
		objects := store.ListObjects(ctx, at.box.Name, minio.ListObjectsOptions{Prefix: databox.UsersArea,
			Recursive: true})
		for o := range objects {
			if o.Err != nil {
				return fmt.Errorf("listing: %w", o.Err)
			}
			w.seen.Add(1)
			came := o.LastModified.Truncate(time.Second)
			if came.After(settled) || !young(came) {
				continue
			}
			c, err := w.unstarted(ctx, at, box, rules, o, known)
			if err != nil {
				return err
			}
			if len(c.rules) == 0 {
				continue
			}
			select {
			case candidates <- c:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return ctx.Err()
	})
	err = g.Wait()
	close(failed)
	errs := []error{err}
	for e := range failed {
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// unstarted finds the rules that a listed object meets and that have no start record of it.
func (w *Sweeper) unstarted(ctx context.Context, at place, box string, rules []rule, o minio.ObjectInfo,
	known *keys) (found, error) {
	var c found
	user, path, ok := databox.SplitKey(o.Key)
	if !ok || user == "" {
		return c, nil
	}
	c.file = File{Namespace: at.namespace, Box: box, User: user, Path: path}
	for _, r := range rules {
		if !r.Meets(box, path) || !r.holds(o.LastModified.Truncate(time.Second), bySweep) || !c.file.Possible() {
			continue
		}
		if err := known.read(ctx, at); err != nil {
			return c, err
		}
		if !known.has(r.VersionKey(c.file, at.box.Name, o.ETag, o.LastModified)) {
			c.rules = append(c.rules, r)
		}
	}
	return c, nil
}

// keys are those of a module's start records. Each takes some 20 bytes here: of a million records 20
// to 40 MiB.
type keys struct {
	all map[[keyLength]byte]struct{}
}

// keyLength is that of names.Hash.
const keyLength = 10

// read lists the start records, once.
func (k *keys) read(ctx context.Context, at place) error {
	if k.all != nil {
		return nil
	}
	all := map[[keyLength]byte]struct{}{}
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for o := range at.store.ListObjects(ctx, at.runs, minio.ListObjectsOptions{Prefix: records, Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("listing the start records: %w", o.Err)
		}
		if key := strings.TrimPrefix(o.Key, records); len(key) == keyLength {
			all[[keyLength]byte([]byte(key))] = struct{}{}
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	k.all = all
	return nil
}

func (k *keys) has(key string) bool {
	if len(key) != keyLength {
		return false
	}
	_, ok := k.all[[keyLength]byte([]byte(key))]
	return ok
}
