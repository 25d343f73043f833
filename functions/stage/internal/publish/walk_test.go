package publish

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

// made is a folder with n empty files.
func made(t *testing.T, n int) *os.Root {
	t.Helper()
	dir := t.TempDir()
	for i := range n {
		if err := os.WriteFile(filepath.Join(dir, fmt.Sprint(i)), nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return opened(t, dir)
}

func opened(t *testing.T, dir string) *os.Root {
	t.Helper()
	root, err := os.OpenRoot(dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { root.Close() })
	return root
}

// A folder of too many files is refused after so many, however many there are: the rest is not even
// read.
func TestTooManyFilesAreNotReadToTheEnd(t *testing.T) { //nolint:paralleltest // it measures what is allocated
	const most = 100
	allocated := func(root *os.Root) uint64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		_, err := walk(t.Context(), root, nil, most)
		runtime.ReadMemStats(&after)
		if err == nil || storage.Retry(err) || err.Error() != "more than 100 files" {
			t.Errorf("%v", err)
		}
		return after.TotalAlloc - before.TotalAlloc
	}
	few, many := allocated(made(t, 2*portion)), allocated(made(t, 10*portion))
	if many > 3*few {
		t.Errorf("%d bytes for %d files, %d for five times as many", few, 2*portion, many)
	}
}

// All files are found, in folders of any depth and beyond one portion of a listing.
func TestWalkFindsAll(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	var want []string
	for i := range 2*portion + 1 {
		want = append(want, fmt.Sprintf("many/%d", i))
	}
	want = append(want, "a", strings.Repeat("d/", stage.MaxName/2-1)+"f")
	for _, p := range want {
		if err := os.MkdirAll(filepath.Join(dir, filepath.Dir(p)), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, p), []byte("12"), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.MkdirAll(filepath.Join(dir, "empty/of/files"), 0o755); err != nil {
		t.Fatal(err)
	}
	all, err := walk(t.Context(), opened(t, dir), nil, maxFiles)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range all.files {
		if got = append(got, f.path); f.size != 2 {
			t.Errorf("%s has %d bytes", f.path, f.size)
		}
	}
	if d := cmp.Diff([]string{"empty/of/files"}, all.folders); d != "" {
		t.Errorf("empty folders (-want +got)\n%s", d)
	}
	slices.Sort(got)
	slices.Sort(want)
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

// Folders in folders without end are refused, and not walked into.
func TestWalkIsNotLedIntoTheDeep(t *testing.T) {
	t.Parallel()
	root := opened(t, t.TempDir())
	at := root
	for range 2 * stage.MaxName { // deeper than a path may be long: step by step
		if err := at.Mkdir("d", 0o755); err != nil {
			t.Fatal(err)
		}
		below, err := at.OpenRoot("d")
		if err != nil {
			t.Fatal(err)
		}
		if at != root {
			at.Close()
		}
		at = below
	}
	at.Close()
	if _, err := walk(t.Context(), root, nil, maxFiles); err == nil || storage.Retry(err) ||
		!strings.Contains(err.Error(), "is longer than") {
		t.Error(err)
	}
}
