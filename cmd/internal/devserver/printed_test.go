package devserver

import (
	"strings"
	"testing"
)

func TestPrinted(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("x", maxLine+5)
	for in, want := range map[string]string{
		"as it is\n":   "as it is\n",
		"{\"a\": 1}\n": "{\"a\": 1}\n",
		"{broken\n":    "{broken\n",
		"\n\n":         "\n\n",
		`{"time": "t", "level": "INFO", "msg": "one \"two\"", "request_id": "r"}` + "\nthree\n": "one \"two\"\nthree\n",
		`{"time": "t", "level": "ERROR", "msg": "the function raised X", "traceback": "Traceback:\n  a\nX\n"}` +
			"\nnext\n": "Traceback:\n  a\nX\nnext\n",
		long + "\n": long + "\n",
	} {
		for _, size := range []int{1, 7, len(in)} {
			var b strings.Builder
			w := Printed(&b)
			for rest := in; rest != ""; {
				n := min(size, len(rest))
				if m, err := w.Write([]byte(rest[:n])); m != n || err != nil {
					t.Fatal(m, err)
				}
				rest = rest[n:]
			}
			if b.String() != want {
				t.Errorf("%.80q in pieces of %d: %.80q", in, size, b.String())
			}
		}
	}
}
