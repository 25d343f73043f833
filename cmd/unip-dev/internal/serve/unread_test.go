package serve

import (
	"bufio"
	"fmt"
	"io"
	"strings"
	"testing"
)

// Who does not read holds up nothing. When it goes on, it is told how much it has missed, and misses
// nothing that comes then.
func TestNobodyWaitsForWhoReads(t *testing.T) {
	t.Parallel()
	read, write := io.Pipe()
	p := &printer{}
	q := newPending(write, t.FailNow, p.gap)
	p.w = q
	const many = 50_000
	for i := range many {
		p.tell(Happening{Kind: "call", Text: fmt.Sprintf("number %d of many", i)})
	}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		q.close() // nobody reads
	}()
	<-ended
	lines := bufio.NewScanner(read)
	next := 0
	for lines.Scan() {
		text := lines.Text()
		if strings.HasSuffix(text, fmt.Sprintf("call      number %d of many", next)) {
			next++
			continue
		}
		if want := fmt.Sprintf(" log       %d lines are left out here: nobody read them in time", many-next); next == 0 ||
			!strings.HasSuffix(text, want) {
			t.Fatalf("%q after %d lines, want %q", text, next, want)
		}
		return
	}
	t.Errorf("it ends after %d lines", next)
}

// Nothing is left out while somebody reads, and the end waits for the last line.
func TestWhoReadsMissesNothing(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	q := newPending(&b, t.FailNow, (&printer{}).gap)
	for range 1000 {
		if _, err := q.Write([]byte("a line\n")); err != nil {
			t.Fatal(err)
		}
	}
	q.close()
	if got := b.String(); got != strings.Repeat("a line\n", 1000) {
		t.Errorf("%d bytes, the end is %q", len(got), got[max(0, len(got)-50):])
	}
}
