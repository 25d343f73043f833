package caller

import (
	"crypto/rand"
	"encoding/binary"
	"errors"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

var noon = time.Unix(1_800_000_000, 0)

func newID() (id ID) {
	_, _ = rand.Read(id[:])
	return id
}

// at is a signature made at a time.
func at(t time.Time) Claims { return Claims{ID: newID(), IssuedAt: t, Expiry: t.Add(Life)} }

// A signature is refused the second time at every moment at which Verify would still accept it.
func TestOnce(t *testing.T) {
	t.Parallel()
	for start := range 10 {
		var o Once
		made := noon.Add(time.Duration(start) * time.Second)
		c := at(made)
		if err := o.Take(c, made); err != nil {
			t.Fatal(err)
		}
		for after := time.Duration(0); after < Life+Leeway; after += 500 * time.Millisecond {
			if err := o.Take(at(made.Add(after)), made.Add(after)); err != nil { // time goes by
				t.Fatalf("another one after %s: %v", after, err)
			}
			if err := o.Take(c, made.Add(after)); !errors.Is(err, ErrUsed) {
				t.Fatalf("again after %s: %v", after, err)
			}
		}
	}
}

// One that may have been forgotten is not taken for a new one when a clock is set back.
func TestOnceWithAClockSetBack(t *testing.T) {
	t.Parallel()
	var o Once
	c := at(noon)
	take := func(want error, c Claims, now time.Time) {
		t.Helper()
		if err := o.Take(c, now); !errors.Is(err, want) {
			t.Errorf("%v, want %v", err, want)
		}
	}
	take(nil, c, noon)
	take(nil, at(noon.Add(2*time.Minute)), noon.Add(2*time.Minute))
	take(ErrExpired, c, noon)
	take(nil, at(noon.Add(48*time.Hour)), noon.Add(48*time.Hour)) // ahead by two days
	take(nil, at(noon.Add(3*time.Minute)), noon.Add(3*time.Minute))
}

// When there is no room, new ones are refused and old ones stay known, until their time is over.
func TestOnceIsBounded(t *testing.T) {
	t.Parallel()
	o := Once{limit: 100}
	var all []Claims
	for range 100 {
		c := at(noon)
		if err := o.Take(c, noon); err != nil {
			t.Fatal(err)
		}
		all = append(all, c)
	}
	if err := o.Take(at(noon), noon); !errors.Is(err, ErrFull) {
		t.Errorf("one more: %v", err)
	}
	for _, c := range all {
		if err := o.Take(c, noon.Add(Life)); !errors.Is(err, ErrUsed) {
			t.Errorf("an old one: %v", err)
		}
	}
	later := noon.Add(Life + Leeway + slot)
	if err := o.Take(at(later), later); err != nil {
		t.Errorf("later: %v", err)
	}
	if o.count != 1 {
		t.Errorf("%d are remembered", o.count)
	}
}

// Of many that show the same signature at the same moment one comes through.
func TestOnceAtTheSameMoment(t *testing.T) {
	t.Parallel()
	var o Once
	for range 100 {
		c := at(noon)
		var taken atomic.Int32
		var all sync.WaitGroup
		for range 8 {
			all.Go(func() {
				if o.Take(c, noon) == nil {
					taken.Add(1)
				}
			})
		}
		all.Wait()
		if n := taken.Load(); n != 1 {
			t.Fatalf("%d came through", n)
		}
	}
}

// As many as are ever remembered take about 40 MB.
func TestOnceMemory(t *testing.T) {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	var o Once
	for i := range MaxOnce {
		if err := o.Take(at(noon), noon.Add(time.Duration(i)*70*time.Second/MaxOnce)); err != nil {
			t.Fatal(err)
		}
	}
	runtime.GC()
	runtime.ReadMemStats(&after)
	if mb := (int64(after.HeapAlloc) - int64(before.HeapAlloc)) >> 20; mb > 48 {
		t.Errorf("%d MiB", mb)
	} else {
		t.Logf("%d MiB", mb)
	}
	runtime.KeepAlive(&o)
}

// 10,000 calls a second, of which each shows a new signature.
func BenchmarkOnce(b *testing.B) {
	var o Once
	var n atomic.Uint64
	b.ReportAllocs()
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			i := n.Add(1)
			now := noon.Add(time.Duration(i) * 100 * time.Microsecond)
			c := Claims{IssuedAt: now, Expiry: now.Add(Life)}
			binary.BigEndian.PutUint64(c.ID[:], i*0x9e3779b97f4a7c15)
			if err := o.Take(c, now); err != nil {
				b.Fatal(err)
			}
		}
	})
}
