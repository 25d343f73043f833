package command

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/printable"
)

func filesCommand() *cobra.Command {
	o := &option.Module{}
	c := &cobra.Command{
		Use: "files", Short: "Your files in the module's boxes",
		Example: `  unip files ls userdata/incoming/
  unip files put table.csv userdata/incoming/table.csv`,
		Long: "A path is <box>/<group>/<file>; one that ends in / is a group. Every file is in a group.",
		Args: commandArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	o.AddFlags(c)
	c.AddCommand(filesLsCommand(o), filesPutCommand(o), filesGetCommand(o), filesRmCommand(o))
	return c
}

func filesLsCommand(o *option.Module) *cobra.Command {
	return &cobra.Command{
		Use: "ls BOX/[GROUP/]", Short: "List the files and groups in a group", Args: exactArgs("BOX/[GROUP/]"),
		Example: `  unip files ls userdata/
  unip files ls userdata/incoming/ -o json | jq -r '.files[].name'`,
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.Client()
			if err != nil {
				return err
			}
			all := gateway.Listing{Files: []gateway.File{}, Groups: []string{}}
			for next := ""; ; {
				page, err := m.List(c.Context(), strings.TrimSuffix(args[0], "/")+"/", next)
				if err != nil {
					return asRefused(err)
				}
				all.Files, all.Groups = append(all.Files, page.Files...), append(all.Groups, page.Groups...)
				if next = page.Next; next == "" {
					break
				}
			}
			if o.Output.JSON() {
				return output.WriteJSON(c.OutOrStdout(), all)
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
			for _, g := range all.Groups {
				fmt.Fprintf(w, "\t\t%s/\n", printable.Line(g))
			}
			for _, f := range all.Files {
				fmt.Fprintf(w, "%d\t%s\t%s\n", f.Size, output.LocalTime(f.LastModified), printable.Line(f.Name))
			}
			return w.Flush()
		},
	}
}

func filesPutCommand(o *option.Module) *cobra.Command {
	var overwrite, link bool
	c := &cobra.Command{
		Use: "put [FILE] BOX/GROUP/FILE", Short: "Upload a file",
		Example: `  unip files put table.csv userdata/incoming/table.csv
  curl -T table.csv "$(unip files put userdata/incoming/table.csv --link)"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 && (len(args) != 1 || !link) {
				return exit.Errorf(exit.UsageWrong, "wanted: FILE BOX/GROUP/FILE, or BOX/GROUP/FILE --link")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.Client()
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
					return asRefused(err)
				}
				fmt.Fprintln(c.OutOrStdout(), printable.Line(f.Put))
				return nil
			}
			local, err := os.Open(args[0])
			if err != nil {
				return exit.Because(exit.InputWrong, err)
			}
			defer local.Close()
			info, err := local.Stat()
			if err == nil && !info.Mode().IsRegular() {
				err = fmt.Errorf("%s is not a file", args[0])
			}
			if err != nil {
				return exit.Because(exit.InputWrong, err)
			}
			f, err := m.PutLink(c.Context(), to, info.Size(), overwrite)
			if err != nil {
				return asRefused(err)
			}
			return m.Upload(c.Context(), f.Put, local, info.Size(), output.Progress(c.ErrOrStderr(), to, info.Size()))
		},
	}
	c.Flags().BoolVar(&overwrite, "overwrite", false, "replace a file that exists")
	c.Flags().BoolVar(&link, "link", false, "print the link by which the file can be written, instead of writing it")
	return c
}

func filesGetCommand(o *option.Module) *cobra.Command {
	var link bool
	c := &cobra.Command{
		Use: "get BOX/GROUP/FILE [FILE]", Short: "Download a file",
		Example: `  unip files get userdata/incoming/table.csv
  curl -s "$(unip files get userdata/incoming/table.csv --link)" | head`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 {
				return exit.Errorf(exit.UsageWrong, "wanted: BOX/GROUP/FILE [FILE]")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.Client()
			if err != nil {
				return err
			}
			f, err := m.Stat(c.Context(), args[0])
			switch {
			case err != nil:
				return asRefused(err)
			case link:
				fmt.Fprintln(c.OutOrStdout(), printable.Line(f.Get))
				return nil
			case o.Output.JSON():
				return output.WriteJSON(c.OutOrStdout(), f)
			}
			to := path.Base(args[0])
			if len(args) == 2 {
				to = args[1]
			}
			if i, err := os.Stat(to); err == nil && i.IsDir() {
				to = filepath.Join(to, path.Base(args[0]))
			}
			return m.Download(c.Context(), f.Get, to, output.Progress(c.ErrOrStderr(), to, f.Size))
		},
	}
	c.Flags().BoolVar(&link, "link", false, "print the link by which the file can be read, instead of reading it")
	return c
}

func filesRmCommand(o *option.Module) *cobra.Command {
	return &cobra.Command{
		Use: "rm BOX/GROUP/FILE|BOX/GROUP/", Short: "Delete a file, or a group with all its files",
		Args: exactArgs("BOX/GROUP/FILE"),
		Example: `  unip files rm userdata/incoming/table.csv
  unip files rm userdata/incoming/`,
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.Client()
			if err != nil {
				return err
			}
			return asRefused(m.Remove(c.Context(), args[0]))
		},
	}
}
