package manifest

import (
	"bytes"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// A file that is read in pieces, down to single documents, gives what it gives when it is read from
// its beginning, places and findings included.
func samePieces(t *testing.T, data []byte, size int) bool {
	t.Helper()
	read := func(how func(File, *Module, *Diagnostics, *tally) bool) (m *Module, found Diagnostics, count tally,
		ok bool) {
		m = &Module{Unread: map[string]bool{}}
		ok = how(File{"f", data}, m, &found, &count)
		found.Sort()
		return m, found, count, ok
	}
	m, found, count, ok := read(func(f File, m *Module, found *Diagnostics, count *tally) bool {
		return readPieces(f, size, m, found, count)
	})
	if !ok {
		if !reflect.DeepEqual(m, &Module{Unread: map[string]bool{}}) || found != nil || count != (tally{}) {
			t.Errorf("there is something of a file that could not be read in pieces: %+v %v", m, found)
		}
		return false
	}
	wantModule, want, wantCount, _ := read(func(f File, m *Module, found *Diagnostics, count *tally) bool {
		readWhole(f, m, found, count)
		return true
	})
	if !reflect.DeepEqual(found, want) || count != wantCount {
		t.Errorf("in pieces: %v documents and objects, %v\nfrom the beginning: %v documents and objects, %v\n%s", count,
			found, wantCount, want, data)
	}
	if !reflect.DeepEqual(m, wantModule) {
		t.Errorf("in pieces: %+v\nfrom the beginning: %+v\n%s", m, wantModule, data)
	}
	return true
}

func inputs(t testing.TB) (all [][]byte) {
	t.Helper()
	files, err := filepath.Glob("../testdata/*/in.yaml")
	if err != nil || len(files) == 0 {
		t.Fatalf("no golden cases: %v", err)
	}
	for _, f := range files {
		b, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		if text, _, wrong := textOf(b); wrong == "" {
			all = append(all, text)
		}
	}
	return all
}

func TestPieces(t *testing.T) {
	t.Parallel()
	var long []byte
	for _, in := range inputs(t) {
		if samePieces(t, in, 1) {
			long = append(append(long, in...), "\n---\n"...)
		}
	}
	if !samePieces(t, long, pieceSize) {
		t.Error("many files with --- between them cannot be read in pieces")
	}
	if n := len(cut(long, pieceSize)); n < 2 {
		t.Errorf("%d bytes are %d piece", len(long), n)
	}
	for _, odd := range []string{
		"a: \"\n---\n\"", "a: [\n---\n]", "a: |\n---\nb", "--- |+\n a\n\n---\nb: 1", "a: 1\n...\n%YAML 1.2\n---\nb: 1",
		"%TAG ! tag:x,2000:\n---\n!a b", "a\rb: 1\n---\n[]", "# \u2028\n---\n[]", "a: &a 1\n---\nb: *a",
		"---\n---\n---", "a: 1\n----\nb",
		"a\n---b: 1\n", "\n--- # x\n- 1\n---\t[\n", "...\n---\n...\n", "# only\n---\n# this\n",
	} {
		samePieces(t, []byte(odd), 1)
	}
}

func FuzzPieces(f *testing.F) {
	for _, in := range inputs(f) {
		f.Add(in)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if bytes.Count(b, []byte("\n")) < 10_000 {
			samePieces(t, b, 1)
		}
	})
}
