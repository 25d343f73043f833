package judge

import (
	"slices"
	"time"
)

// Window is a time in which a fault was.
type Window struct {
	Kind     string
	From, To time.Time
}

// Delay is what the faults of one kind cost the runs that were under way meanwhile.
type Delay struct {
	Kind   string
	Faults int
	// Runs that were asked for before the fault's end and ended after its beginning.
	Runs int
	// Alone is what those of them that met no other fault took beyond the quiet median of their
	// pipeline, and Most the most that any took; never below zero.
	Alone []time.Duration `json:"AloneTook"`
	Most  time.Duration
	Worst string // the run of Most
}

// Median of Alone, which is not empty.
func (d Delay) Median() time.Duration { return median(slices.Clone(d.Alone)) }

// Longest of Alone, which is not empty.
func (d Delay) Longest() time.Duration { return slices.Max(d.Alone) }

// Took is how long a run took from the moment that it was asked for.
func (j Judged) Took() time.Duration { return j.Run.Ended.Sub(j.Asked) }

// Quiet are the medians by pipeline of runs without faults.
func Quiet(runs []Judged) map[string]time.Duration {
	took := map[string][]time.Duration{}
	for _, r := range runs {
		if r.Run.Done() {
			took[r.Run.Pipeline] = append(took[r.Run.Pipeline], r.Took())
		}
	}
	medians := map[string]time.Duration{}
	for pipeline, all := range took {
		medians[pipeline] = median(all)
	}
	return medians
}

// Delays are a table by kind of fault, in the order in which they came first. A run that met several
// faults counts for each, but only one that met no other says what a fault costs. Pipelines without
// a quiet median are left out.
func Delays(runs []Judged, quiet map[string]time.Duration, faults []Window) []Delay {
	var table []Delay
	met := make([]int, len(runs)) // how many faults each run has met
	meets := func(r Judged, f Window) bool {
		_, known := quiet[r.Run.Pipeline]
		return known && r.Run.Done() && r.Asked.Before(f.To) && r.Run.Ended.After(f.From)
	}
	for _, f := range faults {
		if at := slices.IndexFunc(table, func(d Delay) bool { return d.Kind == f.Kind }); at >= 0 {
			table[at].Faults++
		} else {
			table = append(table, Delay{Kind: f.Kind, Faults: 1})
		}
		for i, r := range runs {
			if meets(r, f) {
				met[i]++
			}
		}
	}
	for n := range table {
		d := &table[n]
		for i, r := range runs {
			if !slices.ContainsFunc(faults, func(f Window) bool { return f.Kind == d.Kind && meets(r, f) }) {
				continue
			}
			late := max(0, r.Took()-quiet[r.Run.Pipeline])
			d.Runs++
			if met[i] == 1 {
				d.Alone = append(d.Alone, late)
			}
			if late > d.Most || d.Worst == "" {
				d.Most, d.Worst = late, r.Run.Name
			}
		}
	}
	return table
}

func median(all []time.Duration) time.Duration {
	if len(all) == 0 {
		return 0
	}
	slices.Sort(all)
	return all[(len(all)-1)/2]
}
