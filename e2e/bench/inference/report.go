package main

import (
	"fmt"
	"io"
)

// report writes the table, and below it what this comparison is for: ratios to FastAPI, and the
// distance to the bare handler. FastAPI's figure is in each ratio the better one of its two forms.
func report(w io.Writer, results []result) {
	fmt.Fprint(w,
		"| request | workers | connections | | calls/s | p50 µs | p99 µs | CPU s / 1000 calls | peak MiB | calls/s, of FastAPI's | calls per CPU s, of FastAPI's |\n|---|---|---|---|---|---|---|---|---|---|---|\n")
	for _, r := range results {
		rate, cpu := "", ""
		if best := fastAPI(results, r); best != nil {
			rate, cpu = fmt.Sprintf("%.2f", r.rate/best.rate), fmt.Sprintf("%.2f", best.cpu/r.cpu)
		}
		fmt.Fprintf(w, "| %s | %d | %d | %s | %s | %.0f | %.0f | %.3f | %.0f | %s | %s |\n",
			r.title, r.workers, r.connections, r.side.name, count(r.rate), r.p50, r.p99, r.cpu, float64(r.peak)/(1<<20),
			rate, cpu)
	}
	fmt.Fprintln(w)
	for _, r := range results {
		best, plain, bare := fastAPI(results, r), find(results, r, "fastapi-plain"), find(results, r, "go")
		if best == nil || plain == nil || !r.side.ours {
			continue
		}
		fmt.Fprintf(w,
			"- %s, workers %d, connections %d, %s: %.2f times the calls per CPU second of FastAPI's best form, %.2f of its plain one; p99 %.2f of its best",
			r.title, r.workers, r.connections, r.side.name, best.cpu/r.cpu, plain.cpu/r.cpu, r.p99/best.p99)
		if bare != nil && r.connections == 1 {
			fmt.Fprintf(w, "; p50 %.0f µs above the bare handler", r.p50-bare.p50)
		}
		fmt.Fprintln(w, ".")
	}
}

// fastAPI gives the better of each figure of FastAPI's two forms in the row's own case, nil if none
// was measured.
func fastAPI(results []result, row result) *figures {
	async, plain := find(results, row, "fastapi"), find(results, row, "fastapi-plain")
	switch {
	case async == nil:
		return plain
	case plain == nil:
		return async
	}
	return &figures{max(async.rate, plain.rate), min(async.p50, plain.p50), min(async.p99, plain.p99),
		min(async.cpu, plain.cpu)}
}

// find gives the figures of a side in the row's own case, nil if it was not measured.
func find(results []result, row result, key string) *figures {
	for i := range results {
		r := &results[i]
		if r.name == row.name && r.workers == row.workers && r.connections == row.connections && r.side.key == key {
			return &r.figures
		}
	}
	return nil
}

func count(rate float64) string {
	if rate < 100 {
		return fmt.Sprintf("%.1f", rate)
	}
	return fmt.Sprintf("%.0f", rate)
}
