package plan_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/e2e/chaos/plan"
	"github.com/unip-knative/unip/e2e/chaos/work"
)

// A seed is a plan: the same every time, another one for another seed.
func TestSeedIsAPlan(t *testing.T) {
	t.Parallel()
	if d := cmp.Diff(plan.Make(7, 100, false), plan.Make(7, 100, false)); d != "" {
		t.Errorf("the same seed:\n%s", d)
	}
	if plan.Make(7, 100, false).String() == plan.Make(8, 100, false).String() {
		t.Error("two seeds are one plan")
	}
}

// Whatever the seed: as many runs as were asked for, every pipeline and half of the faults aimed,
// with what brings their moments about; a module applied anew and one removed; no name twice.
func TestEveryPlan(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		for _, runs := range []int{12, 100} {
			p := plan.Make(seed, runs, false)
			all := append([]plan.Load{}, p.Loads...)
			aims, modules := 0, map[string]int{}
			for _, f := range p.Faults {
				all = append(all, f.Loads...)
				if f.Aim != "" {
					aims++
					if len(f.Loads) == 0 {
						t.Errorf("seed %d: nothing brings about %q", seed, f)
					}
				}
				if f.Strike.Do == plan.Module {
					modules[f.Strike.Who]++
				}
			}
			n, seen, names := 0, map[string]bool{}, map[string]bool{}
			for _, l := range all {
				n += l.Runs()
				seen[l.Pipeline] = true
				if names[l.Name] {
					t.Errorf("seed %d: %s comes twice", seed, l.Name)
				}
				names[l.Name] = true
				if !l.Call && work.Folder(l.Pipeline) == "" {
					t.Errorf("seed %d: no upload starts %s", seed, l.Pipeline)
				}
			}
			if n != runs {
				t.Errorf("seed %d: %d runs, want %d", seed, n, runs)
			}
			if runs == 100 && (len(seen) != 6 || 2*aims < len(p.Faults)-3 || aims > len(p.Faults)*2/3) {
				t.Errorf("seed %d: pipelines %v, %d of %d faults are aimed", seed, seen, aims, len(p.Faults))
			}
			if modules[plan.AppliedAnew] != 1 || (modules[plan.Removed] == 1) != p.Two() {
				t.Errorf("seed %d: modules %v", seed, modules)
			}
		}
	}
}

// Every long plan restarts the controller's Deployment once, and has the API server away for a
// minute, each with files that are put while it lasts.
func TestEveryLongPlan(t *testing.T) {
	t.Parallel()
	for seed := range uint64(300) {
		rollouts, minutes := 0, 0
		for _, f := range plan.Make(seed, 100, false).Faults {
			during := 0
			for _, l := range f.Loads {
				if !l.Call && l.At > 0 {
					during++
				}
			}
			switch {
			case f.Strike.Do == plan.Rollout:
				rollouts++
			case f.Strike.Who == plan.API && f.Strike.For >= time.Minute && f.Aim == plan.Accepted:
				minutes++
				if last := f.Loads[len(f.Loads)-1].At; last > f.Strike.For {
					t.Errorf("seed %d: %s: a file is put after %s", seed, f, last)
				}
			default:
				continue
			}
			if during < 3 {
				t.Errorf("seed %d: %d files are put during %s", seed, during, f)
			}
		}
		if rollouts != 1 || minutes != 1 {
			t.Errorf("seed %d: %d rollouts, %d minutes without an API server", seed, rollouts, minutes)
		}
	}
}

// A few seeds have every fault, of either kind of Broker.
func TestAFewSeedsHaveEveryFault(t *testing.T) {
	t.Parallel()
	for _, jetstream := range []bool{false, true} {
		missing := map[string]bool{}
		for _, k := range plan.Kinds(jetstream) {
			missing[k] = true
		}
		if missing["kill "+plan.NATS] != jetstream {
			t.Errorf("JetStream %v: NATS is killed %v", jetstream, !jetstream)
		}
		for seed := range uint64(20) {
			for _, f := range plan.Make(seed, 100, jetstream).Faults {
				delete(missing, f.Kind())
			}
		}
		if len(missing) > 0 {
			t.Errorf("JetStream %v: no seed below 20 has %v", jetstream, missing)
		}
	}
}
