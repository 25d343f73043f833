package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
	"github.com/unip-knative/unip/cmd/unip/internal/image"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/media"
	"github.com/unip-knative/unip/eventing/printable"
)

func filesCommand() *cobra.Command {
	o := &option.Module{}
	c := &cobra.Command{
		Use: "files", Short: "Your files in the module's boxes",
		Example: `  unip files ls
  unip files ls userdata/incoming/
  unip files put table.csv userdata/incoming/table.csv
  unip files get -r userdata/results/`,
		Long: `Files shows, brings and deletes your files in the module's boxes. A path is <box>/<group>/<file>; one
that ends in / is a group, and so is one segment after the box. Every file is in a group. The module's
author writes weights and tables into the developer's area of a box, <box>:/<path>, by 'files put'.`,
		Args: commandArgs,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	o.AddFlags(c)
	c.AddCommand(filesLsCommand(o), filesPutCommand(o), filesGetCommand(o), filesRmCommand(o))
	return c
}

// isGroup reports a path in a box that is no file's: a group, or the box itself.
func isGroup(p string) bool { return strings.HasSuffix(p, "/") || strings.Count(p, "/") < 2 }

func filesLsCommand(o *option.Module) *cobra.Command {
	return &cobra.Command{
		Use: "ls [BOX/[GROUP/]]", Short: "List the files and groups in a group, or the boxes",
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exit.Errorf(exit.UsageWrong, "wanted: nothing, or BOX/[GROUP/]")
			}
			return nil
		},
		Example: `  unip files ls
  unip files ls userdata/
  unip files ls userdata/incoming/ -o json | jq -r '.files[].name'`,
		ValidArgsFunction: completeGroup(o),
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 1 {
				if err := refuseDevelopers(args[0]); err != nil {
					return err
				}
			}
			m, err := o.Client()
			if err != nil {
				return err
			}
			if len(args) == 0 {
				return listBoxes(c, &o.Output, m)
			}
			all, err := listGroup(c.Context(), m, args[0])
			if err != nil {
				return asRefused(err)
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

func listBoxes(c *cobra.Command, format *option.Format, m *gateway.Client) error {
	boxes, err := m.Boxes(c.Context())
	if err != nil {
		return asRefused(err)
	}
	if format.JSON() {
		return output.WriteJSON(c.OutOrStdout(), map[string]any{"boxes": boxes})
	}
	w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
	for _, b := range boxes {
		what := ""
		if b.ReadOnly {
			what = "a dataset, to be read"
		}
		fmt.Fprintf(w, "%s/\t%s\n", printable.Line(b.Name), what)
	}
	return w.Flush()
}

// listGroup reads all pages of a group.
func listGroup(ctx context.Context, m *gateway.Client, group string) (gateway.Listing, error) {
	all := gateway.Listing{Files: []gateway.File{}, Groups: []string{}}
	for next := ""; ; {
		page, err := m.List(ctx, strings.TrimSuffix(group, "/")+"/", next)
		if err != nil {
			return all, err
		}
		all.Files, all.Groups = append(all.Files, page.Files...), append(all.Groups, page.Groups...)
		if next = page.Next; next == "" {
			return all, nil
		}
	}
}

func filesPutCommand(o *option.Module) *cobra.Command {
	var link, recursive bool
	author := &authorPut{module: o}
	c := &cobra.Command{
		Use: "put [FILE|FOLDER] BOX/GROUP/[FILE]|BOX:/[PATH]", Short: "Upload a file, or all files of a folder",
		Long: `Put uploads a file, or with -r what is in a folder: FOLDER/a/b.csv becomes BOX/GROUP/a/b.csv. Its media
type is what the ending of its name says. Empty folders are nothing in a box. One file that fails does
not keep back the others. With -o json the files that were stored are data.

BOX/GROUP/FILE is a file of your own, which no component reads by itself. BOX:/PATH is the developer's
area of the box: weights, tables, what modelBox, mounts and mountFrom name. There writes the module's
author, with a kubeconfig that may change the DataBox (role edit). Without a kubeconfig, and with --url,
the module's API is asked, for developers whom the annotation developers of the box names. The file goes
straight to the storage, by a link for this one object that is good for 15 minutes.`,
		Example: `  unip files put table.csv userdata/incoming/table.csv
  unip files put -r photos/ userdata/incoming/photos/
  unip files put leaf.onnx weights:/models/leaf.onnx -n pu-ann-pa-leaves
  curl -T table.csv "$(unip files put userdata/incoming/table.csv --link)"`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) != 2 && (len(args) != 1 || !link) || link && recursive {
				return exit.Errorf(exit.UsageWrong,
					"wanted: FILE BOX/GROUP/FILE, FILE BOX:/PATH, -r FOLDER BOX/GROUP/, or BOX/GROUP/FILE --link")
			}
			return nil
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 0 && !link {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return completeGroup(o)(c, nil, word)
		},
		RunE: func(c *cobra.Command, args []string) error {
			to := args[len(args)-1]
			switch {
			case isDevelopers(to) && link:
				return exit.Errorf(exit.UsageWrong,
					"--link: a link into the developer's area is for one file of known size; FILE %s uploads it", printable.Line(to))
			case isDevelopers(to):
				return author.run(c, args[0], to, recursive)
			}
			m, err := o.Client()
			if err != nil {
				return err
			}
			if link {
				f, err := m.PutLink(c.Context(), to, -1, author.overwrite)
				return writeLink(c, &o.Output, f, f.Put, err)
			}
			all, err := whatToPut(args[0], to, recursive)
			if err != nil {
				return exit.Because(exit.InputWrong, err)
			}
			put := func(ctx context.Context, t *transfer, progress func(int64)) error {
				return putFile(ctx, m, t, author.overwrite, progress)
			}
			if err := transferAll(c, &o.Output, to, all, put); err != nil || o.Output.JSON() {
				return err
			}
			noteWeights(c, all)
			return nil
		},
	}
	author.addFlags(c)
	c.Flags().BoolVar(&author.overwrite, "overwrite", false, "replace a file that exists")
	c.Flags().BoolVar(&link, "link", false, "print the link by which the file can be written, instead of writing it")
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "all files in the folder and below")
	return c
}

