package accesslog

import (
	"io"
	"sync"
	"time"
)

// Lines go out together: at the latest delay after the first of them, or when there are full bytes of them.
const (
	delay = 50 * time.Millisecond
	full  = 32 << 10
)

// Writer gathers lines for another one, which gets several at once. While there are none nothing runs. It is for any number of goroutines.
type Writer struct {
	to io.Writer

	mu      sync.Mutex
	lines   []byte
	pending bool // the timer runs
	timer   *time.Timer
}

// NewWriter gathers lines for to. The caller flushes it at the end.
func NewWriter(to io.Writer) *Writer {
	w := &Writer{to: to}
	w.timer = time.AfterFunc(time.Hour, w.late)
	w.timer.Stop()
	return w
}

// Write implements io.Writer. An error of the writer behind it is lost: there is nobody to tell.
func (w *Writer) Write(line []byte) (int, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.lines = append(w.lines, line...)
	if len(w.lines) >= full {
		w.flush()
	} else if !w.pending {
		w.pending = true
		w.timer.Reset(delay)
	}
	return len(line), nil
}

func (w *Writer) late() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.pending = false
	w.flush()
}

// Flush writes what is there.
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
