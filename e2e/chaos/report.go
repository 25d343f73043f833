package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/e2e/chaos/judge"
	"github.com/unip-knative/unip/e2e/chaos/work"
)

// Report is what came of a seed.
type Report struct {
	Seed uint64 `json:"seed"`
	// Commit of the checkout, and how many replicas the controller had.
	Commit      string `json:"commit"`
	Controllers int    `json:"controllers"`
	// JetStream: the Brokers' channels were NATS'.
	JetStream bool `json:"jetstream,omitempty"`

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
		Seed: o.seed, Commit: s.world.commit, Controllers: s.world.controllers, Runs: o.runs,
		JetStream: o.jetstream,
		Took:      time.Since(begun), Judged: len(after.Judged), Faults: len(s.windows), Findings: after.Findings,
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
		median, longest := alone(d)
		fmt.Fprintf(&b, "| %s | %d | %d | %d | %s | %s | %.0f | %s |\n", d.Kind, d.Faults, d.Runs, len(d.Alone), median,
			longest, d.Most.Seconds(), d.Worst)
	}
	fmt.Fprintf(&b, "\n%s", r.seed())
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

// alone are the median and the longest of what a fault alone cost, in seconds; empty without any.
func alone(d judge.Delay) (median, longest string) {
	if len(d.Alone) == 0 {
		return "", ""
	}
	return fmt.Sprintf("%.0f", d.Median().Seconds()), fmt.Sprintf("%.0f", d.Longest().Seconds())
}

// seed is the line of the report in the table of seeds.
func (r *Report) seed() string {
	count := func(kinds ...string) int {
		n := 0
		for _, f := range r.Findings {
			if slices.Contains(kinds, f.Kind) {
				n++
			}
		}
		return n
	}
	seed := fmt.Sprint(r.Seed)
	if r.JetStream {
		seed += " on JetStream"
	}
	return fmt.Sprintf("| %s | %d | %d | %d | %d | %d | %d | %d | %d | %d | %d | %s | %s |\n", seed, r.Controllers,
		r.Judged, r.Faults, len(r.Missed), count(judge.Lost), count(judge.Doubled, judge.Unasked),
		count(judge.Unended, judge.Wrong, judge.Record), count(judge.Missing, judge.Bytes, judge.Extra),
		count(judge.Orphan), count(judge.OverLimit, judge.AfterEnd), r.Took.Round(time.Second), r.Commit)
}

// tables are those of docs/reliability.md: a line of each seed, and what each kind of fault cost in
// all of them, whatever moment it was aimed at.
func tables(all []*Report) string {
	var b strings.Builder
	b.WriteString("| seed | controllers | runs | faults | not made | lost | doubled | wrong end | wrong output | left behind |" +
		" too many at once | took | at commit |\n|---|---|---|---|---|---|---|---|---|---|---|---|---|\n")
	costs := map[string]judge.Delay{}
	for _, r := range all {
		b.WriteString(r.seed())
		for _, d := range r.Delays {
			kind := d.Kind
			if _, strike, aimed := strings.Cut(kind, ": "); aimed {
				kind = strike
			}
			c := costs[kind]
			c.Faults += d.Faults
			c.Alone = append(c.Alone, d.Alone...)
			c.Most = max(c.Most, d.Most)
			costs[kind] = c
		}
	}
	b.WriteString("\n| fault | times | runs that met no other | their median delay, s | their longest, s |" +
		" longest with others, s |\n|---|---|---|---|---|---|\n")
	for _, kind := range slices.Sorted(maps.Keys(costs)) {
		c := costs[kind]
		median, longest := alone(c)
		fmt.Fprintf(&b, "| %s | %d | %d | %s | %s | %.0f |\n", kind, c.Faults, len(c.Alone), median, longest,
			c.Most.Seconds())
	}
	return b.String()
}

// readReports reads what chaos has written.
func readReports(files []string) ([]*Report, error) {
	var all []*Report
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		r := &Report{}
		if err := json.Unmarshal(b, r); err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		all = append(all, r)
	}
	slices.SortFunc(all, func(a, b *Report) int {
		return cmp.Or(cmp.Compare(a.Controllers, b.Controllers), cmp.Compare(a.Seed, b.Seed))
	})
	return all, nil
}