// noteWeights says of a model among the caller's own files where those lie that components read.
func noteWeights(c *cobra.Command, all []*transfer) {
	i := slices.IndexFunc(all, func(t *transfer) bool { return image.IsWeights(t.Path) })
	if i < 0 {
		return
	}
	box, below, _ := strings.Cut(all[i].Path, "/")
	fmt.Fprintf(c.ErrOrStderr(), "note: %s is a file of your own, which no component reads by itself; weights of a model "+
		"go to the developer's area, %s:/%s\n", printable.Line(all[i].Path), box, printable.Line(below))
}

// whatToPut is what lies at a place of this machine, and where it goes.
func whatToPut(from, to string, recursive bool) ([]*transfer, error) {
	info, err := os.Stat(from)
	switch {
	case err != nil:
		return nil, err
	case info.IsDir() && !recursive:
		return nil, fmt.Errorf("%s is a folder: with -r what is in it is uploaded", from)
	case !info.IsDir() && !info.Mode().IsRegular():
		return nil, fmt.Errorf("%s is not a file", from)
	case !info.IsDir():
		if isGroup(to) {
			to = strings.TrimSuffix(to, "/") + "/" + filepath.Base(from)
		}
		return []*transfer{{Path: to, File: from, Size: info.Size()}}, nil
	}
	all, err := filesBelow(from)
	if err != nil {
		return nil, err
	}
	to = strings.TrimSuffix(to, "/")
	if !strings.Contains(to, "/") { // a box: its files are in groups
		name, err := filepath.Abs(from)
		if err != nil {
			return nil, err
		}
		to += "/" + filepath.Base(name)
	}
	for _, t := range all {
		t.Path = to + "/" + t.Path
	}
	return all, nil
}

