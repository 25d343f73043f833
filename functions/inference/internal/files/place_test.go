package files

import (
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/databox"
)

var boxes = Boxes{{"weights", true}, {"visitors", false}, {"other", false}}

func TestParse(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]Place{
		"photos/a.png":            {"visitors", "photos/a.png"},
		"photos/deep/a.png":       {"visitors", "photos/deep/a.png"},
		"visitors/photos/a.png":   {"visitors", "photos/a.png"},
		"other/photos/deep/a.png": {"other", "photos/deep/a.png"},
		"weights/photos/a.png":    {"weights", "photos/a.png"},
		// no file lies at the top of a box: a group of that name
		"visitors/a.png":                      {"visitors", "visitors/a.png"},
		"visitors/visitors/a.png":             {"visitors", "visitors/a.png"},
		"nobody/photos/a.png":                 {"visitors", "nobody/photos/a.png"},
		"a b/Файл 1+2.csv":                    {"visitors", "a b/Файл 1+2.csv"},
		"g/100%":                              {"visitors", "g/100%"},
		"g/%2e%2e":                            {"visitors", "g/%2e%2e"},
		"g/...":                               {"visitors", "g/..."},
		"/pu-ann/files/visitors/photos/a.png": {"visitors", "photos/a.png"},
		"/files/other/photos/a.png":           {"other", "photos/a.png"},
		"/files/files/g/a":                    {}, // no box of that name
		"https://x.example/pu-ann/files/visitors/g/a%20b.png": {"visitors", "g/a b.png"},
		"http://x.example/files/visitors/g/a?overwrite=true":  {"visitors", "g/a"},
	} {
		got, err := boxes.Parse(in, "pu-ann")
		if want == (Place{}) {
			if !errors.Is(err, errNoBox) {
				t.Errorf("%q: %v %v", in, got, err)
			}
		} else if err != nil || got != want {
			t.Errorf("%q: %v %v, want %v", in, got, err, want)
		}
	}
}

// Nothing leads to another user's files, to the developer's or to another module's.
func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, in := range []string{
		"", "/", "a", "a.png", "a/", "/a", "a//b", "a/b/", "./a", "a/.", "../a", "a/..", "a/../b", "a/../../b",
		"visitors/../../boris/file_groups/g/x", "../users/boris/file_groups/g/x",
		"a/\x00", "a/b\n", "a/\x7f", "a/\xff", "a\x01/b", "a/" + strings.Repeat("x", 256),
		strings.Repeat("x", 256) + "/a",
		strings.Repeat("g/", 500) + "f",
		"visitors:/a/b/../c", "/visitors/g/a", "//x/files/visitors/g/a/..", "/pu-ann/files/visitors/a",
		"/pu-ann/files/visitors/g/", "/pu-ann/files/visitors", "/files", "/files/", "/pu-ann/files",
		"/pu-ann/files/visitors/../users/boris/x", "/pu-ann/files/visitors/%2e%2e/x/y",
		"/pu-ann/files/visitors/g/..%2f..%2fx", "/pu-ann/files/visitors/g/a%00", "/pu-ann/files/visitors/g%2fx/a",
		"/pu-ann/files/visitors//a", "/pu-ann/files/visitors/g/%zz", "/pu-ann/files/visitors/g/%ff",
		"/pu-boris/files/visitors/g/a", "/pu-ann/files/secret/g/a", "https://x.example/pu-boris/files/visitors/g/a",
		"https://", "https://x.example", "https://x.example/", "http://[::1/files/visitors/g/a",
		"/pu-ann/pipelines/runs/x", "https://user:secret@/files/visitors/a", "/files/visitors:/m/a",
	} {
		if got, err := boxes.Parse(in, "pu-ann"); err == nil {
			t.Errorf("%q is taken for %v", in, got)
		} else if len(in) > 8 && strings.Contains(err.Error(), in) {
			t.Errorf("%q is quoted: %v", in, err)
		}
	}
	if _, err := (Boxes{}).Parse("/files/visitors/g/a", ""); !errors.Is(err, errNoBox) {
		t.Errorf("without boxes: %v", err)
	}
	if _, err := boxes.Parse("/any/files/visitors/g/a", ""); err != nil {
		t.Errorf("a namespace that is not known: %v", err)
	}
}

func TestUsualAndWritten(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		boxes          Boxes
		usual, written string
	}{
		{nil, "", ""}, {Boxes{{"a", true}}, "a", ""}, {Boxes{{"a", false}, {"b", false}}, "a", "a"},
		{Boxes{{"a", true}, {"b", false}}, "b", "b"},
	} {
		if u, w := x.boxes.Usual(), x.boxes.Written(); u != x.usual || w != x.written {
			t.Errorf("%v: %q %q", x.boxes, u, w)
		}
	}
}

// What is taken for a place becomes a key among the caller's own files, and a name that stays in
// its folder.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"a/b", "visitors/a/b", "/pu-ann/files/visitors/g/a%20b", "https://x/files/other/g/../a",
		"a/../b", "\xff/a", "/files/visitors/g/%2e%2e"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := boxes.Parse(s, "pu-ann")
		if err != nil {
			return
		}
		if !boxes.has(p.Box) {
			t.Errorf("%q: box %q", s, p.Box)
		}
		if err := databox.CheckObjectPath(p.Path); err != nil {
			t.Errorf("%q: %v", s, err)
		}
		user, rest, ok := databox.SplitKey(databox.Place{Box: p.Box, Path: p.Path}.Key("../ann"))
		if !ok || user != "../ann" || rest != p.Path {
			t.Errorf("%q: the key is %q's %q", s, user, rest)
		}
		if n := p.name(); !filepath.IsLocal(n) || filepath.Base(n) != n || len(n) > databox.MaxName {
			t.Errorf("%q: the name is %q", s, n)
		}
	})
}
