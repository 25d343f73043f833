package memory

import (
	"context"
	"fmt"
	"slices"
	"time"
)

// Watch is one program under a limit.
type Watch struct {
	// Root is the program's first process, Limit how many bytes it and all that came of it may hold.
	Root  int
	Limit int64
	// Parts: what is ended is the child of Root that holds most, with all that came of it. Else it is
	// all of them.
	Parts bool
	// Over is told before anything is ended.
	Over func(Over)

	looked func(held int64) // of tests: told of each look
}

// Over is a limit that was overrun: Held is what all held together. PID is ended, with all that came
// of it.
type Over struct {
	PID  int
	Held int64
}

const (
	// fastest is how many bytes a second a program may come to hold: what is left below the limit
	// says how long nobody needs to look.
	fastest = 4 << 30
	// soon and late bound the pause between two looks.
	soon, late = 10 * time.Millisecond, 250 * time.Millisecond
	// share: looking takes at most this part of a processor's time.
	share = 20
	// ending is how long the memory of what was ended may take to come back.
	ending = 5 * time.Second
)

// Run watches until the context ends, or Root has. The error is that nobody can look:
// errors.ErrUnsupported on systems that are not Unix.
func (w Watch) Run(ctx context.Context) error {
	for tree := (family{}); ; {
		start := time.Now()
		if tree.seen.IsZero() || start.Sub(tree.seen) >= late {
			all, err := local.processes()
			if err != nil {
				return fmt.Errorf("looking at the processes: %w", err)
			}
			if tree = familyOf(w.Root, all); !tree.alive {
				return nil
			}
			tree.seen = start
		}
		held := w.held(tree)
		if w.looked != nil {
			w.looked(held)
		}
		if held > w.Limit {
			if err := w.end(ctx, held); err != nil {
				return err
			}
			tree.seen = time.Time{}
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(pause(w.Limit-held, time.Since(start))):
		}
	}
}

// pause is how long nobody looks when so many bytes are left, and a look takes so long.
func pause(left int64, took time.Duration) time.Duration {
	full := time.Duration(float64(left) / fastest * float64(time.Second))
	return max(soon, share*took, min(full, late))
}

// held is what a family holds. A sum that counts what is shared once for each process is cheap, and
// tells enough while it is below the limit.
func (w Watch) held(f family) int64 {
	if sum := local.held(f.all(), false); sum <= w.Limit {
		return sum
	}
	return local.held(f.all(), true)
}

// end ends what is to be ended, and waits until its memory is free: a second look at the same
// memory would end somebody else.
func (w Watch) end(ctx context.Context, held int64) error {
	over := Over{Held: held}
	for deadline := time.Now().Add(ending); ; {
		all, err := local.processes() // it may have made others meanwhile
		if err != nil {
			return fmt.Errorf("looking at the processes: %w", err)
		}
		f := familyOf(w.Root, all)
		if over.PID == 0 {
			if over.PID = w.victim(f); over.PID == 0 {
				return nil
			}
			if w.Over != nil {
				w.Over(over)
			}
		}
		victims := f.parts[over.PID]
		if !w.Parts {
			victims = f.all()
		}
		for _, pid := range victims {
			if err := local.kill(pid); err != nil {
				return fmt.Errorf("ending process %d, which holds too much memory: %w", pid, err)
			}
		}
		if len(victims) == 0 {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("process %d, which holds too much memory, does not end", over.PID)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(soon):
		}
	}
}

// victim is whose process is to be ended, with all that came of it; 0 for nobody.
func (w Watch) victim(f family) int {
	if !w.Parts {
		return f.root
	}
	found, most := 0, int64(-1)
	for _, pid := range f.children() {
		if n := local.held(f.parts[pid], true); n > most {
			found, most = pid, n
		}
	}
	return found
}

// Prefer has the kernel end this process, and what it starts from now on, before any other, should
// the machine run out of memory. Systems without such a wish have nothing to do.
func Prefer(pid int) error { return local.prefer(pid) }

// process as the system shows it.
type process struct{ pid, parent, group int }

// system is how a kind of system shows processes.
type system interface {
	processes() ([]process, error)
	// held is what processes hold in bytes; once: what they share counts once, where the system can
	// tell. One that has ended holds nothing.
	held(pids []int, once bool) int64
	// kill ends a process at once; one that has ended is no error.
	kill(pid int) error
	prefer(pid int) error
}

// family is a process and all that came of it.
type family struct {
	root  int
	alive bool
	parts map[int][]int // by the child of the root that they came of; what came of none is the root's own
	seen  time.Time
}

// familyOf finds those that came of a process: by their parents, and where these have ended by
// their group.
func familyOf(root int, all []process) family {
	f := family{root: root, parts: map[int][]int{}}
	by := map[int]process{}
	for _, p := range all {
		by[p.pid] = p
	}
	_, f.alive = by[root]
	for _, p := range all {
		if at, ok := partOf(root, p, by); ok {
			f.parts[at] = append(f.parts[at], p.pid)
		}
	}
	return f
}

// partOf is the child of the root that a process came of, or the root.
func partOf(root int, p process, by map[int]process) (int, bool) {
	at := p
	for range len(by) { // a look at processes that change may show a circle
		switch up, ok := by[at.parent]; {
		case at.pid == root:
			return root, true
		case at.parent == root:
			return at.pid, true
		case !ok:
			return inGroup(root, p, by)
		default:
			at = up
		}
	}
	return 0, false
}

// inGroup is partOf for a process whose parent has ended: the leader of its group tells.
func inGroup(root int, p process, by map[int]process) (int, bool) {
	leader, ok := by[p.group]
	switch {
	case p.group == root:
		return root, true
	case ok && leader.parent == root:
		return leader.pid, true
	}
	return 0, false
}

// all are the numbers of the family's processes, the root's last: those whose parent has ended are
// hard to find.
func (f family) all() []int {
	var pids []int
	for _, pid := range f.children() {
		pids = append(pids, f.parts[pid]...)
	}
	return append(pids, f.parts[f.root]...)
}

// children are the root's, in order.
func (f family) children() []int {
	var pids []int
	for pid := range f.parts {
		if pid != f.root {
			pids = append(pids, pid)
		}
	}
	slices.Sort(pids)
	return pids
}