func putFile(ctx context.Context, m *gateway.Client, t *transfer, overwrite bool, progress func(int64)) error {
	local, err := os.Open(t.File)
	if err != nil {
		return exit.Because(exit.InputWrong, err)
	}
	defer local.Close()
	f, err := m.PutLink(ctx, t.Path, t.Size, overwrite)
	if err != nil {
		return err
	}
	t.Type = media.Of("", t.Path)
	t.ETag, err = m.Upload(ctx, f.Put, t.Type, local, t.Size, progress)
	return err
}

// writeLink prints a link; as data with all that is known of it.
func writeLink(c *cobra.Command, format *option.Format, f gateway.File, link string, err error) error {
	switch {
	case err != nil:
		return asRefused(err)
	case format.JSON():
		return output.WriteJSON(c.OutOrStdout(), f)
	}
	_, err = fmt.Fprintln(c.OutOrStdout(), printable.Line(link))
	return err
}

func filesGetCommand(o *option.Module) *cobra.Command {
	var link, recursive bool
	c := &cobra.Command{
		Use: "get BOX/GROUP/[FILE] [FILE|FOLDER|-]", Short: "Download a file, or all files of a group",
		Long: `Get downloads a file, to standard output for -, or with -r what is in a group: BOX/GROUP/a/b.csv
becomes FOLDER/a/b.csv; without FOLDER, it is called as the group. A file appears only when it is
whole, and replaces one that is there. With -o json the files that have come are data.`,
		Example: `  unip files get userdata/incoming/table.csv
  unip files get userdata/incoming/table.csv - | head
  unip files get -r userdata/results/ results/
  curl -s "$(unip files get userdata/incoming/table.csv --link)" | head`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) < 1 || len(args) > 2 || link && (recursive || len(args) > 1) {
				return exit.Errorf(exit.UsageWrong, "wanted: BOX/GROUP/FILE [FILE|-], -r BOX/GROUP/ [FOLDER], or BOX/GROUP/FILE --link")
			}
			return nil
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, word string) ([]string, cobra.ShellCompDirective) {
			if len(args) > 0 {
				return nil, cobra.ShellCompDirectiveDefault
			}
			return completeFile(o)(c, args, word)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := refuseDevelopers(args[0]); err != nil {
				return err
			}
			m, err := o.Client()
			if err != nil {
				return err
			}
			to := ""
			if len(args) == 2 {
				to = args[1]
			}
			switch group := isGroup(args[0]); {
			case recursive && to == "-", to == "-" && o.Output.JSON():
				return exit.Errorf(exit.UsageWrong, "- is standard output, for one file alone")
			case recursive:
				return getGroup(c, o, m, args[0], to)
			case group:
				return exit.Errorf(exit.UsageWrong, "%s is a group: with -r what is in it is downloaded, `files ls` shows it",
					printable.Line(args[0]))
			}
			f, err := m.Stat(c.Context(), args[0])
			switch {
			case err != nil || link:
				return writeLink(c, &o.Output, f, f.Get, err)
			case to == "-":
				return m.Download(c.Context(), f.Get, c.OutOrStdout(), nil)
			}
			return getOne(c, o, m, args[0], f, to)
		},
	}
	c.Flags().BoolVar(&link, "link", false, "print the link by which the file can be read, instead of reading it")
	c.Flags().BoolVarP(&recursive, "recursive", "r", false, "all files in the group and below")
	return c
}

