package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// testCase is one kind of request.
type testCase struct {
	name        string
	title       string
	tensor      func() tensor
	embedding   int // so many numbers are asked for instead of the tensor's sum
	workers     []int
	connections []int
	sides       []string
	minCalls    int // of one measurement, where a call takes long
}

var (
	peerSides = []string{"fastapi", "fastapi-plain", "flask", "aiohttp"}

	cases = []testCase{
		{
			name: "1k", title: "1 KB JSON", tensor: func() tensor { return ofJSON(1 << 10) }, workers: []int{1, 2},
			connections: []int{1, 16},
			sides:       slices.Concat([]string{"unip", "unip-std"}, peerSides, []string{"go"}),
		},
		{
			name: "100k", title: "100 KB JSON", tensor: func() tensor { return ofJSON(100 << 10) },
			workers: []int{1, 2}, connections: []int{1, 16},
			sides: slices.Concat([]string{"unip", "unip-std"}, peerSides, []string{"go"}),
		},
		{
			name: "embedding", title: "1024 numbers answered", tensor: func() tensor { return tensor{1024} },
			embedding: 1024, workers: []int{1}, connections: []int{1, 16},
			sides: slices.Concat([]string{"unip", "unip-std"}, peerSides),
		},
		{
			// One worker and one connection: a call of the slowest side takes seconds, and sixteen
			// of them at once gigabytes.
			name: "10m", title: "10 MB tensor", tensor: func() tensor { return ofBytes(10 << 20) }, workers: []int{1},
			connections: []int{1}, minCalls: 2,
			sides: slices.Concat([]string{"unip", "unip-std", "unip-binary", "unip-binary-std"}, peerSides),
		},
	}
)

func caseNames() []string {
	var names []string
	for _, c := range cases {
		names = append(names, c.name)
	}
	return names
}

// figures of one measurement.
type figures struct {
	rate, p50, p99 float64 // calls a second; microseconds
	cpu            float64 // seconds for 1000 calls, all processes of the side
}

// result is a side in a case: the median of each figure.
type result struct {
	testCase
	side                 side
	workers, connections int
	figures
	peak      int64
	processes int
}

type bench struct {
	server, worker, dir string
	orjson              bool
	started             int
}

// measure has all sides of a case up at once, and each measured in turn, round after round.
func (b *bench) measure(ctx context.Context, c testCase, workers int) ([]result, error) {
	var up []*instance
	defer func() {
		for _, i := range up {
			i.stop()
		}
	}()
	q := question{c.tensor(), c.embedding}
	for _, s := range sides {
		if !slices.Contains(c.sides, s.key) || !wanted(s.key) || s.key == "unip-std" && !b.orjson {
			continue
		}
		e, err := b.environment()
		if err != nil {
			return nil, err
		}
		i, err := start(ctx, s, e, workers, q)
		if errors.Is(err, errAbsent) {
			fmt.Fprintf(os.Stderr, "%s: %s is left out: %s %s\n", c.title, s.name, s.path, err)
			continue
		}
		if err != nil {
			return nil, err
		}
		up = append(up, i)
	}
	all := map[int]map[string][]figures{}
	for _, n := range c.connections {
		all[n] = map[string][]figures{}
		for round := range *rounds + 1 { // the first warms up
			fmt.Fprintf(os.Stderr, "%s, %d workers, %d connections: round %d of %d\n", c.title, workers, n, round,
				*rounds)
			for k := range up {
				i := up[(k+round)%len(up)] // no side always comes after the same one's leftovers in the caches
				f, err := i.once(ctx, n, c.minCalls, round == 0)
				if err != nil {
					return nil, fmt.Errorf("%s: %w", i.name, err)
				}
				if round > 0 {
					all[n][i.key] = append(all[n][i.key], f)
				}
			}
		}
	}
	var results []result
	for _, n := range c.connections {
		for _, i := range up {
			u, err := use(i.processes)
			if err != nil {
				return nil, err
			}
			results = append(results, result{c, i.side, workers, n, medians(all[n][i.key]), u.peak, u.processes})
		}
	}
	return results, nil
}

// once is one measurement.
func (i *instance) once(ctx context.Context, connections, minCalls int, warm bool) (figures, error) {
	if err := ctx.Err(); err != nil {
		return figures{}, err
	}
	length := time.Duration(*seconds * float64(time.Second))
	if warm {
		length, minCalls = length/2, 0
	}
	before, err := use(i.processes)
	if err != nil {
		return figures{}, err
	}
	l, err := drive(i.address, i.request, i.answer, connections, minCalls, length)
	if err != nil {
		return figures{}, err
	}
	after, err := use(i.processes)
	if err != nil {
		return figures{}, err
	}
	calls := float64(l.calls)
	return figures{
		rate: calls / l.wall.Seconds(), p50: float64(l.p50.Nanoseconds()) / 1e3,
		p99: float64(l.p99.Nanoseconds()) / 1e3,
		cpu: (after.cpu - before.cpu).Seconds() * 1000 / calls,
	}, nil
}

func (b *bench) environment() (environment, error) {
	b.started++
	e := environment{server: b.server, worker: b.worker, python: *python, dir: filepath.Join(b.dir, "peers"),
		own: filepath.Join(b.dir, fmt.Sprint(b.started))}
	if err := os.Mkdir(e.own, 0o700); err != nil {
		return e, err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return e, err
	}
	defer l.Close()
	e.port = l.Addr().(*net.TCPAddr).Port
	return e, nil
}

func medians(all []figures) figures {
	median := func(of func(figures) float64) float64 {
		var values []float64
		for _, f := range all {
			values = append(values, of(f))
		}
		slices.Sort(values)
		return values[len(values)/2]
	}
	return figures{
		median(func(f figures) float64 { return f.rate }), median(func(f figures) float64 { return f.p50 }),
		median(func(f figures) float64 { return f.p99 }), median(func(f figures) float64 { return f.cpu }),
	}
}
