package fair

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"k8s.io/client-go/util/workqueue"
)

var _ workqueue.TypedInterface[string] = (*Work[string])(nil)

func ownerOf(item string) string {
	owner, _, _ := strings.Cut(item, "/")
	return owner
}

// With a thousand things of one owner waiting, another one's is next but one, also while all that
// the first one got goes on.
func TestOwnersTakeTurns(t *testing.T) {
	q := NewWork(2, ownerOf)
	for i := range 1000 {
		q.Add(fmt.Sprint("flood/", i))
	}
	got := func() string {
		item, ended := q.Get()
		if ended {
			t.Fatal("it has ended")
		}
		return item
	}
	first, second := got(), got()
	q.Add("calm/1")
	if third := got(); third != "calm/1" {
		t.Fatalf("after %s and %s came %s", first, second, third)
	}
	q.Done(first)
	q.Add("calm/2")
	if a, b := got(), got(); ownerOf(a) == ownerOf(b) {
		t.Errorf("then %s and %s", a, b)
	}
}

// What is added while somebody is at it comes again, once, and never at the same time.
func TestWorkIsDoneByOneAtATime(t *testing.T) {
	q := NewWork(4, ownerOf)
	q.Add("a/1")
	q.Add("a/1")
	item, _ := q.Get()
	q.Add("a/1")
	q.Add("a/1")
	if n := q.Len(); n != 0 {
		t.Fatalf("%d wait while one is at it", n)
	}
	q.Done(item)
	if n := q.Len(); n != 1 {
		t.Fatalf("%d wait", n)
	}
	item, _ = q.Get()
	q.Done(item)
	if len(q.lines) != 0 || q.Len() != 0 {
		t.Errorf("%v is remembered", q.lines)
	}
}

// All that is added is looked at, by many workers, none of an owner's more than its share; at the
// end all go home.
func TestAllWorkIsDone(t *testing.T) {
	const most = 3
	q := NewWork(most, ownerOf)
	var mu sync.Mutex
	busy, seen, over := map[string]int{}, map[string]bool{}, 0
	var workers, work sync.WaitGroup
	for range 10 {
		workers.Go(func() {
			for {
				item, ended := q.Get()
				if ended {
					return
				}
				owner := ownerOf(item)
				mu.Lock()
				if busy[owner]++; busy[owner] > most {
					over++
				}
				if !seen[item] {
					seen[item] = true
					work.Done()
				}
				mu.Unlock()
				mu.Lock()
				busy[owner]--
				mu.Unlock()
				q.Done(item)
			}
		})
	}
	work.Add(7 * 300)
	for i := range 300 {
		for owner := range 7 {
			q.Add(fmt.Sprint("owner", owner, "/", i))
		}
	}
	work.Wait()
	q.ShutDownWithDrain()
	workers.Wait()
	if over > 0 || len(seen) != 7*300 || !q.ShuttingDown() {
		t.Errorf("%d times too many workers, %d items", over, len(seen))
	}
}
