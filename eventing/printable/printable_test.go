package printable_test

import (
	"bytes"
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/unip-knative/unip/eventing/printable"
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
		if got := [2]string{printable.Line(in), printable.Text(in)}; got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
		for size := 1; size <= 4; size++ {
			var b strings.Builder
			w := printable.NewWriter(&b)
			for piece := range slices.Chunk([]byte(in), size) {
				if m, err := w.Write(piece); m != len(piece) || err != nil {
					t.Fatal(m, err)
				}
			}
			if err := w.Flush(); err != nil || b.String() != want[1] {
				t.Errorf("%q in pieces of %d: %q, %v", in, size, b.String(), err)
			}
		}
	}
}

func TestSummary(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ in, want string }{
		"plain":               {"exit code 3: no rows", "exit code 3: no rows"},
		"other alphabets":     {"файл «таблица» 表", "файл «таблица» 表"},
		"escapes of a screen": {"\x1b[2Jboo\rfake line", `\x1b[2Jboo fake line`},
		"lines":               {" a\n\tb\r\nc ", "a b c"},
		"bell, NUL, DEL":      {"a\a\x00\x7f", `a\x07\x00\x7f`},
		"CSI in one rune":     {"a\u009b2J", `a\u009b2J`},
		"direction":           {"exe.\u202egnp", `exe.\u202egnp`},
		"line separator":      {"a\u2028b", "a b"},
		"zero width":          {"a\u200bb\ufeff", `a\u200bb\ufeff`},
		"tags":                {"a\U000e0041", `a\U000e0041`},
		"no UTF-8":            {"a\xff\xfeb", `a\xff\xfeb`},
		"nothing":             {" \n ", ""},
	} {
		if got := printable.Summary(c.in, 400); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// What is cut is cut between characters, and between what stands for them.
func TestSummaryIsCut(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"abcdefgh":   "abcdefgh",
		"abcdefghi":  "abcdefgh…",
		"abcdefg hi": "abcdefg…",
		"abcdefgя":   "abcdefg…",
		"abcdef\x1b": "abcdef…",
		"abcd\x1b":   `abcd\x1b`,
		"abcdefgh\n": "abcdefgh",
	} {
		if got := printable.Summary(in, 8); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	for _, s := range []string{strings.Repeat("я", 1<<20), strings.Repeat("\x1b", 1<<20),
		strings.Repeat("a\n", 1<<20)} {
		got := printable.Summary(s, 400)
		if len(got) > 400+len("…") || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
			t.Errorf("%d bytes: %q", len(got), got)
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
	safe := printable.JSON(b)
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

// acts holds what no line may have in it: it steers, ends the line, or turns the direction of
// writing.
func acts(r rune) bool {
	return unicode.IsControl(r) || unicode.In(r, unicode.Zl, unicode.Zp, unicode.Bidi_Control, unicode.Cs)
}

// No input leaves anything in it that a terminal would obey, and what is printable already is not
// touched again.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"\x1b[2J", "a\nb", "\u202e", "\u2029", "\xff", `\x1b`, "я", "👩\u200d💻"} {
		f.Add(s, 400)
	}
	f.Fuzz(func(t *testing.T, s string, most int) {
		most = min(max(most, 0), 1<<20)
		summary := printable.Summary(s, most)
		if len(summary) > most+len("…") {
			t.Errorf("%d bytes, more than %d", len(summary), most)
		}
		for _, got := range []string{printable.Line(s), summary} {
			if strings.ContainsFunc(got, acts) || !utf8.ValidString(got) || printable.Line(got) != got {
				t.Errorf("%q of %q", got, s)
			}
		}
		text := printable.Text(s)
		kept := strings.NewReplacer("\n", "", "\t", "").Replace(text)
		if strings.ContainsFunc(kept, acts) || !utf8.ValidString(text) || printable.Text(text) != text {
			t.Errorf("%q of %q", text, s)
		}
	})
}
