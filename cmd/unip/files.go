package main

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/module"
	"github.com/unip-knative/unip/eventing/printable"
)

func sorted[T any](m map[string]T) []string { return slices.Sorted(maps.Keys(m)) }

func filesCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use: "files", Short: "Your files in the module's boxes",
		Example: `  unip files ls userdata/incoming/
  unip files put table.csv userdata/incoming/table.csv`,
		Long: "A path is <box>/<group>/<file>; one that ends in / is a group. Every file is in a group.",
		Args: noCommand,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	r.flags(c)
	c.AddCommand(filesLs(r), filesPut(r), filesGet(r), filesRm(r))
	return c
}

func filesLs(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "ls BOX/[GROUP/]", Short: "List the files and groups in a group", Args: exactly("BOX/[GROUP/]"),
		Example: `  unip files ls userdata/
  unip files ls userdata/incoming/ -o json | jq -r '.files[].name'`,
		RunE: func(c *cobra.Command, args []string) error {
			m, err := r.client()
			if err != nil {
				return err
			}
			all := module.Listing{Files: []module.File{}, Groups: []string{}}
			for next := ""; ; {
				page, err := m.List(c.Context(), strings.TrimSuffix(args[0], "/")+"/", next)
				if err != nil {
					return said(err)
				}
				all.Files, all.Groups = append(all.Files, page.Files...), append(all.Groups, page.Groups...)
				if next = page.Next; next == "" {
					break
				}
			}
			if r.output == "json" {
				return writeJSON(c.OutOrStdout(), all)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, g := range all.Groups {
				fmt.Fprintf(w, "\t\t%s/\n", printable.Line(g))
			}
			for _, f := range all.Files {
				fmt.Fprintf(w, "%d\t%s\t%s\n", f.Size, ago(f.LastModified), printable.Line(f.Name))
			}
			return w.Flush()
		},
	}
}

func filesPut(r *remote) *cobra.Command {
	var overwrite, link bool
	c := &cobra.Command{
		Use: "put [FILE] BOX/GROUP/FILE", Short: "Upload a file",
		Example: `  unip files put table.csv userdata/incoming/table.csv
  curl -T table.csv "$(unip files put userdata/incoming/table.csv --link)"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 && (len(args) != 1 || !link) {
				return &usageError{errors.New("wanted: FILE BOX/GROUP/FILE, or BOX/GROUP/FILE --link")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			m, err := r.client()
			if err != nil {
				return err
			}
			to := args[len(args)-1]
			if strings.HasSuffix(to, "/") && len(args) == 2 {
				to += filepath.Base(args[0])
			}
			if link {
				f, err := m.PutLink(c.Context(), to, -1, overwrite)
				if err != nil {
					return said(err)
				}
				fmt.Fprintln(c.OutOrStdout(), printable.Line(f.Put))
				return nil
			}
			local, err := os.Open(args[0])
			if err != nil {
				return &inputError{err.Error()}
			}
			defer local.Close()
			info, err := local.Stat()
			if err == nil && !info.Mode().IsRegular() {
				err = fmt.Errorf("%s is not a file", args[0])
			}
			if err != nil {
				return &inputError{err.Error()}
			}
			f, err := m.PutLink(c.Context(), to, info.Size(), overwrite)
			if err != nil {
				return said(err)
			}
			return m.Upload(c.Context(), f.Put, local, info.Size(), progress(c, to, info.Size()))
		},
	}
	c.Flags().BoolVar(&overwrite, "overwrite", false, "replace a file that exists")
	c.Flags().BoolVar(&link, "link", false, "print the link by which the file can be written, instead of writing it")
	return c
}

func filesGet(r *remote) *cobra.Command {
	var link bool
	c := &cobra.Command{
		Use: "get BOX/GROUP/FILE [FILE]", Short: "Download a file",
		Example: `  unip files get userdata/incoming/table.csv
  curl -s "$(unip files get userdata/incoming/table.csv --link)" | head`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return &usageError{errors.New("wanted: BOX/GROUP/FILE [FILE]")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			m, err := r.client()
			if err != nil {
				return err
			}
			f, err := m.Stat(c.Context(), args[0])
			switch {
			case err != nil:
				return said(err)
			case link:
				fmt.Fprintln(c.OutOrStdout(), printable.Line(f.Get))
				return nil
			case r.output == "json":
				return writeJSON(c.OutOrStdout(), f)
			}
			to := path.Base(args[0])
			if len(args) == 2 {
				to = args[1]
			}
			if i, err := os.Stat(to); err == nil && i.IsDir() {
				to = filepath.Join(to, path.Base(args[0]))
			}
			return m.Download(c.Context(), f.Get, to, progress(c, to, f.Size))
		},
	}
	c.Flags().BoolVar(&link, "link", false, "print the link by which the file can be read, instead of reading it")
	return c
}

func filesRm(r *remote) *cobra.Command {
	return &cobra.Command{
		Use: "rm BOX/GROUP/FILE|BOX/GROUP/", Short: "Delete a file, or a group with all its files", Args: exactly("BOX/GROUP/FILE"),
		Example: `  unip files rm userdata/incoming/table.csv
  unip files rm userdata/incoming/`,
		RunE: func(c *cobra.Command, args []string) error {
			m, err := r.client()
			if err != nil {
				return err
			}
			return said(m.Remove(c.Context(), args[0]))
		},
	}
}

// progress tells on stderr how far a transfer is, at most twice a second, once it takes longer than two seconds.
func progress(c *cobra.Command, name string, total int64) func(int64) {
	began, last := time.Now(), time.Now()
	return func(n int64) {
		now := time.Now()
		if now.Sub(began) < 2*time.Second || (now.Sub(last) < 500*time.Millisecond && n < total) {
			return
		}
		last = now
		rate := float64(n) / now.Sub(began).Seconds()
		fmt.Fprintf(c.ErrOrStderr(), "%s: %s of %s, %s/s\n", printable.Line(name), size(n), size(total), size(int64(rate)))
	}
}
