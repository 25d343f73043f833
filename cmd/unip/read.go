package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/translate/manifest"
)

// input is which manifests a command reads.
type input struct {
	names     []string
	recursive bool
}

func (in *input) flags(c *cobra.Command) {
	c.Flags().StringSliceVarP(&in.names, "filename", "f", nil, "file or folder with manifests, or - for standard input; may be given several times")
	c.Flags().BoolVarP(&in.recursive, "recursive", "R", false, "read the folders below as well")
	_ = c.MarkFlagFilename("filename", "yaml", "yml", "json") // the flag is there
}

var extensions = []string{".yaml", ".yml", ".json"}

// read reads all files, in the order of their names. A folder without manifests is an error: it is the wrong folder. A pipe may never end, and a read of it hears no signal: it is left when the context ends.
func (in *input) read(ctx context.Context, stdin io.Reader) ([]manifest.File, error) {
	if len(in.names) == 0 {
		return nil, &usageError{errors.New("-f is missing: a file or folder with manifests, or - for standard input")}
	}
	type result struct {
		files []manifest.File
		err   error
	}
	done := make(chan result, 1)
	go func() {
		files, err := in.readAll(stdin)
		done <- result{files, err}
	}()
	select {
	case r := <-done:
		return r.files, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("reading %s: interrupted", strings.Join(in.names, ", "))
	}
}

// maxInput bounds all manifests together in bytes, maxFiles their number: what is read takes many times its size in memory.
const maxInput, maxFiles = 64 << 20, 10_000

// reading gathers files within the bounds.
type reading struct {
	files []manifest.File
	seen  map[string]bool
	left  int64 // of maxInput
}

// add reads one file. One that is larger than it may be is cut there: the finding that says so comes with the others.
func (r *reading) add(name string, from io.Reader) error {
	if len(r.files) == maxFiles {
		return fmt.Errorf("more than %d files of manifests", maxFiles)
	}
	b, err := io.ReadAll(io.LimitReader(from, min(manifest.MaxFile, r.left)+1))
	if err != nil {
		return err
	}
	if r.left -= int64(len(b)); r.left < 0 {
		return fmt.Errorf("%s: more than %d MiB of manifests together", name, maxInput>>20)
	}
	r.files = append(r.files, manifest.File{Name: name, Data: b})
	return nil
}

func (in *input) readAll(stdin io.Reader) ([]manifest.File, error) {
	r := &reading{seen: map[string]bool{}, left: maxInput}
	for _, name := range in.names {
		if name == "-" {
			if err := r.add("<stdin>", stdin); err != nil {
				return nil, err
			}
			continue
		}
		info, err := os.Stat(name)
		switch {
		case err != nil:
		case info.IsDir():
			err = r.folder(name, in.recursive)
		default:
			err = r.named(name)
		}
		if err != nil {
			return nil, &inputError{err.Error()}
		}
	}
	return r.files, nil
}

// named reads what the command line names, whatever it is: a link, or a pipe like bash's <(command).
func (r *reading) named(name string) error {
	if name = filepath.Clean(name); r.seen[name] {
		return nil
	}
	r.seen[name] = true
	f, err := os.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	return r.add(name, f)
}

// folder reads a folder's manifests. Who made the folder did not choose what the command may read: a
// link that leads out of it is refused, and so is what is no file. Links to folders are not followed,
// so there is no loop. Sizes are added up before anything is read.
func (r *reading) folder(dir string, recursive bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	found, err := list(root, dir, recursive)
	if err != nil {
		return err
	}
	for _, p := range found {
		name := filepath.Join(dir, filepath.FromSlash(p))
		if r.seen[name] {
			continue
		}
		r.seen[name] = true
		if err := r.regular(root, p, name); err != nil {
			return err
		}
	}
	return nil
}

// list finds the manifests of a folder, in the order of their names.
func list(root *os.Root, dir string, recursive bool) ([]string, error) {
	var found []string
	var size int64
	err := fs.WalkDir(root.FS(), ".", func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != "." && (!recursive || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case d.IsDir() || !slices.Contains(extensions, strings.ToLower(path.Ext(p))):
			return nil
		}
		info, err := inside(root, p, filepath.Join(dir, filepath.FromSlash(p)))
		if err != nil {
			return err
		}
		found, size = append(found, p), size+info.Size()
		switch {
		case len(found) > maxFiles:
			return fmt.Errorf("%s: more than %d files of manifests", dir, maxFiles)
		case size > maxInput:
			return fmt.Errorf("%s: more than %d MiB of manifests", dir, maxInput>>20)
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: no manifests (%s) here", dir, strings.Join(extensions, ", "))
	}
	return found, err
}

// inside looks at a file of a folder, without opening it.
func inside(root *os.Root, p, name string) (fs.FileInfo, error) {
	link, err := root.Lstat(p)
	if err != nil {
		return nil, err
	}
	info, err := root.Stat(p)
	switch {
	case err != nil && link.Mode()&fs.ModeSymlink != 0 && !errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("%s is a link that leads out of the folder; links within it are relative", name)
	case err != nil:
		return nil, err
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is %s, not a file", name, kindOf(info.Mode()))
	}
	return info, nil
}

func kindOf(m fs.FileMode) string {
	switch {
	case m.IsDir():
		return "a folder"
	case m&fs.ModeNamedPipe != 0:
		return "a pipe"
	case m&fs.ModeSocket != 0:
		return "a socket"
	case m&fs.ModeDevice != 0:
		return "a device"
	}
	return "no regular file"
}

// regular reads a file of a folder. It may have become something else since it was looked at, so the open does not wait.
func (r *reading) regular(root *os.Root, p, name string) error {
	f, err := root.OpenFile(p, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is %s, not a file", name, kindOf(info.Mode()))
	}
	if err != nil {
		return err
	}
	return r.add(name, f)
}
