package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/unip-knative/unip/e2e/chaos/judge"
	"github.com/unip-knative/unip/e2e/chaos/plan"
	"github.com/unip-knative/unip/e2e/chaos/work"
)

type options struct {
	seed     uint64
	runs     int
	patience time.Duration
	only     string
	keep     bool
	replicas int
	// jetstream: the Brokers' channels are NATS'.
	jetstream bool
}

// onJetStream reports a local cluster that was made so.
func onJetStream() bool { return os.Getenv("UNIP_CLUSTER_BROKER") == "jetstream" }

// run makes the chaos of a seed and judges it. What it has changed of the cluster is undone when it
// returns, also when ctx ends.
func run(ctx context.Context, o options) (report *Report, err error) {
	begun := time.Now()
	p := plan.Make(o.seed, o.runs, o.jetstream)
	fmt.Print(p)
	w, err := connect(ctx)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, w.close(context.WithoutCancel(ctx), o.keep)) }()
	if err := w.prepare(ctx, p.Two(), o.replicas); err != nil {
		return nil, err
	}
	l := newLedger(w, o.seed)
	watching, stop := context.WithCancel(ctx)
	defer stop()
	seen := watch(watching, w)
	go progress(watching, w, begun, l, seen)

	w.say("quiet runs, for their times")
	l.all(ctx, quiet())
	if err := settle(ctx, w, l, seen, time.Now().Add(o.patience)); err != nil {
		return nil, err
	}
	before, err := facts(ctx, w, l, seen)
	if err != nil {
		return nil, err
	}
	calm := judge.Judge(before)
	if len(calm.Findings) > 0 {
		return nil, fmt.Errorf("without any fault: %v", calm.Findings)
	}

	w.say("now the faults")
	chaos := time.Now()
	var loads sync.WaitGroup
	loads.Go(func() { l.all(ctx, p.Loads) })
	s := &striker{world: w, ledger: l, seen: seen, loads: &loads, only: o.only, jetstream: o.jetstream}
	s.all(ctx, p.Faults, chaos)
	loads.Wait()
	w.say("no more faults; waiting for the end of all runs")
	if err := settle(ctx, w, l, seen, time.Now().Add(o.patience)); err != nil {
		return nil, err
	}
	after, err := facts(ctx, w, l, seen)
	if err != nil {
		return nil, err
	}
	return makeReport(o, begun, calm, judge.Judge(after), s, l), ctx.Err()
}

// quiet are runs of each pipeline, one after the other.
func quiet() []plan.Load {
	var loads []plan.Load
	for i, p := range []string{work.Diamond, work.First, work.Shaky, work.Broken, work.Turns} {
		loads = append(loads, plan.Load{At: time.Duration(i) * 5 * time.Second, Pipeline: p, Lines: 100,
			Name: "quiet-" + p + ".csv", Call: work.Folder(p) == ""})
	}
	return loads
}

// settle waits until nothing is found any more, or the time is over.
func settle(ctx context.Context, w *world, l *ledger, seen *seen, until time.Time) error {
	told := ""
	for {
		f, err := facts(ctx, w, l, seen)
		if err != nil {
			w.say("reading what is there: %v", err)
		} else {
			v := judge.Judge(f)
			if len(v.Findings) == 0 || time.Now().After(until) {
				return nil
			}
			if now := kinds(v.Findings); now != told {
				told = now
				w.say("not yet: %s", now)
			}
		}
		if time.Now().After(until.Add(2 * time.Minute)) {
			return errors.New("what is there cannot be read")
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(3 * time.Second):
		}
	}
}

// kinds counts findings by their kind.
func kinds(all []judge.Finding) string {
	count := map[string]int{}
	for _, f := range all {
		count[f.Kind]++
	}
	var words []string
	for _, kind := range slices.Sorted(maps.Keys(count)) {
		words = append(words, fmt.Sprintf("%d %s", count[kind], kind))
	}
	return strings.Join(words, ", ")
}

// progress tells every ten seconds how far all is.
func progress(ctx context.Context, w *world, begun time.Time, l *ledger, s *seen) {
	tick := time.NewTicker(10 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			w.say("%4.0f s: %s; %s", time.Since(begun).Seconds(), l.counts(), s.counts())
		}
	}
}

// say prints a line with the time.
func (w *world) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	fmt.Printf("%s  %s\n", time.Now().Format("15:04:05.0"), strings.ReplaceAll(text, "\n", " "))
}
