package plain

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
)

func TestWhatSteersATerminalIsShown(t *testing.T) {
	t.Parallel()
	for in, want := range map[string][2]string{ // as a line, as text
		"Leaf 1, лист, 葉, 🌿\u200d, a b": {"Leaf 1, лист, 葉, 🌿\u200d, a b", "Leaf 1, лист, 葉, 🌿\u200d, a b"},
		"\x1b[2J":                       {`\x1b[2J`, `\x1b[2J`},
		"a\nb\tc":                       {`a\nb\tc`, "a\nb\tc"},
		"boo\rfake line":                {`boo\rfake line`, `boo\rfake line`},
		"a\x7fb\x00":                    {`a\x7fb\x00`, `a\x7fb\x00`},
		"\u009b31m":                     {`\u009b31m`, `\u009b31m`},
		"\u202egpj.exe\u2066\u061c":     {`\u202egpj.exe\u2066\u061c`, `\u202egpj.exe\u2066\u061c`},
		"a\u2028b":                      {`a\u2028b`, `a\u2028b`},
		"\xff\x9b\xc3":                  {`\xff\x9b\xc3`, `\xff\x9b\xc3`},
		"\U000e0001":                    {`\U000e0001`, `\U000e0001`},
	} {
		if got := [2]string{Line(in), Text(in)}; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		for size := 1; size <= 4; size++ {
			var b strings.Builder
			w := NewWriter(&b)
			for rest := in; rest != ""; {
				n := min(size, len(rest))
				if m, err := w.Write([]byte(rest[:n])); m != n || err != nil {
					t.Fatal(m, err)
				}
				rest = rest[n:]
			}
			if err := w.Flush(); err != nil || b.String() != want[1] {
				t.Errorf("%q in pieces of %d: %q, %v", in, size, b.String(), err)
			}
		}
	}
}

func TestJSONStaysWhatItIs(t *testing.T) {
	t.Parallel()
	in := map[string]string{"a\u202e": "\x1b\x7f\u009b ключ 🌿 \U000e0001\n"}
	b, err := json.MarshalIndent(in, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	safe := JSON(b)
	for _, no := range []string{"\x1b", "\x7f", "\u009b", "\u202e", "\U000e0001"} {
		if bytes.Contains(safe, []byte(no)) {
			t.Errorf("%q is in %q", no, safe)
		}
	}
	var out map[string]string
	if err := json.Unmarshal(safe, &out); err != nil || out["a\u202e"] != in["a\u202e"] {
		t.Errorf("%v, %q", err, out)
	}
}
