// Package plan decides, from a seed alone, what is asked of the module and what goes wrong
// meanwhile: the same seed is the same plan, so that one that found something can be run again.
package plan

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/e2e/chaos/work"
)

// Plan is a list of loads and one of faults. Faults come one after the other, each not before its
// time; an aimed one waits for its moment.
type Plan struct {
	Seed   uint64
	Runs   int
	Loads  []Load
	Faults []Fault
}

// Load is one start that is asked for: by the upload of a file, or by a call with an input that was
// put there before.
type Load struct {
	// At is when, from the beginning; for a load of a fault, from when the fault is armed.
	At       time.Duration
	Pipeline string
	Name     string // of the file, and of the call
	Lines    int    // of the file
	Call     bool
	// Cancel is how long after the call was accepted the run is cancelled; 0 is never.
	Cancel time.Duration
	// Same: what was not accepted is put again under the same key, else under a new one.
	Same bool
}

// Runs that come of it when all goes well.
func (l Load) Runs() int {
	if l.Pipeline == work.First {
		return 1 + work.Parts
	}
	return 1
}

func (l Load) String() string {
	how := "upload"
	if l.Call {
		how = "call"
	}
	s := fmt.Sprintf("%s %s %s", how, l.Pipeline, l.Name)
	if l.Cancel > 0 {
		s += fmt.Sprintf(", cancelled after %s", l.Cancel)
	}
	return s
}

// Do is what is done.
type Do string

// What can be done to somebody.
const (
	Kill   Do = "kill"   // SIGKILL to the process
	Delete Do = "delete" // of the pod
	Evict  Do = "evict"  // by the eviction API
	Away   Do = "away"   // killed, and kept from coming back for a time
	Freeze Do = "freeze" // SIGSTOP for a time
	Answer Do = "answer" // what stands in the way answers so for a time: Who is s3 or api
	Events Do = "events" // the Broker's ingress: dropped, delayed, doubled, forged
	Module Do = "module" // applied anew, or another one removed
	// Rollout is a rolling restart of the Deployment, as an operator does it.
	Rollout Do = "rollout"
)

// Who it is done to.
const (
	Ingress    = "ingress"
	Filter     = "filter"
	Dispatcher = "dispatcher"
	Controller = "controller"
	Gateway    = "gateway"
	Stage      = "stage" // pod of a stage; for an aimed fault the one that it is about
	Shim       = "shim"  // containerd's, of such a pod
	Kubelet    = "kubelet"
	API        = "kube-apiserver"
	Etcd       = "etcd"
	S3         = "s3"
	NATS       = "nats" // where the Brokers are JetStream's
)

// Answers in the way, as Strike.Who of Answer, Events and Module.
const (
	S3Unavailable = "s3 503"
	S3Stalls      = "s3 stalls"
	S3Breaks      = "s3 breaks off"
	API429        = "api 429"
	API500        = "api 500"
	Dropped       = "dropped"
	Delayed       = "delayed"
	EventsDoubled = "doubled"
	Forged        = "forged"
	AppliedAnew   = "applied anew"
	Removed       = "removed"
)

// Strike is one thing that is done.
type Strike struct {
	Do  Do
	Who string
	For time.Duration // how long it lasts; 0 is a moment
}

// Kind is the strike without its length, for tables.
func (s Strike) Kind() string {
	if s.Do == Answer {
		return s.Who
	}
	return string(s.Do) + " " + s.Who
}

func (s Strike) String() string {
	if s.For == 0 {
		return s.Kind()
	}
	return fmt.Sprintf("%s for %s", s.Kind(), s.For)
}

// Aim is the moment that a fault waits for.
type Aim string

