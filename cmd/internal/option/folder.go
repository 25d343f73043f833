package option

import (
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

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/translate/manifest"
)

// extensions are those of manifests in a folder.
var extensions = []string{".yaml", ".yml", ".json"}

// maxInput bounds all manifests together in bytes, maxFiles their number: what is read takes many
// times its size in memory.
const maxInput, maxFiles = 64 << 20, 10_000

// reader gathers files within the bounds.
type reader struct {
	files []manifest.File
	seen  map[string]bool
	left  int64 // of maxInput
}

// add reads one file. One that is larger than it may be is cut there: the finding that says so
// comes with the others.
func (r *reader) add(name string, from io.Reader) error {
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

func (m *Manifests) readAll(stdin io.Reader) ([]manifest.File, error) {
	r := &reader{seen: map[string]bool{}, left: maxInput}
	for _, name := range m.Names {
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
			err = r.addFolder(name, m.Recursive)
		default:
			err = r.addNamed(name)
		}
		if err != nil {
			return nil, exit.Because(exit.InputWrong, err)
		}
	}
	return r.files, nil
}

// Files are the names of the files that Read would read now, but for standard input. Read says what is
// wrong with them.
func (m *Manifests) Files() []string {
	var all []string
	for _, name := range m.Names {
		info, err := os.Stat(name)
		switch {
		case err != nil || name == "-":
		case info.IsDir():
			all = append(all, filesOf(name, m.Recursive)...)
		default:
			all = append(all, name)
		}
	}
	return all
}

func filesOf(dir string, recursive bool) []string {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil // it went away meanwhile
	}
	defer root.Close()
	found, _ := listManifests(root, dir, recursive) // Read says why it is cut short
	for i, p := range found {
		found[i] = filepath.Join(dir, filepath.FromSlash(p))
	}
	return found
}

// addNamed reads what the command line names, whatever it is: a link, or a pipe like bash's
// <(command).
func (r *reader) addNamed(name string) error {
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

// addFolder reads a folder's manifests. Who made the folder did not choose what the command may
// read: a link that leads out of it is refused, and so is what is no file. Links to folders are not
// followed, so there is no loop. Sizes are added up before anything is read.
func (r *reader) addFolder(dir string, recursive bool) error {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer root.Close()
	found, err := listManifests(root, dir, recursive)
	if err != nil {
		return err
	}
	for _, p := range found {
		name := filepath.Join(dir, filepath.FromSlash(p))
		if r.seen[name] {
			continue
		}
		r.seen[name] = true
		if err := r.addRegular(root, p, name); err != nil {
			return err
		}
	}
	return nil
}

// listManifests finds the manifests of a folder, in the order of their names; with an error, up to the one
// that is wrong.
func listManifests(root *os.Root, dir string, recursive bool) ([]string, error) {
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
		found = append(found, p)
		info, err := statWithin(root, p, filepath.Join(dir, filepath.FromSlash(p)))
		if err != nil {
			return err
		}
		size += info.Size()
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

// statWithin looks at a file of a folder, without opening it.
func statWithin(root *os.Root, p, name string) (fs.FileInfo, error) {
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

// addRegular reads a file of a folder. It may have become something else since it was looked at, so
// the open does not wait.
func (r *reader) addRegular(root *os.Root, p, name string) error {
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
