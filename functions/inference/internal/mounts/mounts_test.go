//go:build linux

package mounts

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// memory is a box of this process.
type memory struct {
	mu      sync.Mutex
	objects map[string]string
	full    bool
	err     error
}

func (m *memory) Fetch(context.Context) (Fetched, error) { return Fetched{}, nil }

func (m *memory) Fit(context.Context, int, int64) error {
	if m.full {
		return ErrFull
	}
	return nil
}

func (m *memory) Store(_ context.Context, _ int, key string, f *os.File, size int64) error {
	b, err := io.ReadAll(io.NewSectionReader(f, 0, size))
	m.mu.Lock()
	defer m.mu.Unlock()
	if err = errors.Join(err, m.err); err == nil {
		m.objects[key] = string(b)
	}
	return err
}

func (m *memory) keys() string { return strings.Join(slices.Sorted(maps.Keys(m.objects)), " ") }

// world is a component whose calls write into one folder, of all of a box; the test is what they run.
type world struct {
	*testing.T
	*Mounts
	box *memory
	dir string // of the folder
}

func start(t *testing.T, change ...func(*Mounts)) *world {
	t.Helper()
	dir := t.TempDir()
	box := &memory{objects: map[string]string{}}
	m := &Mounts{
		Mounts: component.Mounts{
			Entries: []component.Mount{{Box: "out", Path: "/out", Write: true}},
			Models:  map[string][]string{"out": {"models/m", "nets/"}},
		},
		Dir: dir, Storage: box, Timeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler),
	}
	for _, f := range change {
		f(m)
	}
	folder := filepath.Join(dir, "0")
	if err := os.MkdirAll(filepath.Join(folder, "old"), 0o755); err != nil {
		t.Fatal(err)
	}
	w := &world{t, m, box, folder}
	w.write("old/f", "of the start")
	m.Init()
	if err := m.Watch(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return w
}

func (w *world) must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

func (w *world) path(name string) string { return filepath.Join(w.dir, name) }

func (w *world) write(name, content string) {
	w.Helper()
	w.must(os.MkdirAll(filepath.Dir(w.path(name)), 0o755))
	w.must(os.WriteFile(w.path(name), []byte(content), 0o644))
}

func (w *world) begin(signed bool) *Call {
	w.Helper()
	c, err := w.Begin(w.Context(), signed)
	w.must(err)
	return c
}

// answer ends a call, and gives what it is answered with.
func (w *world) answer(c *Call) error {
	w.Helper()
	c.Left()
	err := c.Store(w.Context())
	c.End()
	return err
}

// call runs one that is signed.
func (w *world) call(function func()) error {
	w.Helper()
	c := w.begin(true)
	function()
	return w.answer(c)
}

func (w *world) stored(want string) {
	w.Helper()
	if got := w.box.keys(); got != want {
		w.Errorf("stored are %q, want %q", got, want)
	}
}

// What a call has written is stored when it is answered: new files, changed ones, those in new folders,
// under names that they were given later. What was there is not stored again.
func TestWhatCallsWriteIsStored(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.must(w.call(func() {
		w.write("a", "1")
		w.write("deep/deeper/b", "2")
		w.write("c.part", "3")
		w.must(os.Rename(w.path("c.part"), w.path("c")))
		w.write("gone", "4")
		w.must(os.Remove(w.path("gone")))
		w.write("d.part/e", "5")
		w.must(os.Rename(w.path("d.part"), w.path("d")))
	}))
	w.stored("a c d/e deep/deeper/b")
	clear(w.box.objects)
	w.must(w.call(func() { w.write("old/f", "changed") }))
	if w.box.objects["old/f"] != "changed" || len(w.box.objects) != 1 {
		t.Errorf("%v", w.box.objects)
	}
	clear(w.box.objects)
	w.must(w.call(func() {
		_, err := os.ReadFile(w.path("a"))
		w.must(err)
	}))
	w.stored("")
}