// getOne downloads one file; to is a file or a folder of this machine, "" the name that it has.
func getOne(c *cobra.Command, o *option.Module, m *gateway.Client, from string, f gateway.File, to string) error {
	name := path.Base(from)
	if i, err := os.Stat(to); strings.HasSuffix(to, "/") || err == nil && i.IsDir() {
		to = filepath.Join(to, name)
	} else if to == "" {
		to = name
	}
	t := &transfer{Path: from, File: to, Size: f.Size, ETag: f.ETag, Type: f.ContentType, link: f.Get,
		below: filepath.Base(to)}
	if i, err := os.Stat(to); err == nil && !i.Mode().IsRegular() && !i.IsDir() { // a pipe, /dev/null, a link to one
		return transferAll(c, &o.Output, from, []*transfer{t},
			func(ctx context.Context, t *transfer, progress func(int64)) error {
				w, err := os.OpenFile(to, os.O_WRONLY, 0)
				if err != nil {
					return exit.Because(exit.InputWrong, err)
				}
				return errors.Join(m.Download(ctx, t.link, w, progress), w.Close())
			})
	}
	return getFiles(c, o, m, filepath.Dir(to), from, []*transfer{t})
}

// getGroup downloads all files of a group into a folder.
func getGroup(c *cobra.Command, o *option.Module, m *gateway.Client, group, to string) error {
	group = strings.TrimSuffix(group, "/") + "/"
	if to == "" {
		to = path.Base(group)
	}
	var all []*transfer
	for below := []string{""}; len(below) > 0; below = below[1:] {
		list, err := listGroup(c.Context(), m, group+below[0])
		if err != nil {
			return asRefused(err)
		}
		for _, g := range list.Groups {
			if _, err := filepath.Localize(below[0] + g); err != nil {
				return exit.Errorf(exit.InputWrong, "%q cannot be the name of a folder here", group+below[0]+g)
			}
			below = append(below, below[0]+g+"/")
		}
		for _, f := range list.Files {
			name := below[0] + f.Name
			local, err := filepath.Localize(name)
			if err != nil {
				return exit.Errorf(exit.InputWrong, "%q cannot be the name of a file here", group+name)
			}
			all = append(all, &transfer{Path: group + name, File: filepath.Join(to, local), Size: f.Size, ETag: f.ETag,
				below: name})
		}
	}
	if len(all) == 0 {
		return exit.Errorf(exit.Refused, "there is no file in %s", printable.Line(group))
	}
	return getFiles(c, o, m, to, group, all)
}

// getFiles downloads files into a folder. Nothing is written outside of it, whatever their names.
func getFiles(c *cobra.Command, o *option.Module, m *gateway.Client, dir, shown string, all []*transfer) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { // what a user downloads is as others' files
		return exit.Because(exit.InputWrong, err)
	}
	folder, err := os.OpenRoot(dir)
	if err != nil {
		return exit.Because(exit.InputWrong, err)
	}
	defer folder.Close()
	return transferAll(c, &o.Output, shown, all, func(ctx context.Context, t *transfer, progress func(int64)) error {
		if t.link == "" {
			f, err := m.Stat(ctx, t.Path)
			if err != nil {
				return err
			}
			t.link, t.Type = f.Get, f.ContentType
		}
		if err := folder.MkdirAll(path.Dir(t.below), 0o755); err != nil {
			return exit.Because(exit.InputWrong, err)
		}
		return saveFile(folder, t.below, func(w io.Writer) error { return m.Download(ctx, t.link, w, progress) })
	})
}

func filesRmCommand(o *option.Module) *cobra.Command {
	return &cobra.Command{
		Use: "rm BOX/GROUP/FILE|BOX/GROUP/", Short: "Delete a file, or a group with all its files",
		Args: exactArgs("BOX/GROUP/FILE"),
		Example: `  unip files rm userdata/incoming/table.csv
  unip files rm userdata/incoming/`,
		ValidArgsFunction: completeFile(o),
		RunE: func(c *cobra.Command, args []string) error {
			if err := refuseDevelopers(args[0]); err != nil {
				return err
			}
			m, err := o.Client()
			if err != nil {
				return err
			}
			return asRefused(m.Remove(c.Context(), args[0]))
		},
	}
}
