package output

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/mattn/go-runewidth"

	"github.com/unip-knative/unip/eventing/printable"
)

const (
	// quietFor is how long a transfer takes before its progress is told.
	quietFor = 2 * time.Second
	// told on a terminal, and elsewhere, where each time is a line.
	redrawn, written = 200 * time.Millisecond, 5 * time.Second
)

// Progress tells how far a transfer of total bytes is, once it takes longer than a moment: on a
// terminal in one line, elsewhere on w in a line now and then. What it returns is called first with
// the number of bytes that have gone since it was called before, by any goroutine, and second when
// nothing more goes: a transfer that broke off has left its line open.
func Progress(w io.Writer, name string, total int64) (add func(int64), end func()) {
	p := &progress{w: w, every: written, name: printable.Line(name), total: total, began: time.Now()}
	if IsTerminal(os.Stderr) {
		p.w, p.terminal, p.every = os.Stderr, os.Stderr, redrawn
	}
	return p.add, p.end
}

type progress struct {
	w        io.Writer
	terminal *os.File // nil: there is none
	every    time.Duration
	name     string
	total    int64
	began    time.Time

	mu   sync.Mutex
	last time.Time
	n    int64
	open bool // the line that was written last
}

func (p *progress) end() {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open {
		p.open = false
		fmt.Fprintln(p.w)
	}
}

func (p *progress) add(n int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.n += n
	now := time.Now()
	done := p.n >= p.total
	if now.Sub(p.began) < quietFor || now.Sub(p.last) < p.every && !done || n == 0 {
		return
	}
	p.last = now
	rate := float64(p.n) / now.Sub(p.began).Seconds()
	text := fmt.Sprintf("%s: %s of %s, %s/s", p.name, Size(p.n), Size(p.total), Size(int64(rate)))
	end := "\n"
	if p.terminal != nil {
		width, _ := size(p.terminal)
		text = "\r" + runewidth.TruncateLeft(text, max(runewidth.StringWidth(text)-width+1, 0), "") + eraseRight
		if !done {
			end = ""
		}
	}
	p.open = end == ""
	fmt.Fprint(p.w, text+end)
}