// A file that is still open belongs to the call in which it is closed.
func TestAFileBelongsToTheCallThatClosesIt(t *testing.T) {
	t.Parallel()
	w := start(t)
	long := w.begin(true)
	f, err := os.Create(w.path("f"))
	w.must(err)
	_, err = f.WriteString("half")
	w.must(err)
	w.must(w.call(func() { w.write("g", "whole") }))
	w.stored("g")
	w.must(os.Rename(w.path("f"), w.path("f2"))) // it stays open under another name
	w.must(w.call(func() {}))
	w.stored("g")
	_, err = f.WriteString(" and half")
	w.must(errors.Join(err, f.Close()))
	w.must(w.answer(long))
	if w.stored("f2 g"); w.box.objects["f2"] != "half and half" {
		t.Errorf("%v", w.box.objects)
	}
}

// A call that fails says which file and why. Later calls are not told of it again, those that ran
// meanwhile are.
func TestWhatIsRefused(t *testing.T) {
	t.Parallel()
	w := start(t)
	for name, x := range map[string]struct {
		write func()
		says  string
	}{
		"a link":      {func() { w.must(os.Symlink("/etc/passwd", w.path("l"))) }, "/out/l is not stored: it is a symbolic link"},
		"of a folder": {func() { w.must(os.Symlink("/etc", w.path("lf"))) }, "/out/lf is not stored: it is a symbolic link"},
		"a hard link": {func() { w.must(os.Link(w.path("old/f"), w.path("h"))) }, "/out/h is not stored: it is a hard"},
		"a pipe":      {func() { w.must(syscall.Mkfifo(w.path("p"), 0o666)) }, "/out/p is not stored: it is a named pipe"},
		"users":       {func() { w.must(os.RemoveAll(w.path("users"))); w.write("users/ann/file_groups/g/f", "x") }, "/out/users/ann/file_groups/g/f is not stored: users/"},
		"file users":  {func() { w.must(os.RemoveAll(w.path("users"))); w.write("users", "x") }, "/out/users is not stored: users/"},
		"a model":     {func() { w.write("models/m", "x") }, `/out/models/m is not stored: "models/m" is where a component's model lies`},
		"in a model":  {func() { w.write("nets/a/b", "x") }, `/out/nets/a/b is not stored: "nets/" is where`},
		"control":     {func() { w.write("a\nb", "x") }, "control character"},
	} {
		meanwhile := w.begin(true)
		err := w.call(x.write)
		var p problem.Problem
		if !errors.As(err, &p) || p.Status != http.StatusInternalServerError || !strings.Contains(p.Detail, x.says) {
			t.Errorf("%s: %v", name, err)
		}
		if err := w.answer(meanwhile); err == nil {
			t.Errorf("%s: one that ran meanwhile is not told", name)
		}
		if err := w.call(func() {}); err != nil {
			t.Errorf("%s: a later call is told: %v", name, err)
		}
	}
	w.must(w.call(func() { w.write("models/mm", "x") }))
	w.stored("models/mm")
}

// The function's user is asked to open what only that user may read, by its path there: a file, a
// folder with what lies in it, and a folder that was closed later. Links and pipes are not asked
// for.
func TestPrivateFiles(t *testing.T) {
	t.Parallel()
	var asked [][]string
	w := start(t, func(m *Mounts) {
		m.Reveal = func(_ context.Context, paths []string) error {
			asked = append(asked, paths)
			return errors.New("nobody is there") // what can be read is stored all the same
		}
	})
	private := func(name string) {
		w.write(name, "x")
		w.must(os.Chmod(w.path(name), 0o600))
	}
	w.must(w.call(func() { w.write("open", "x") }))
	w.must(w.call(func() { private("a"); private("new/b"); w.write("c", "x") }))
	if err := w.call(func() { w.must(os.Symlink("a", w.path("l"))) }); err == nil {
		t.Error("a link is stored")
	}
	if want := [][]string{{"/out/a", "/out/new/b"}}; !slices.EqualFunc(asked, want, slices.Equal) {
		t.Errorf("asked for %q, want %q", asked, want)
	}
	if os.Geteuid() == 0 {
		w.stored("a c new/b open") // root reads all
	}
}

