package command

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
)

// transfersAtOnce is how many files go at a time.
const transfersAtOnce = 8

// transfer is a file that is to be brought from one side to the other.
type transfer struct {
	// Path is in a box, File on this machine.
	Path string `json:"path"`
	File string `json:"file"`
	Size int64  `json:"size"`
	ETag string `json:"etag,omitempty"`
	// Type is the media type.
	Type string `json:"content_type,omitempty"`

	link  string // to read it; "" is asked for
	below string // the folder of this machine that it is downloaded into
	key   string // in the developer's area
}

// transferAll brings all files, some at a time, and says at the end what has come. One that fails does
// not keep back the others.
func transferAll(c *cobra.Command, format *option.Format, name string, all []*transfer,
	one func(ctx context.Context, t *transfer, progress func(int64)) error) error {
	total := int64(0)
	for _, t := range all {
		total += t.Size
	}
	progress, endLine := output.Progress(c.ErrOrStderr(), name, total)
	var mu sync.Mutex
	var failed []error
	done := []*transfer{}
	var group errgroup.Group
	group.SetLimit(transfersAtOnce)
	for _, t := range all {
		group.Go(func() error {
			err := c.Context().Err()
			if err == nil {
				err = one(c.Context(), t, progress)
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil {
				failed = append(failed, fmt.Errorf("%s: %w", printable.Line(t.Path), err))
			} else {
				done = append(done, t)
			}
			return nil
		})
	}
	_ = group.Wait() // none gives an error
	endLine()
	slices.SortFunc(done, func(a, b *transfer) int { return cmp.Compare(a.Path, b.Path) })
	var err error
	if format.JSON() {
		err = output.WriteJSON(c.OutOrStdout(), map[string]any{"files": done})
	}
	switch {
	case len(failed) == 0:
		return err
	case c.Context().Err() != nil:
		return c.Context().Err()
	case len(all) == 1:
		return asRefused(errors.Unwrap(failed[0]))
	}
	for _, err := range failed[:min(len(failed), maxFailuresTold)] {
		fmt.Fprintln(c.ErrOrStderr(), err)
	}
	reason, _ := exit.Of(asRefused(failed[0]))
	return exit.Errorf(reason, "%d of %d files failed", len(failed), len(all))
}

// maxFailuresTold bounds how many failures are told of a folder's files.
const maxFailuresTold = 20

// saveFile writes a file below a folder of this machine, where it appears only when it is whole.
func saveFile(folder *os.Root, name string, write func(io.Writer) error) (err error) {
	part := path.Join(path.Dir(name), ".unip-"+rand.Text())
	f, err := folder.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, folder.Remove(part))
		}
	}()
	if err := errors.Join(write(f), f.Close()); err != nil {
		return err
	}
	return folder.Rename(part, name)
}

// filesBelow are the files of a folder of this machine, by their paths below it. Links to files count
// as what they lead to; a link to a folder, and what is neither file nor folder, is an error.
func filesBelow(dir string) ([]*transfer, error) {
	var all []*transfer
	err := filepath.WalkDir(dir, func(file string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := os.Stat(file)
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is not a file: a box keeps files only", file)
		}
		below, err := filepath.Rel(dir, file)
		if err != nil {
			return err
		}
		all = append(all, &transfer{Path: filepath.ToSlash(below), File: file, Size: info.Size()})
		return nil
	})
	if err == nil && len(all) == 0 {
		err = fmt.Errorf("there is no file in %s", dir)
	}
	return all, err
}
