package output

import (
	"strings"
	"testing"
	"time"

	"github.com/creack/pty"
	"github.com/mattn/go-runewidth"
)

// Progress stays in one line of a narrow terminal: of a long name the end is shown, of the numbers all.
func TestProgressInANarrowTerminal(t *testing.T) {
	t.Parallel()
	screen, terminal, err := pty.Open()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = screen.Close(), terminal.Close() })
	if err := pty.Setsize(terminal, &pty.Winsize{Cols: 40, Rows: 10}); err != nil {
		t.Fatal(err)
	}
	p := &progress{
		w: terminal, terminal: terminal, name: "userdata/" + strings.Repeat("очень-длинное-имя/", 5) + "table.csv",
		total: 8 << 30, began: time.Now().Add(-time.Minute),
	}
	for _, n := range []int64{3<<30 + 512<<20, 4<<30 + 512<<20} {
		p.add(n)
	}
	b := make([]byte, 4<<10)
	text := ""
	for !strings.HasSuffix(text, "\r\n") {
		n, err := screen.Read(b)
		if err != nil {
			t.Fatal(err)
		}
		text += string(b[:n])
	}
	drawn := strings.Split(strings.TrimSuffix(text, "\r\n"), "\r")[1:]
	for i, want := range []string{"3.5 GiB of 8 GiB, ", "8 GiB of 8 GiB, "} {
		line, erased := strings.CutSuffix(drawn[i], eraseRight)
		if !erased || runewidth.StringWidth(line) >= 40 || !strings.Contains(line, want) ||
			!strings.HasSuffix(line, "/s") {
			t.Errorf("%q", drawn[i])
		}
	}
	if len(drawn) != 2 {
		t.Errorf("%q", drawn)
	}
}

// Elsewhere it is a line now and then, and nothing of what is over in a moment.
func TestProgressIntoAFile(t *testing.T) {
	t.Parallel()
	var b strings.Builder
	began := time.Now()
	p := &progress{w: &b, every: time.Hour, name: "a", total: 3, began: began.Add(time.Hour)}
	p.add(1)
	p.began = began.Add(-time.Minute)
	p.add(1)
	p.add(0)
	p.add(1)
	if lines := strings.Split(b.String(), "\n"); len(lines) != 3 || !strings.HasPrefix(lines[0], "a: 2 B of 3 B, ") ||
		!strings.HasPrefix(lines[1], "a: 3 B of 3 B, ") {
		t.Errorf("%q", b.String())
	}
}
