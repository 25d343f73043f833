package files

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/functions/internal/problem"
)

// folder is a Storage on the disk. before is called before a file is fetched.
type folder struct {
	dir    string
	before func(ctx context.Context, p Place) error
}

func (f folder) file(user string, p Place) string { return filepath.Join(f.dir, user, p.Box, p.Path) }

func (f folder) Stat(_ context.Context, user string, p Place) (Version, error) {
	info, err := os.Stat(f.file(user, p))
	if errors.Is(err, fs.ErrNotExist) {
		return Version{}, ErrMissing
	}
	if err != nil {
		return Version{}, err
	}
	return Version{info.Size(), info.ModTime().String()}, nil
}

func (f folder) Fetch(ctx context.Context, user string, p Place, v Version, path string) error {
	if f.before != nil {
		if err := f.before(ctx, p); err != nil {
			return err
		}
	}
	if now, err := f.Stat(ctx, user, p); err != nil || now != v {
		return errors.Join(ErrChanged, err)
	}
	b, err := os.ReadFile(f.file(user, p))
	if err != nil {
		return err
	}
	return os.WriteFile(path, b, 0o644)
}

func (f folder) Store(_ context.Context, user string, all []Content) error {
	for _, c := range all {
		b, err := io.ReadAll(io.NewSectionReader(c.File, 0, c.Size))
		if err != nil {
			return err
		}
		if err := errors.Join(os.MkdirAll(filepath.Dir(f.file(user, c.Place)), 0o755),
			os.WriteFile(f.file(user, c.Place), b, 0o644)); err != nil {
			return err
		}
	}
	return nil
}

// newFiles are those of a component whose caller ann has files of these sizes.
func newFiles(t *testing.T, s *folder, sizes map[string]int64) *Files {
	t.Helper()
	s.dir = t.TempDir()
	for name, size := range sizes {
		path := s.file("ann", Place{"visitors", name})
		if err := errors.Join(os.MkdirAll(filepath.Dir(path), 0o755), os.WriteFile(path, nil, 0o644),
			os.Truncate(path, size)); err != nil {
			t.Fatal(err)
		}
	}
	return &Files{Dir: t.TempDir(), Boxes: Boxes{{"visitors", false}}, Storage: s, Component: "leaf",
		Timeout: 10 * time.Second, Log: slog.New(slog.DiscardHandler)}
}

func request(places ...string) []byte {
	all := []map[string]string{}
	for _, p := range places {
		all = append(all, map[string]string{"name": "x", "datatype": "FILE", "data": p})
	}
	b, _ := json.Marshal(map[string]any{"inputs": all}) // strings always encode
	return b
}

// slug is that of a problem, with its status.
func slug(err error) string {
	var p problem.Problem
	if !errors.As(err, &p) {
		return fmt.Sprint(err)
	}
	return fmt.Sprint(p.Status, " ", p.Slug())
}

func (f *Files) left(t *testing.T) int {
	t.Helper()
	all, err := os.ReadDir(f.Dir)
	if err != nil {
		t.Fatal(err)
	}
	return len(all)
}

func TestSizesAreBounded(t *testing.T) {
	t.Parallel()
	f := newFiles(t, &folder{before: func(context.Context, Place) error { return errors.New("fetched") }},
		map[string]int64{"g/large": MaxSize + 1, "g/most": MaxSize, "g/a": 1})
	for _, x := range [][]string{{"g/large"}, {"g/most", "g/a"}, {"g/a", "g/most"}} {
		if _, err := f.Begin(t.Context(), "ann", "id", false, request(x...)); slug(err) != "413 file-too-large" {
			t.Errorf("%v: %v", x, err)
		}
	}
	// named thrice, it is one
	if _, err := f.Begin(t.Context(), "ann", "id", false,
		request("g/most", "g/most", "visitors/g/most")); slug(err) != "503 storage-unavailable" {
		t.Errorf("%v", err)
	}
	if f.used.Load() != 0 || f.left(t) != 0 {
		t.Errorf("%d bytes, %d folders are left", f.used.Load(), f.left(t))
	}
}

