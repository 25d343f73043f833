package main

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/e2e/chaos/judge"
	"github.com/unip-knative/unip/e2e/chaos/work"
)

// Report is what came of a seed.
type Report struct {
	Seed     uint64          `json:"seed"`
	Runs     int             `json:"runs"`
	Took     time.Duration   `json:"took"`
	Judged   int             `json:"judged"`
	Faults   int             `json:"faults"`
	Findings []judge.Finding `json:"findings"`
	// Quiet are medians of runs without faults, by pipeline.
	Quiet   map[string]time.Duration `json:"quiet"`
	Delays  []judge.Delay            `json:"delays"`
	Missed  []string                 `json:"missed"`  // faults that could not be made
	Refused []string                 `json:"refused"` // what was never accepted
}

func makeReport(o options, begun time.Time, calm, after judge.Verdict, s *striker, l *ledger) *Report {
	quiet := judge.Quiet(calm.Judged)
	delete(quiet, work.Turns) // they wait for each other
	return &Report{
		Seed: o.seed, Runs: o.runs, Took: time.Since(begun), Judged: len(after.Judged),
		Faults: len(s.windows), Findings: after.Findings,
		Quiet: quiet, Delays: judge.Delays(after.Judged, quiet, s.windows), Missed: s.missed, Refused: l.refused,
	}
}

// Markdown is the report for people.
func (r *Report) Markdown() string {
	var b strings.Builder
	verdict := "nothing was lost, doubled, changed or left behind"
	if n := len(r.Findings); n > 0 {
		verdict = fmt.Sprintf("%d findings", n)
	}
	fmt.Fprintf(&b, "## Seed %d: %d runs judged within %s: %s\n\n", r.Seed, r.Judged, r.Took.Round(time.Second), verdict)
	fmt.Fprintf(&b, "Quiet medians:")
	for _, p := range slices.Sorted(maps.Keys(r.Quiet)) {
		fmt.Fprintf(&b, " %s %.0f s;", p, r.Quiet[p].Seconds())
	}
	fmt.Fprint(&b, "\n\n| fault | times | runs met | of them no other fault | their median delay, s | their longest, s |"+
		" longest of all, s | of run |\n|---|---|---|---|---|---|---|---|\n")
	for _, d := range r.Delays {
		median, longest := "", ""
		if d.Alone > 0 {
			median, longest = fmt.Sprintf("%.0f", d.AloneMedian.Seconds()), fmt.Sprintf("%.0f", d.AloneMost.Seconds())
		}
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s | %s | %.0f | %s |\n", d.Kind, d.Faults, d.Runs, d.Alone, median, longest,
			d.Most.Seconds(), d.Worst)
	}
	count := func(kinds ...string) int {
		n := 0
		for _, f := range r.Findings {
			if slices.Contains(kinds, f.Kind) {
				n++
			}
		}
		return n
	}
	// As a line of the table of seeds in docs/reliability.md, but for the commit.
	fmt.Fprintf(&b, "\n| %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | |\n", r.Seed, r.Judged, r.Faults,
		count(judge.Lost), count(judge.Doubled, judge.Unasked), count(judge.Unended, judge.Wrong, judge.Record),
		count(judge.Missing, judge.Bytes, judge.Extra), count(judge.Orphan), count(judge.OverLimit, judge.AfterEnd),
		r.Took.Round(time.Second))
	list := func(title string, all []string) {
		if len(all) == 0 {
			return
		}
		fmt.Fprintf(&b, "\n%s:\n\n", title)
		for _, x := range all {
			fmt.Fprintf(&b, "- %s\n", strings.ReplaceAll(x, "\n", " "))
		}
	}
	var findings []string
	for _, f := range r.Findings {
		findings = append(findings, "**"+f.Kind+"**: `"+f.Subject+"`: "+f.Detail)
	}
	list("Findings", findings)
	list("Never accepted", r.Refused)
	list("Faults that could not be made", r.Missed)
	return b.String()
}
