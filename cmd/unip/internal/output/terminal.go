package output

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"

	"github.com/mattn/go-runewidth"
	"golang.org/x/term"
)

// IsTerminal reports that people look at what is written.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Shared is a writer that several goroutines may use.
func Shared(w io.Writer) io.Writer { return &shared{w: w} }

type shared struct {
	mu sync.Mutex
	w  io.Writer
}

func (s *shared) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.w.Write(b)
}

// What a terminal is told.
const (
	otherScreen = "\x1b[?1049h\x1b[?25l" // with the cursor hidden
	firstScreen = "\x1b[?25h\x1b[?1049l"
	home        = "\x1b[H"
	eraseRight  = "\x1b[K"
	eraseBelow  = "\x1b[J"
)

// Screen shows a text that changes, each state in place of the one before. It draws on the other
// screen of a terminal, which has no lines above it: so nothing is left over when lines wrap or the
// window changes, and what was in the terminal before comes back.
type Screen struct {
	terminal *os.File
	begun    bool
}

// NewScreen is a screen on w; nil where w cannot draw.
func NewScreen(w io.Writer) *Screen {
	if kind := os.Getenv("TERM"); !IsTerminal(w) || kind == "" || kind == "dumb" {
		return nil
	}
	return &Screen{terminal: w.(*os.File)}
}

// Show draws a text of printable lines, as much of it as there is room for now.
func (s *Screen) Show(text string) error {
	b := &strings.Builder{}
	if !s.begun {
		b.WriteString(otherScreen)
		s.begun = true
	}
	width, height := size(s.terminal)
	b.WriteString(home)
	for i, line := range fit(text, width, height) {
		if i > 0 {
			b.WriteString("\n")
		}
		b.WriteString(line + eraseRight)
	}
	b.WriteString(eraseBelow)
	_, err := io.WriteString(s.terminal, b.String())
	return err
}

// Close goes back to the first screen, and leaves the text there, whole.
func (s *Screen) Close(text string) error {
	if s.begun {
		text = firstScreen + text
	}
	s.begun = false
	_, err := io.WriteString(s.terminal, text)
	return err
}

// size is how many columns and lines a terminal has; where it does not know, the usual.
func size(terminal *os.File) (width, height int) {
	if width, height, err := term.GetSize(int(terminal.Fd())); err == nil && width > 0 && height > 0 {
		return width, height
	}
	return 80, 24
}

// fit is a text as lines of a window: long ones are cut, and when they are too many the last says so.
func fit(text string, width, height int) []string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	if more := len(lines) - height; more > 0 {
		lines = append(lines[:height-1:height-1], fmt.Sprintf("… %d lines more", more+1))
	}
	for i, line := range lines {
		lines[i] = runewidth.Truncate(line, width, "…")
	}
	return lines
}
