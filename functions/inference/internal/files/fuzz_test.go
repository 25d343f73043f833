package files

import (
	"mime"
	"strings"
	"testing"
	"unicode"
)

// The type that a function gives its file becomes a header of S3's: it is a media type, in one
// line, whatever was given.
func FuzzMediaType(f *testing.F) {
	for _, s := range []string{"text/csv", "text/plain; charset=utf-8", "text/plain;\n a=b", "a/b; x=\"\\\"\"", "",
		"text", "a/b\r\nx-amz-acl: public-read", "a/b; x*=utf-8''%0a", "a/b;x=ж", "\xff/\xff", " a/b "} {
		f.Add(s, "table.csv")
	}
	f.Fuzz(func(t *testing.T, given, name string) {
		got := mediaType(given, name)
		if _, _, err := mime.ParseMediaType(got); err != nil ||
			strings.ContainsFunc(got, func(r rune) bool { return unicode.IsControl(r) || r > unicode.MaxASCII }) {
			t.Errorf("%q of %q: %q, %v", given, name, got, err)
		}
	})
}