func TestSpaceIsShared(t *testing.T) {
	t.Parallel()
	f := newFiles(t, &folder{}, map[string]int64{"g/a": 100})
	f.used.Store(component.FilesSpace - 150)
	first, err := f.Begin(t.Context(), "ann", "id", false, request("g/a"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Begin(t.Context(), "ann", "id", false, request("g/a")); slug(err) != "503 overloaded" {
		t.Errorf("%v", err)
	}
	first.End()
	first.End()
	second, err := f.Begin(t.Context(), "ann", "id", false, request("g/a"))
	if err != nil {
		t.Fatal(err)
	}
	second.End()
	if got := f.used.Load(); got != component.FilesSpace-150 || f.left(t) != 0 {
		t.Errorf("%d bytes, %d folders", got, f.left(t))
	}
}

func TestFetchingFails(t *testing.T) {
	t.Parallel()
	s := &folder{}
	f := newFiles(t, s, map[string]int64{"g/a": 1, "g/b": 1})
	f.Timeout = 50 * time.Millisecond
	replace := func(size int64) error {
		return errors.Join(os.Truncate(s.file("ann", Place{"visitors", "g/a"}), size),
			os.Chtimes(s.file("ann", Place{"visitors", "g/a"}), time.Now(), time.Now().Add(time.Hour)))
	}
	for name, x := range map[string]struct {
		before func(context.Context, Place) error
		want   string
	}{
		"slow": {func(ctx context.Context, _ Place) error { <-ctx.Done(); return ctx.Err() }, "504 timeout"},
		"a connection that is not made": {func(ctx context.Context, _ Place) error {
			_, err := (&net.Dialer{Timeout: time.Nanosecond}).DialContext(ctx, "tcp", "192.0.2.1:9000")
			return err
		}, "503 storage-unavailable"},
		"a full disk": {func(context.Context, Place) error {
			return &fs.PathError{Op: "write",
				Err: syscall.ENOSPC}
		}, "503 overloaded"},
		"gone meanwhile": {func(context.Context, Place) error { return ErrMissing }, "404 file-not-found"},
		"always another": {func(context.Context, Place) error { return ErrChanged }, "503 unavailable"},
		"larger now":     {func(context.Context, Place) error { return replace(2) }, "503 unavailable"},
	} {
		s.before = x.before
		if _, err := f.Begin(t.Context(), "ann", "id", false, request("g/a", "g/b")); slug(err) != x.want {
			t.Errorf("%s: %v, want %s", name, err, x.want)
		}
		if f.used.Load() != 0 || f.left(t) != 0 {
			t.Errorf("%s: %d bytes, %d folders are left", name, f.used.Load(), f.left(t))
		}
	}
	once := true
	s.before = func(context.Context, Place) error { // replaced while it is fetched, by one of the same size
		defer func() { once = false }()
		if once {
			return ErrChanged
		}
		return nil
	}
	c, err := f.Begin(t.Context(), "ann", "id", false, request("g/b"))
	if err != nil {
		t.Fatal(err)
	}
	c.End()
	ctx, leave := context.WithCancel(t.Context())
	s.before = func(ctx context.Context, _ Place) error { leave(); <-ctx.Done(); return ctx.Err() }
	if _, err := f.Begin(ctx, "ann", "id", false, request("g/b")); !errors.Is(err, context.Canceled) || f.left(t) != 0 {
		t.Errorf("the caller left: %v", err)
	}
}

// What the worker is told.
func TestMore(t *testing.T) {
	t.Parallel()
	f := newFiles(t, &folder{}, map[string]int64{"g/a": 1})
	for _, x := range []struct {
		user, body string
		want       string
	}{
		{"", `{"inputs":[{"name":"x","data":"FILE"}]}`, ""},
		{"ann", `{}`, `{"upload":"visitors/leaf/id/"}`},
		{"ann", `{"inputs":[{"name":"x","data":"FILE"}]}`, `{"upload":"visitors/leaf/id/"}`},
		{"ann", `{"inputs":[{"name":"x","Datatype":"FILE","data":"g/a"}]}`, `{"upload":"visitors/leaf/id/"}`},
		{"ann", `{"inputs":[{"name":"x","datatype":"FILE","data":"g/none","data":"g/a"}]}`,
			`{"files":[{"input":0,"path":"…/0/a"}],"upload":"visitors/leaf/id/"}`},
		{"ann", `{"inputs":[{"name":"NaN\"Infinity","data":[NaN,-Infinity , Infinity]},{"name":"x","datatype":"FILE","data":"g/a"}]}`, `{"files":[{"input":1,"path":"…/0/a"}],"upload":"visitors/leaf/id/"}`},
		{"ann", `{"inputs":[{"name":"x","datatype":"FILE","data":"g/a"},NaN`, `{"upload":"visitors/leaf/id/"}`},
		{"ann", `{"inputs":[{"name":"x","datatype":"FILE","data":"g/a"},NaNN]}`, `{"upload":"visitors/leaf/id/"}`},
		{"ann", `{"inputs":[{"name":"x","datatype":"FILE","data":"g/a"},N"\`, `{"upload":"visitors/leaf/id/"}`},
		{"ann", string(request("g/a", "visitors/g/a")),
			`{"files":[{"input":0,"path":"…/0/a"},{"input":1,"path":"…/0/a"}],"upload":"visitors/leaf/id/"}`},
	} {
		c, err := f.Begin(t.Context(), x.user, "id", false, []byte(x.body))
		if err != nil {
			t.Fatalf("%s: %v", x.body, err)
		}
		if got := strings.ReplaceAll(string(c.More), c.folder, "…"); got != x.want && c.folder != "" ||
			c.folder == "" && string(c.More) != x.want {
			t.Errorf("%s: %s", x.body, got)
		}
		c.End()
	}
}

// A body that Mentions passes over has no FILE input.
func FuzzMentions(f *testing.F) {
	for _, s := range []string{`{"inputs":[{"name":"x","datatype":"FILE","data":"g/a"}]}`,
		`{"inputs":[{"datatype":"\u0046ILE"}]}`, `{"\u0069nputs":[{"dat\u0061type":"FIL\u0045"}]}`,
		`{"inputs":[{"datatype":"\u0046\u0049\u004C\u0045"}]}`} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, body []byte) {
		if len(inputsOf(body)) > 0 && !Mentions(body) {
			t.Errorf("%q", body)
		}
	})
}