// The moments.
const (
	// Accepted: S3 has taken a file, and has not answered yet.
	Accepted Aim = "upload accepted"
	// Brokered: the Broker has taken the event of a file; its answer has not reached the controller.
	Brokered Aim = "event taken"
	// Noted: the notification of a file lies in S3; S3 has no answer to it yet.
	Noted Aim = "notification kept"
	// Created: a run was made; its maker does not know yet.
	Created Aim = "run made"
	// Recorded: a start record was written; its writer does not know yet.
	Recorded Aim = "start recorded"
	// Returned: S3 answers again after it was away. Files are put at that moment.
	Returned Aim = "S3 returned"
	// Committed: a stage's commit was written; publish does not know yet.
	Committed Aim = "stage committed"
	// Copied: the first copies of outputs are visible, others are not.
	Copied Aim = "copies begun"
	// Waiting: runs wait behind max-parallel-runs.
	Waiting Aim = "runs waiting"
)

// Fault is a strike, at a time or at a moment.
type Fault struct {
	At     time.Duration
	Aim    Aim // empty: at once
	Strike Strike
	// Loads bring the moment about.
	Loads []Load
}

// Kind is the fault's in tables.
func (f Fault) Kind() string {
	if f.Aim == "" {
		return f.Strike.Kind()
	}
	return string(f.Aim) + ": " + f.Strike.Kind()
}

func (f Fault) String() string {
	if f.Aim == "" {
		return f.Strike.String()
	}
	return string(f.Aim) + ": " + f.Strike.String()
}

const second = time.Second

// plain are the faults that come when their time has come.
var plain = []Strike{
	{Kill, Ingress, 0}, {Kill, Filter, 0}, {Kill, Dispatcher, 0}, {Kill, Controller, 0}, {Kill, Gateway, 0},
	{Kill, Stage, 0}, {Kill, Shim, 0}, {Kill, Kubelet, 0}, {Kill, API, 0}, {Kill, Etcd, 0}, {Kill, S3, 0},
	{Delete, Controller, 0}, {Delete, Dispatcher, 0}, {Delete, Stage, 0}, {Evict, Stage, 0},
	{Away, API, 20 * second}, {Away, S3, 20 * second}, {Away, Kubelet, 15 * second},
	{Freeze, API, 12 * second}, {Freeze, S3, 12 * second}, {Freeze, Controller, 20 * second},
	{Answer, S3Unavailable, 15 * second}, {Answer, S3Stalls, 15 * second}, {Answer, S3Breaks, 10 * second},
	{Answer, API429, 10 * second}, {Answer, API500, 10 * second},
	{Events, Dropped, 15 * second}, {Events, Delayed, 15 * second}, {Events, EventsDoubled, 15 * second},
	{Events, Forged, 0},
}

// ofNATS are what comes besides where NATS keeps the events.
var ofNATS = []Strike{{Kill, NATS, 0}, {Away, NATS, 12 * second}, {Freeze, NATS, 12 * second}}

type moment struct {
	aim     Aim
	strikes []Strike
}

// decks are all that can be done on a cluster.
func decks(jetstream bool) ([]Strike, []moment) {
	if !jetstream {
		return plain, aimed
	}
	return slices.Concat(plain, ofNATS), slices.Concat(aimed, []moment{
		{Accepted, []Strike{{Kill, NATS, 0}, {Away, NATS, 12 * second}}}, {Brokered, []Strike{{Kill, NATS, 0}}},
		{Created, []Strike{{Kill, NATS, 0}, {Away, NATS, 12 * second}}}, {Committed, []Strike{{Kill, NATS, 0}}},
	})
}

// aimed are moments, each with what may be done then.
var aimed = []moment{
	{Accepted, []Strike{{Away, API, 20 * second}, {Kill, Dispatcher, 0}, {Kill, Controller, 0}, {Kill, S3, 0},
		{Away, Controller, 10 * second}}},
	{Brokered, []Strike{{Kill, Filter, 0}, {Kill, Dispatcher, 0}, {Kill, Controller, 0}, {Away, API, 12 * second}}},
	{Noted, []Strike{{Kill, Controller, 0}, {Away, S3, 12 * second}, {Away, API, 12 * second}}},
	{Created, []Strike{{Kill, Controller, 0}, {Freeze, API, 12 * second}, {Away, S3, 12 * second}}},
	{Recorded, []Strike{{Kill, Controller, 0}, {Away, API, 12 * second}, {Kill, Filter, 0}}},
	{Returned, []Strike{{Away, S3, 12 * second}}},
	{Committed, []Strike{{Kill, Stage, 0}, {Evict, Stage, 0}, {Delete, Stage, 0}, {Kill, Shim, 0},
		{Kill, Controller, 0}, {Away, S3, 12 * second}}},
	{Copied, []Strike{{Kill, Stage, 0}, {Answer, S3Unavailable, 10 * second}, {Kill, Shim, 0}}},
	{Waiting, []Strike{{Kill, Controller, 0}, {Delete, Controller, 0}, {Freeze, Controller, 20 * second}}},
}

