package accesslog

import (
	"io"
	"sync"
	"time"
)

// Lines go out together: at the latest delay after the first of them, or when there are full bytes
// of them.
const (
	delay = 50 * time.Millisecond
	full  = 32 << 10
)

// Writer gathers lines for another one, which gets several at once, always whole ones: others write
// there too. While there are none nothing runs. It is for any number of goroutines.
type Writer struct {
	to io.Writer

	mu    sync.Mutex
	lines []byte
	timer *time.Timer // runs while there are lines
}

// NewWriter gathers lines for to. The caller flushes it at the end.
func NewWriter(to io.Writer) *Writer {
	w := &Writer{to: to}
	w.timer = time.AfterFunc(time.Hour, w.Flush)
	w.timer.Stop()
	return w
}

func (w *Writer) add(line []byte) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.lines) == 0 {
		w.timer.Reset(delay)
	}
	if w.lines = append(w.lines, line...); len(w.lines) >= full {
		w.flush()
	}
}

// Flush writes what is there. An error of the writer behind is lost, as with log/slog: there is
// nobody to tell.
func (w *Writer) Flush() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.flush()
}

func (w *Writer) flush() {
	if len(w.lines) > 0 {
		_, _ = w.to.Write(w.lines)
		w.lines = w.lines[:0]
	}
}
