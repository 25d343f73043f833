package message_test

import (
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/unip-knative/unip/cmd/controller/internal/message"
)

func TestOneLine(t *testing.T) {
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
		"no UTF-8":            {"a\xff\xfeb", "a?b"},
		"nothing":             {" \n ", ""},
	} {
		if got := message.OneLine(c.in); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func TestOneLineIsCut(t *testing.T) {
	t.Parallel()
	for _, s := range []string{strings.Repeat("я", 1<<20), strings.Repeat("\x1b", 1<<20), strings.Repeat("a\n", 1<<20)} {
		got := message.OneLine(s)
		if len(got) > 410 || !utf8.ValidString(got) || !strings.HasSuffix(got, "…") {
			t.Errorf("%d bytes: %q", len(got), got)
		}
	}
}

// No input leaves anything in it that a terminal would obey, and what is printable already is not touched again.
func FuzzPrintable(f *testing.F) {
	for _, s := range []string{"\x1b[2J", "a\nb", "\u202e", "\xff", `\x1b`, "я"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		for _, got := range []string{message.Printable(s), message.OneLine(s)} {
			if strings.ContainsFunc(got, unicode.IsControl) || !utf8.ValidString(got) || message.Printable(got) != got {
				t.Errorf("%q of %q", got, s)
			}
		}
	})
}
