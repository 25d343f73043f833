// Package newmodule writes a module to begin with: a function, a pipeline that makes its model, the
// manifests, a Dockerfile and tests. It needs nothing but Python.
package newmodule

import (
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"text/template"
)

//go:embed all:files
var files embed.FS

// taken are names that no package of Python can have beside Python's own modules and words, and the
// module's other folders.
//
//go:embed taken.txt
var taken string

// Values are what the files are filled with.
type Values struct {
	Name     string // of the module
	Owner    string // the author's name on the platform, and the first user
	Package  string // of Python
	Password string // of the first user
	Registry string // of the image, as registry.example/ann
}

// Namespace is the module's.
func (v Values) Namespace() string { return "pu-" + v.Owner + "-pa-" + v.Name }

// Image is the module's.
func (v Values) Image() string { return v.Registry + "/" + v.Name + ":v1" }

var (
	word   = regexp.MustCompile(`^[a-z]([a-z0-9-]*[a-z0-9])?$`)
	others = regexp.MustCompile(`[^a-z0-9]+`)
	// registry is a host and folders.
	registry = regexp.MustCompile(`^[a-z0-9]([a-z0-9._:/-]*[a-z0-9])?$`)
	// plain is what a shell takes as it is.
	plain = regexp.MustCompile(`^[A-Za-z0-9_.,:/@%+-]+$`)
)

// values are words that some readers of YAML take for no text.
var values = []string{"null", "true", "false", "yes", "no", "on", "off", "y", "n"}

// maxWord bounds the names, which stand in labels with more around them.
const maxWord = 20

// Word makes a name of any text, "" where nothing is left.
func Word(text string) string {
	text = strings.Trim(others.ReplaceAllString(strings.ToLower(text), "-"), "-0123456789")
	return strings.Trim(text[:min(len(text), maxWord)], "-")
}

// CheckName says why that is no name of a module.
func CheckName(name string) error {
	if err := CheckOwner(name); err != nil {
		return err
	}
	if len(name) == 1 {
		return fmt.Errorf("%q: an image's name has two letters or more", name)
	}
	if slices.Contains(strings.Fields(taken), name) {
		return fmt.Errorf("%q would hide what Python or the module has by this name: choose another one", name)
	}
	return nil
}

// CheckOwner says why that is no name of an author.
func CheckOwner(name string) error {
	if !word.MatchString(name) || len(name) > maxWord {
		return fmt.Errorf("%q: up to %d small letters, digits and -, a letter first", name, maxWord)
	}
	if slices.Contains(values, name) {
		return fmt.Errorf("%q is no text in YAML: choose another name", name)
	}
	return nil
}

// CheckRegistry says why images cannot be there.
func CheckRegistry(name string) error {
	if !registry.MatchString(name) {
		return fmt.Errorf("%q is not the first part of an image's name, like registry.example/ann", name)
	}
	return nil
}

// renamed are files whose names would mean something in this repository.
var renamed = map[string]string{"gitignore": ".gitignore", "dockerignore": ".dockerignore"}

// Write writes the files into a folder and gives their names. One that is there is never touched:
// then nothing is written.
func Write(dir string, v Values) ([]string, error) {
	v.Package = strings.ReplaceAll(v.Name, "-", "_")
	contents := map[string][]byte{}
	var names []string
	err := fs.WalkDir(files, "files", func(p string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		name := strings.TrimPrefix(p, "files/")
		if rest, ok := strings.CutPrefix(name, "package/"); ok {
			name = v.Package + "/" + rest
		}
		if to, ok := renamed[path.Base(name)]; ok {
			name = path.Join(path.Dir(name), to)
		}
		contents[name], err = fill(p, v)
		names = append(names, name)
		return err
	})
	if err != nil {
		return nil, err
	}
	slices.Sort(names)
	for _, name := range names {
		if _, err := os.Lstat(filepath.Join(dir, name)); !errors.Is(err, fs.ErrNotExist) {
			return nil, errors.Join(fmt.Errorf("%s is there already, and nothing was written; choose an empty folder",
				filepath.Join(dir, name)), err)
		}
	}
	for _, name := range names {
		if err := write(filepath.Join(dir, filepath.FromSlash(name)), contents[name]); err != nil {
			return nil, err
		}
	}
	return names, nil
}

// Quoted is a text as one word for a shell.
func Quoted(text string) string {
	if plain.MatchString(text) {
		return text
	}
	return "'" + strings.ReplaceAll(text, "'", `'\''`) + "'"
}

// fill is a file with the values in it.
func fill(name string, v Values) ([]byte, error) {
	t, err := template.New(path.Base(name)).Funcs(template.FuncMap{"quoted": Quoted}).ParseFS(files, name)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, v)
	return b.Bytes(), err
}

// write makes a file that is not there.
func write(name string, content []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	return errors.Join(err, f.Close())
}
