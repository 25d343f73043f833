package option

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/translate/manifest"
)

// Manifests are which manifests a command reads.
type Manifests struct {
	Names     []string // of files and folders; - is standard input
	Recursive bool
}

// AddFlags adds -f and -R.
func (m *Manifests) AddFlags(c *cobra.Command) {
	c.Flags().StringSliceVarP(&m.Names, "filename", "f", nil,
		"file or folder with manifests, or - for standard input; may be given several times")
	c.Flags().BoolVarP(&m.Recursive, "recursive", "R", false, "read the folders below as well")
	cobra.CheckErr(c.MarkFlagFilename("filename", "yaml", "yml", "json"))
}

// Read reads all files, in the order of their names. A folder without manifests is an error: it is
// the wrong folder. A pipe may never end, and a read of it hears no signal: it is left when the
// context ends.
func (m *Manifests) Read(ctx context.Context, stdin io.Reader) ([]manifest.File, error) {
	if len(m.Names) == 0 {
		return nil, exit.Errorf(exit.UsageWrong,
			"-f is missing: a file or folder with manifests, or - for standard input")
	}
	type result struct {
		files []manifest.File
		err   error
	}
	done := make(chan result, 1)
	go func() {
		files, err := m.readAll(stdin)
		done <- result{files, err}
	}()
	select {
	case r := <-done:
		return r.files, r.err
	case <-ctx.Done():
		return nil, fmt.Errorf("reading %s: interrupted", strings.Join(m.Names, ", "))
	}
}
