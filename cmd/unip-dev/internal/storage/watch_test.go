package storage

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// Where the kernel cannot watch every folder, files put there by hand are found as well.
func TestFoldersThatCannotBeWatched(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	g, err := openGiven(filepath.Join(t.TempDir(), givenFile))
	if err != nil {
		t.Fatal(err)
	}
	x := newObjects(g, slog.New(slog.DiscardHandler))
	x.polling = true
	if err := x.watch("bucket", dir); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	go x.run(ctx)
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	select {
	case o := <-x.out:
		if o.Key != "a" {
			t.Errorf("%+v", o)
		}
	case <-time.After(20 * time.Second):
		t.Error("nothing is told")
	}
}

// A journal that a kill has cut in the middle of a line loses that line, and no other.
func TestCutJournal(t *testing.T) {
	t.Parallel()
	name := filepath.Join(t.TempDir(), givenFile)
	first := line{Bucket: "b", Key: "k", Version: "1", Done: true}
	second := line{Bucket: "b", Key: "l", Version: "2"}
	g, err := openGiven(name)
	if err != nil {
		t.Fatal(err)
	}
	if err := g.write(first); err != nil {
		t.Fatal(err)
	}
	if _, err := g.file.WriteString(`{"bucket":"b","key":"k","ver`); err != nil {
		t.Fatal(err)
	}
	for range 3 { // what comes after it is read as well
		if g, err = openGiven(name); err != nil {
			t.Fatal(err)
		}
		if g.lines[object{"b", "k"}] != first {
			t.Errorf("%+v", g.lines)
		}
		if err := g.write(second); err != nil {
			t.Fatal(err)
		}
	}
	if err := g.compact(); err != nil {
		t.Fatal(err)
	}
	if g, err = openGiven(name); err != nil || len(g.lines) != 2 || g.lines[object{"b", "l"}] != second {
		t.Errorf("%+v, %v", g.lines, err)
	}
}