// long is from how many runs on a plan has what takes long: a second module, to be removed in the
// middle, and what every long plan has once.
const long = 30

// once are what every long plan has once, with files that are put while it lasts.
func (m *maker) once(budget *int) (rollout, noAPI Fault) {
	rollout = Fault{Strike: Strike{Rollout, Controller, 0}}
	noAPI = Fault{Aim: Accepted, Strike: Strike{Away, API, 60 * second}}
	for _, x := range []struct {
		fault *Fault
		gap   time.Duration
	}{{&rollout, 3 * second}, {&noAPI, 12 * second}} {
		for i, pipeline := range []string{work.Diamond, work.Shaky, work.Turns, work.Diamond} {
			l := m.load(Load{Pipeline: pipeline})
			l.At = time.Duration(i) * x.gap
			x.fault.Loads = append(x.fault.Loads, l)
			*budget -= l.Runs()
		}
	}
	return rollout, noAPI
}

// Two reports whether the plan needs a second module.
func (p Plan) Two() bool { return p.Runs >= long }

// Make plans so many runs, of a cluster whose Brokers are JetStream's or not. Half of the faults are
// aimed.
func Make(seed uint64, runs int, jetstream bool) Plan {
	m := &maker{rand: rand.New(rand.NewPCG(seed, 1)), seed: seed}
	p := Plan{Seed: seed, Runs: runs}
	faults := max(4, runs*30/100)
	strikes, moments := decks(jetstream)
	plainDeck, aimedDeck := dealer(m.rand, strikes), dealer(m.rand, moments)
	at := 2 * second
	budget := runs * 7 / 10 // the rest is spread
	var rollout, noAPI Fault
	if runs >= long {
		rollout, noAPI = m.once(&budget)
	}
	add := func(f Fault) {
		f.At = at
		p.Faults = append(p.Faults, f)
		at += f.Strike.For
	}
	for n := range faults {
		f := Fault{At: at}
		if n%2 == 0 {
			a := aimedDeck()
			f.Aim, f.Strike = a.aim, a.strikes[m.rand.IntN(len(a.strikes))]
			f.Loads = m.loadsOf(a.aim, &budget)
		}
		if f.Loads == nil { // a moment that nothing is left to bring about
			f.Aim, f.Strike = "", plainDeck()
			if f.Strike.Who == Stage || f.Strike.Who == Shim { // somebody must be there
				f.Loads = m.loadsOf("", &budget)
			}
		}
		p.Faults = append(p.Faults, f)
		at += f.Strike.For + 10*second + time.Duration(m.rand.IntN(6))*second
		switch {
		case n == faults*2/5:
			add(Fault{Strike: Strike{Do: Module, Who: AppliedAnew}})
		case runs < long:
		case n == faults/5:
			add(rollout)
		case n == faults*3/5:
			add(Fault{Strike: Strike{Do: Module, Who: Removed}})
		case n == faults*4/5:
			add(noAPI)
		}
	}
	left := runs
	for _, f := range p.Faults {
		for _, l := range f.Loads {
			left -= l.Runs()
		}
	}
	kinds := dealer(m.rand, mix)
	for left > 0 {
		l := m.load(kinds())
		if l.Runs() <= left {
			left -= l.Runs()
			l.At = time.Duration(m.rand.Int64N(int64(at)))
			p.Loads = append(p.Loads, l)
		}
	}
	slices.SortStableFunc(p.Loads, func(a, b Load) int { return int(a.At - b.At) })
	return p
}

