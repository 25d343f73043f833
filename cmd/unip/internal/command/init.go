package command

import (
	"bufio"
	"cmp"
	"errors"
	"fmt"
	"io"
	"os"
	"os/user"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/newmodule"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
)

// usualRegistry is the local cluster's.
const usualRegistry = "registry.localhost:5000"

func initCommand() *cobra.Command {
	var v newmodule.Values
	c := &cobra.Command{
		Use:   "init [DIR]",
		Short: "Write a new module that runs at once",
		Long: `Init writes a small module into a folder: a function in Python, a pipeline that makes its model from an
uploaded table, the manifests with a user, a Dockerfile, .gitignore, and tests for pytest. It needs no
library. What is not given by flags is asked at a terminal, and elsewhere it is the usual. Files that are
there are never touched: then nothing is written.`,
		Example: `  unip init topics
  unip init . --name topics --owner ann --registry registry.example/ann
  cd topics && unip dev -f manifests/`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exit.Errorf(exit.UsageWrong, "wanted: one folder at the most")
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			dir := "."
			if len(args) > 0 {
				dir = args[0]
			}
			return writeModule(c, dir, v)
		},
	}
	f := c.Flags()
	f.StringVar(&v.Name, "name", "", "the module's name (default: the folder's)")
	f.StringVar(&v.Owner, "owner", "", "your name on the platform, and that of the first user (default: your login)")
	f.StringVar(&v.Registry, "registry", "", "where the module's image is pushed (default: "+usualRegistry+")")
	f.StringVar(&v.Password, "password", "change-me", "the first user's password on this machine; it stands in the manifests")
	return c
}

func writeModule(c *cobra.Command, dir string, v newmodule.Values) error {
	whole, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	login := ""
	if u, err := user.Current(); err == nil {
		login = u.Username
	}
	ask := asker(c)
	for _, q := range []struct {
		value *string
		what  string
		usual string
	}{
		{&v.Name, "name of the module", cmp.Or(newmodule.Word(filepath.Base(whole)), "module")},
		{&v.Owner, "your name on the platform", cmp.Or(newmodule.Word(login), "ann")},
		{&v.Registry, "registry of the image", usualRegistry},
	} {
		if *q.value == "" {
			if *q.value, err = ask(q.what, q.usual); err != nil {
				return err
			}
		}
	}
	if err := v.Check(); err != nil {
		return exit.Because(exit.UsageWrong, err)
	}
	names, err := newmodule.Write(dir, v)
	if err != nil {
		return exit.Because(exit.InputWrong, err)
	}
	for _, name := range names {
		fmt.Fprintln(c.OutOrStdout(), filepath.Join(dir, name))
	}
	change := ""
	if dir != "." {
		change = "cd " + dir + " && "
	}
	fmt.Fprintf(c.ErrOrStderr(), "\ntry next: %sunip dev -f manifests/ --reload\n", change)
	return nil
}

// asker asks at a terminal; elsewhere everything is as usual.
func asker(c *cobra.Command) func(what, usual string) (string, error) {
	in, ok := c.InOrStdin().(*os.File)
	if !ok || !output.IsTerminal(in) {
		return func(_, usual string) (string, error) { return usual, nil }
	}
	lines := bufio.NewReader(in)
	return func(what, usual string) (string, error) {
		fmt.Fprintf(c.ErrOrStderr(), "%s [%s]: ", what, usual)
		line, err := lines.ReadString('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return "", err
		}
		return cmp.Or(strings.TrimSpace(line), usual), nil
	}
}
