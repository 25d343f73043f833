package basic

import (
	"context"
	"errors"
	"sync"
)

// maxWaiting bounds how many wait for the computing of an expensive hash, some seconds of it.
const maxWaiting = 64

// ErrBusy says that too many wait already. The password has not been looked at.
var ErrBusy = errors.New("too many passwords wait to be looked at")

// turns hands out seats. Who waits gets one by turns with the other users, so that one user's
// attempts cannot keep another's out, and when too many wait the user with the most of them loses
// one.
type turns struct {
	mu      sync.Mutex
	free    int
	users   []string // who wait, the next one first
	queues  map[string][]*turn
	waiting int
}

type turn struct {
	called chan struct{} // closed when the turn has come, or never will
	err    error
}

func newTurns(seats int) *turns { return &turns{free: seats, queues: map[string][]*turn{}} }

// wait waits for a seat; leave gives it back. The error is ErrBusy or ctx's.
func (t *turns) wait(ctx context.Context, user string) error {
	t.mu.Lock()
	if t.free > 0 {
		t.free--
		t.mu.Unlock()
		return nil
	}
	if t.waiting >= maxWaiting && !t.dropOne(len(t.queues[user])+1) {
		t.mu.Unlock()
		return ErrBusy
	}
	mine := &turn{called: make(chan struct{})}
	if len(t.queues[user]) == 0 {
		t.users = append(t.users, user)
	}
	t.queues[user] = append(t.queues[user], mine)
	t.waiting++
	t.mu.Unlock()
	select {
	case <-mine.called:
		return mine.err
	case <-ctx.Done():
	}
	if t.remove(user, mine) {
		return ctx.Err()
	}
	if <-mine.called; mine.err == nil {
		t.leave() // the turn came at the same moment
	}
	return ctx.Err()
}

func (t *turns) leave() {
	t.mu.Lock()
	defer t.mu.Unlock()
	if len(t.users) == 0 {
		t.free++
		return
	}
	user := t.users[0]
	next := t.queues[user][0]
	t.users = t.users[1:]
	t.waiting--
	if rest := t.queues[user][1:]; len(rest) > 0 {
		t.queues[user] = rest
		t.users = append(t.users, user)
	} else {
		delete(t.queues, user)
	}
	close(next.called)
}

// dropOne refuses the newest of the user with the most, if those are more than least.
func (t *turns) dropOne(least int) bool {
	var most string
	for _, u := range t.users {
		if len(t.queues[u]) > len(t.queues[most]) {
			most = u
		}
	}
	q := t.queues[most]
	if len(q) <= least {
		return false
	}
	last := q[len(q)-1]
	last.err = ErrBusy
	t.queues[most] = q[:len(q)-1] // never the only one: least is 1 or more
	t.waiting--
	close(last.called)
	return true
}

// remove takes a turn out that has not been called.
func (t *turns) remove(user string, mine *turn) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	q := t.queues[user]
	for i, other := range q {
		if other != mine {
			continue
		}
		t.waiting--
		t.queues[user] = append(q[:i:i], q[i+1:]...)
		if len(t.queues[user]) == 0 {
			delete(t.queues, user)
			for j, u := range t.users {
				if u == user {
					t.users = append(t.users[:j:j], t.users[j+1:]...)
					break
				}
			}
		}
		return true
	}
	return false
}