// mix is what is asked for, beside what aimed faults ask for.
var mix = []Load{
	{Pipeline: work.Diamond}, {Pipeline: work.Diamond, Call: true}, {Pipeline: work.First}, {Pipeline: work.Shaky},
	{Pipeline: work.Shaky, Call: true}, {Pipeline: work.Broken, Call: true}, {Pipeline: work.Turns},
	{Pipeline: work.Turns, Call: true}, {Pipeline: work.Turns, Call: true}, {Pipeline: work.Slow, Call: true},
}

type maker struct {
	rand  *rand.Rand
	seed  uint64
	count int
}

func (m *maker) load(l Load) Load {
	m.count++
	l.Name = fmt.Sprintf("s%d-%03d.csv", m.seed, m.count)
	l.Lines = 20 + m.rand.IntN(400)
	l.Same = m.rand.IntN(3) == 0
	if l.Pipeline == work.Slow {
		l.Cancel = time.Duration(2+m.rand.IntN(12)) * second
	}
	return l
}

// loadsOf are what brings a moment about; nil when the budget does not suffice.
func (m *maker) loadsOf(a Aim, budget *int) []Load {
	one := func(pipelines ...string) []Load {
		return []Load{{Pipeline: pipelines[m.rand.IntN(len(pipelines))]}}
	}
	var loads []Load
	switch a {
	case Accepted, Brokered, Noted, Created, Recorded:
		loads = one(work.Diamond, work.Shaky, work.Turns)
	case Returned:
		loads = []Load{{Pipeline: work.Shaky}, {Pipeline: work.Turns}, {Pipeline: work.Turns}}
	case "":
		loads = one(work.Diamond)
	case Committed:
		loads = one(work.Diamond, work.First)
	case Copied:
		loads = one(work.First)
	case Waiting:
		loads = slices.Repeat([]Load{{Pipeline: work.Turns, Call: true}}, work.Limit+2)
	}
	cost := 0
	for _, l := range loads {
		cost += l.Runs()
	}
	if cost > *budget {
		return nil
	}
	*budget -= cost
	for i := range loads {
		loads[i] = m.load(loads[i])
	}
	return loads
}

// dealer deals cards of a shuffled deck, and shuffles it again when all were dealt: each comes before
// any comes twice.
func dealer[T any](r *rand.Rand, deck []T) func() T {
	var hand []T
	return func() T {
		if len(hand) == 0 {
			hand = slices.Clone(deck)
			r.Shuffle(len(hand), func(a, b int) { hand[a], hand[b] = hand[b], hand[a] })
		}
		card := hand[0]
		hand = hand[1:]
		return card
	}
}

// Kinds are the faults that can be, for documents and tests.
func Kinds(jetstream bool) []string {
	plain, aimed := decks(jetstream)
	all := []string{Fault{Strike: Strike{Rollout, Controller, 0}}.Kind()}
	for _, s := range plain {
		all = append(all, Fault{Strike: s}.Kind())
	}
	for _, a := range aimed {
		for _, s := range a.strikes {
			all = append(all, Fault{Aim: a.aim, Strike: s}.Kind())
		}
	}
	return all
}

// String is the plan as it is printed.
func (p Plan) String() string {
	var b strings.Builder
	fmt.Fprintf(&b, "seed %d, %d runs: %d loads, %d faults\n", p.Seed, p.Runs, len(p.Loads), len(p.Faults))
	type line struct {
		at   time.Duration
		text string
	}
	var lines []line
	for _, l := range p.Loads {
		lines = append(lines, line{l.At, l.String()})
	}
	for _, f := range p.Faults {
		text := "FAULT " + f.String()
		for _, l := range f.Loads {
			text += "; " + l.String()
		}
		lines = append(lines, line{f.At, text})
	}
	slices.SortStableFunc(lines, func(a, b line) int { return int(a.at - b.at) })
	for _, l := range lines {
		fmt.Fprintf(&b, "%6.1f s  %s\n", l.at.Seconds(), l.text)
	}
	return b.String()
}
