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
	// Median and Most of what they took beyond the quiet median of their pipeline; never below zero.
	Median, Most time.Duration
	Worst        string // the run of Most
}

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
// faults counts for each.
func Delays(runs []Judged, quiet map[string]time.Duration, faults []Window) []Delay {
	var table []Delay
	late := map[string]map[string]time.Duration{} // by kind and run
	for _, f := range faults {
		at := slices.IndexFunc(table, func(d Delay) bool { return d.Kind == f.Kind })
		if at < 0 {
			at = len(table)
			table = append(table, Delay{Kind: f.Kind})
			late[f.Kind] = map[string]time.Duration{}
		}
		table[at].Faults++
		for _, r := range runs {
			if r.Run.Done() && r.Asked.Before(f.To) && r.Run.Ended.After(f.From) {
				late[f.Kind][r.Run.Name] = max(0, r.Took()-quiet[r.Run.Pipeline])
			}
		}
	}
	for i := range table {
		d := &table[i]
		var all []time.Duration
		for name, took := range late[d.Kind] {
			all = append(all, took)
			if took > d.Most || d.Worst == "" || took == d.Most && name < d.Worst {
				d.Most, d.Worst = took, name
			}
		}
		d.Runs, d.Median = len(all), median(all)
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
