package publish

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

// seenAt are the paths at which the tests' user's container sees its output.
var seenAt = []string{"/models", "/unip/data/model"}

// to are links, by name; one whose target begins with "=" is a hard link.
type to map[string]string

// linked is a folder with some files, a folder without any, and these links.
func linked(t *testing.T, links to) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for _, folder := range []string{"epoch-3/deep", "void"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for _, file := range []string{"a", "epoch-3/model", "epoch-3/deep/x"} {
		if err := os.WriteFile(filepath.Join(dir, file), []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for name, target := range links {
		var err error
		if same, hard := strings.CutPrefix(target, "="); hard {
			if !filepath.IsAbs(same) {
				same = filepath.Join(dir, same)
			}
			err = os.Link(same, filepath.Join(dir, name))
		} else {
			err = os.Symlink(target, filepath.Join(dir, name))
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return opened(t, dir)
}

// A link that stays in the output is what it leads to, whoever made it and however.
func TestLinksThatStayAreWhatTheyLeadTo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		links to
		want  []string // beside what is there, "PATH <- the path without links"
	}{
		"none":                        {},
		"to a file":                   {to{"best": "epoch-3/model"}, []string{"best <- epoch-3/model"}},
		"to a file, from a folder":    {to{"epoch-3/a": "../a"}, []string{"epoch-3/a <- a"}},
		"through the folder's parent": {to{"x": "epoch-3/deep/../model"}, []string{"x <- epoch-3/model"}},
		"to a folder": {to{"last": "epoch-3"},
			[]string{"last/deep/x <- epoch-3/deep/x", "last/model <- epoch-3/model"}},
		"absolute": {to{"last": "/unip/data/model/epoch-3/deep"}, []string{"last/x <- epoch-3/deep/x"}},
		"absolute, by mountTo": {to{"last": "//models/./epoch-3//deep/"},
			[]string{"last/x <- epoch-3/deep/x"}},
		"absolute, up and down": {to{"last": "/models/void/../epoch-3/deep"},
			[]string{"last/x <- epoch-3/deep/x"}},
		"to a link": {to{"last": "now", "now": "/models/then", "then": "epoch-3/deep"},
			[]string{"last/x <- epoch-3/deep/x", "now/x <- epoch-3/deep/x", "then/x <- epoch-3/deep/x"}},
		"through a link": {to{"last": "/models/epoch-3", "x": "last/deep/../deep/x"},
			[]string{"last/deep/x <- epoch-3/deep/x", "last/model <- epoch-3/model", "x <- epoch-3/deep/x"}},
		"below a link": {to{"epoch-3/deep/up": "../model", "last": "epoch-3/deep"},
			[]string{"epoch-3/deep/up <- epoch-3/model", "last/up <- epoch-3/model", "last/x <- epoch-3/deep/x"}},
		"to an empty folder": {to{"nothing": "void"}, []string{"nothing/"}},
		"a second name":      {to{"b": "=a"}, []string{"b <- b"}},
		"a third name, and a link": {to{"b": "=a", "epoch-3/c": "=a", "d": "b"},
			[]string{"b <- b", "d <- b", "epoch-3/c <- epoch-3/c"}},
	} {
		want := append([]string{
			"a <- a", "epoch-3/deep/x <- epoch-3/deep/x", "epoch-3/model <- epoch-3/model", "void/",
		}, c.want...)
		root := linked(t, c.links)
		all, err := walk(t.Context(), root, seenAt, maxFiles)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		var got []string
		for _, f := range all.files {
			got = append(got, f.path+" <- "+f.real)
			file, err := open(root, f)
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			file.Close()
		}
		for _, folder := range all.folders {
			got = append(got, folder+"/")
		}
		slices.Sort(got)
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
}

// A link that leads out, nowhere or round is refused by its path, however it is hidden.
func TestLinksThatDoNotStayAreRefused(t *testing.T) {
	t.Parallel()
	outside := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(outside, []byte("key"), 0o600); err != nil {
		t.Fatal(err)
	}
	const leads = "is a symbolic link to"
	for name, c := range map[string]struct {
		links to
		want  string
	}{
		"absolute":                    {to{"x": outside}, "which is outside of the output"},
		"to the root":                 {to{"x": "/"}, "which is outside of the output"},
		"to the process":              {to{"x": "/proc/self/environ"}, "/proc/self/environ"},
		"to a folder beside":          {to{"x": "/models-2"}, "which is outside of the output"},
		"to the folder above":         {to{"x": ".."}, "which is outside of the output"},
		"far above":                   {to{"epoch-3/x": "../../../../etc/passwd"}, "which is outside of the output"},
		"out of a folder without it":  {to{"x": "epoch-3/../../y"}, "which is outside of the output"},
		"absolute, and out again":     {to{"x": "/models/../etc"}, "which is outside of the output"},
		"by another link":             {to{"x": "y/passwd", "y": "/etc"}, "which is outside of the output"},
		"below a link":                {to{"epoch-3/deep/z": "/etc", "y": "epoch-3/deep"}, leads},
		"nowhere":                     {to{"x": "gone"}, `"x" is a symbolic link to "gone", where nothing is`},
		"nowhere, absolute":           {to{"x": "/models/gone"}, "where nothing is"},
		"through a file":              {to{"x": "a/b"}, "where nothing is"},
		"to itself":                   {to{"x": "x"}, "through more than 40 others"},
		"to each other":               {to{"x": "y", "y": "/models/x"}, "through more than 40 others"},
		"to the folder that it is in": {to{"epoch-3/x": "."}, `"epoch-3/x" is a symbolic link to a folder`},
		"to the output":               {to{"x": "/unip/data/model"}, `"x" is a symbolic link to a folder`},
		"round by two": {to{"epoch-3/x": "../void", "void/y": "../epoch-3"},
			"is a symbolic link to a folder that it is in"},
		"round by one, through another": {to{"x": "epoch-3/deep", "epoch-3/deep/y": ".."},
			"is a symbolic link to a folder that it is in"},
		"a second name outside": {to{"x": "=" + outside}, `"x" is a hard link`},
		"no name of a file":     {to{"b\xff": "a"}, `"b\xff" cannot be a file's name: the path has a control`},
		"a line break":          {to{"b\nc": "epoch-3"}, `"b\nc/`},
		"an empty folder's":     {to{"b\nc": "void"}, `"b\nc" cannot be a file's name`},
		"a bad target":          {to{"b": "\xff\n"}, `"b" is a symbolic link to "\xff\n"`},
	} {
		_, err := walk(t.Context(), linked(t, c.links), seenAt, maxFiles)
		if err == nil || storage.Retry(err) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want a permanent error with %s", name, err, c.want)
		}
		if err != nil && err.Error() != printable.Line(err.Error()) {
			t.Errorf("%s: %q is not printable", name, err)
		}
	}
}

// A link to what is no file is that.
func TestALinkToAPipeIsRefused(t *testing.T) {
	t.Parallel()
	root := linked(t, to{"x": "pipe"})
	if err := syscall.Mkfifo(filepath.Join(root.Name(), "pipe"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := walk(t.Context(), root, nil, maxFiles); err == nil || storage.Retry(err) ||
		!strings.Contains(err.Error(), "is a named pipe") {
		t.Error(err)
	}
}

// Links that double what they lead to again and again end at the bound of files, with files or
// without.
func TestLinksDoNotMultiplyWithoutEnd(t *testing.T) {
	t.Parallel()
	for _, with := range []string{"file", ""} {
		links := to{}
		root := linked(t, nil)
		for i := range 40 {
			if err := root.Mkdir(fmt.Sprint(i), 0o755); err != nil {
				t.Fatal(err)
			}
			for _, l := range []string{"x", "y"} {
				links[fmt.Sprintf("%d/%s", i, l)] = fmt.Sprintf("../%d", i+1)
			}
		}
		if err := root.Mkdir("40", 0o755); err != nil {
			t.Fatal(err)
		}
		if with != "" {
			if err := root.WriteFile("40/f", nil, 0o600); err != nil {
				t.Fatal(err)
			}
		}
		for name, target := range links {
			if err := root.Symlink(target, name); err != nil {
				t.Fatal(err)
			}
		}
		if _, err := walk(t.Context(), root, nil, 1000); err == nil || err.Error() != "more than 1000 files" {
			t.Errorf("with %q: %v", with, err)
		}
	}
}

// Links must not make much of little: the storage would keep what no limit of the stage has bounded.
func TestLinksRepeatOnlySoMuch(t *testing.T) {
	t.Parallel()
	large := func(n int) (all []found) {
		for i := range n {
			all = append(all, found{path: fmt.Sprint(i), size: 1 << 30, id: inode{number: 7}})
		}
		return all
	}
	for n, taken := range map[int]bool{1: true, 2: true, maxRepeats: true, maxRepeats + 1: false} {
		all := large(n)
		once, _ := distinct(all)
		if err := checkRepeats(all, once); len(once) != 1 || (err == nil) != taken || storage.Retry(err) {
			t.Errorf("%d times: %d files, %v", n, len(once), err)
		}
	}
	if err := checkRepeats(nil, nil); err != nil {
		t.Error(err)
	}
}