// When storage does not take it, the call fails; one that ran meanwhile stores it, or fails too.
func TestStorageThatFails(t *testing.T) {
	t.Parallel()
	w := start(t)
	want := func(err error, status int) {
		t.Helper()
		var p problem.Problem
		if !errors.As(err, &p) || p.Status != status {
			t.Errorf("%v, want %d", err, status)
		}
	}
	meanwhile := w.begin(true)
	w.box.err = errors.New("away")
	want(w.call(func() { w.write("a", "1") }), http.StatusServiceUnavailable)
	w.box.err = nil
	w.must(w.call(func() {})) // it was told to whom it belongs
	w.stored("")
	w.must(w.answer(meanwhile))
	w.stored("a")
	w.box.full = true
	want(w.call(func() { w.write("b", "1") }), http.StatusInsufficientStorage)
	w.must(w.call(func() {}))
}

// What calls without a signature write is never stored: not for them, and not with what others write.
func TestUnsignedCallsStoreNothing(t *testing.T) {
	t.Parallel()
	w := start(t, func(m *Mounts) { m.Unsigned = true })
	signed, other := w.begin(true), w.begin(true)
	began := make(chan *Call)
	go func() {
		c, err := w.Begin(context.Background(), false)
		if err != nil {
			t.Error(err)
		}
		began <- c
	}()
	w.write("a", "signed")
	w.must(w.answer(signed))
	select {
	case <-began:
		t.Fatal("an unsigned call runs beside a signed one")
	default:
	}
	w.must(w.answer(other))
	stranger := <-began
	w.write("b", "unsigned")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := w.Begin(ctx, true); err == nil {
		t.Fatal("a signed call runs beside an unsigned one")
	}
	w.must(w.answer(stranger))
	w.write("c", "by what it has left behind")
	w.must(w.call(func() { w.write("d", "signed") }))
	w.stored("a d")
}

// Many calls at once, each with files of its own: each finds its own stored.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	w := start(t)
	var g sync.WaitGroup
	for i := range 20 {
		g.Go(func() {
			for j := range 20 {
				name := strings.Repeat("d/", j%3) + string(rune('a'+i)) + string(rune('a'+j))
				c, err := w.Begin(context.Background(), true)
				if err != nil {
					t.Error(err)
					return
				}
				err = errors.Join(os.MkdirAll(filepath.Dir(w.path(name)), 0o755),
					os.WriteFile(w.path(name), []byte(name), 0o644))
				c.Left()
				err = errors.Join(err, c.Store(context.Background()))
				c.End()
				w.box.mu.Lock()
				if err != nil || w.box.objects[name] != name {
					t.Errorf("%s: %v %q", name, err, w.box.objects[name])
				}
				w.box.mu.Unlock()
			}
		})
	}
	g.Wait()
	if len(w.changes.files) != 0 || len(w.running) != 0 {
		t.Errorf("left are %v, %v", w.changes.files, w.running)
	}
}

// When the kernel could not keep all it had to tell, nothing is missed.
func TestNothingIsMissedWhenTheKernelTellsTooMuch(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.must(w.call(func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		_, err := w.changes.watch.read() // what came before is as good as lost
		w.must(err)
		w.write("deep/a", "1")
		w.write("b", "1")
		_, err = w.changes.watch.read()
		w.must(err)
		w.must(w.changes.note(event{what: lost}))
	}))
	if w.box.objects["deep/a"] == "" || w.box.objects["b"] == "" {
		t.Errorf("stored are %q", w.box.keys())
	}
}
