package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

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

func (in *input) readAll(stdin io.Reader) ([]manifest.File, error) {
	var files []manifest.File
	seen := map[string]bool{}
	add := func(name string, r io.Reader) error {
		b, err := io.ReadAll(io.LimitReader(r, manifest.MaxFile+1))
		if err != nil {
			return err
		}
		files = append(files, manifest.File{Name: name, Data: b})
		return nil
	}
	open := func(name string) error {
		if name = filepath.Clean(name); seen[name] {
			return nil
		}
		seen[name] = true
		f, err := os.Open(name)
		if err != nil {
			return err
		}
		defer f.Close()
		return add(name, f)
	}
	for _, name := range in.names {
		if name == "-" {
			if err := add("<stdin>", stdin); err != nil {
				return nil, err
			}
			continue
		}
		info, err := os.Stat(name)
		if err != nil {
			return nil, &inputError{err.Error()}
		}
		if !info.IsDir() {
			if err := open(name); err != nil {
				return nil, &inputError{err.Error()}
			}
			continue
		}
		found, err := in.folder(name)
		if err != nil {
			return nil, &inputError{err.Error()}
		}
		for _, f := range found {
			if err := open(f); err != nil {
				return nil, &inputError{err.Error()}
			}
		}
	}
	return files, nil
}

// folder lists a folder's manifests. Links to folders are not followed, so there is no loop.
func (in *input) folder(dir string) ([]string, error) {
	var found []string
	err := filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && p != dir && (!in.recursive || strings.HasPrefix(d.Name(), ".")):
			return fs.SkipDir
		case !d.IsDir() && slices.Contains(extensions, strings.ToLower(filepath.Ext(p))):
			found = append(found, p)
		}
		return nil
	})
	if err == nil && len(found) == 0 {
		err = fmt.Errorf("%s: no manifests (%s) here", dir, strings.Join(extensions, ", "))
	}
	return found, err
}
