package main

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/e2e/chaos/judge"
)

// The tables have a line of each seed, and one of each kind of fault over all seeds and moments.
func TestTables(t *testing.T) {
	t.Parallel()
	const s = time.Second
	took := func(all ...time.Duration) []time.Duration { return all }
	got := tables([]*Report{
		{Seed: 2, Commit: "abc", Controllers: 1, Judged: 107, Faults: 3, Took: 700 * s, Missed: []string{"kill stage"},
			Findings: []judge.Finding{{Kind: judge.Lost}, {Kind: judge.Orphan}, {Kind: judge.Orphan}},
			Delays: []judge.Delay{
				{Kind: "kill controller", Faults: 1, Runs: 3, Alone: took(9*s, s), Most: 20 * s},
				{Kind: "upload accepted: kill controller", Faults: 1, Runs: 1, Alone: took(4 * s), Most: 4 * s},
			}},
		{Seed: 3, Commit: "abc", Controllers: 2, Judged: 105, Faults: 1, Took: 61 * s,
			Delays: []judge.Delay{{Kind: "s3 503", Faults: 1, Runs: 2, Most: 30 * s}}},
	})
	want := `| seed | controllers | runs | faults | not made | lost | doubled | wrong end | wrong output | left behind |` +
		` too many at once | took | at commit |
|---|---|---|---|---|---|---|---|---|---|---|---|---|
| 2 | 1 | 107 | 3 | 1 | 1 | 0 | 0 | 0 | 2 | 0 | 11m40s | abc |
| 3 | 2 | 105 | 1 | 0 | 0 | 0 | 0 | 0 | 0 | 0 | 1m1s | abc |

| fault | times | runs that met no other | their median delay, s | their longest, s | longest with others, s |
|---|---|---|---|---|---|
| kill controller | 2 | 3 | 4 | 9 | 20 |
| s3 503 | 1 | 0 |  |  | 30 |
`
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}
