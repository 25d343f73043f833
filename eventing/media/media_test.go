package media_test

import (
	"testing"

	"github.com/unip-knative/unip/eventing/media"
)

func TestOf(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ stored, name, want string }{
		{"text/csv", "x.png", "text/csv"}, {"text/csv; charset=utf-8", "x", "text/csv"},
		{"Image/PNG", "x", "image/png"},
		{"", "t.csv", "text/csv"}, {"application/octet-stream", "a/T.CSV", "text/csv"},
		{"binary/octet-stream", "x.tar.gz", "application/gzip"}, {"", "x", media.Unknown},
		{"nonsense", "x.png", "image/png"},
		// what SeaweedFS finds in a file that was stored without a type
		{"text/plain; charset=utf-8", "t.csv", "text/csv"}, {"text/plain; charset=utf-8", "x", "text/plain"},
		{"text/plain", "t.csv", "text/plain"}, {"text/xml; charset=utf-8", "x.svg", "image/svg+xml"},
		{"application/zip", "x.xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"},
		{"application/zip", "x.zip", "application/zip"}, {"application/zip", "x.csv", "application/zip"},
		{"application/x-gzip", "x.tar.gz", "application/gzip"}, {"image/png", "x.csv", "image/png"},
		{"\n", ".png", "image/png"}, {"", "x.unheard-of", media.Unknown},
	} {
		if got := media.Of(c.stored, c.name); got != c.want {
			t.Errorf("%q %q: %s, want %s", c.stored, c.name, got, c.want)
		}
	}
}

func TestTakes(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		types []string
		t     string
		want  bool
	}{
		{nil, "a/b", true}, {[]string{"text/csv"}, "text/csv", true}, {[]string{"text/csv"}, "text/csv2", false},
		{[]string{"image/*"}, "image/png", true}, {[]string{"image/*"}, "imagex/png", false},
		{[]string{"*/*"}, "a/b", true},
		{[]string{"text/csv", "image/png"}, "image/png", true}, {[]string{"image/png"}, media.Unknown, false},
	} {
		if media.Takes(c.types, c.t) != c.want {
			t.Errorf("%v takes %s: not %t", c.types, c.t, c.want)
		}
	}
}

func TestWords(t *testing.T) {
	t.Parallel()
	for word, ok := range map[string]bool{"FILE": true, "FOLDER": true, "file": false, "FP32": false, "": false} {
		if (media.CheckDatatype(word) == nil) != ok {
			t.Errorf("%q: %v", word, media.CheckDatatype(word))
		}
	}
	for word, ok := range map[string]bool{
		"text/csv": true, "image/*": true, "*/*": true, "application/vnd.ms-excel": true, "image/svg+xml": true,
		"": false, "csv": false, "text/": false, "/csv": false, "*/csv": false, "Text/CSV": false,
		"text/csv;a=b": false,
		"text/csv\n":   false, "te*t/x": false, "image/p*": false,
	} {
		if (media.CheckType(word) == nil) != ok {
			t.Errorf("%q: %v", word, media.CheckType(word))
		}
	}
}
