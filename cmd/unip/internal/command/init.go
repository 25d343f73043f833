package command

import (
	"bufio"
	"cmp"
	"context"
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
	"github.com/unip-knative/unip/eventing/printable"
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
	for _, q := range []question{
		{&v.Name, "name", "name of the module", cmp.Or(newmodule.Word(filepath.Base(whole)), "module"), newmodule.CheckName},
		{&v.Owner, "owner", "your name on the platform", cmp.Or(newmodule.Word(login), "ann"), newmodule.CheckOwner},
		{&v.Registry, "registry", "registry of the image", usualRegistry, newmodule.CheckRegistry},
	} {
		if *q.value == "" {
			if *q.value, err = ask(q); err != nil {
				return err
			}
		}
		if err := q.check(*q.value); err != nil {
			return exit.Errorf(exit.UsageWrong, "--%s: %w", q.flag, err)
		}
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
		change = "cd " + newmodule.Quoted(dir) + " && "
	}
	fmt.Fprintf(c.ErrOrStderr(), "\ntry next: %sunip dev -f manifests/ --reload\n", change)
	return nil
}

// question is what is asked when its flag is missing.
type question struct {
	value             *string
	flag, what, usual string
	check             func(string) error
}

// asker asks at a terminal, until the answer is right; elsewhere everything is as usual.
func asker(c *cobra.Command) func(question) (string, error) {
	in, ok := c.InOrStdin().(*os.File)
	if !ok || !output.IsTerminal(in) {
		return func(q question) (string, error) { return q.usual, nil }
	}
	lines := bufio.NewReader(in)
	return func(q question) (string, error) {
		for {
			fmt.Fprintf(c.ErrOrStderr(), "%s [%s]: ", q.what, q.usual)
			line, err := readLine(c.Context(), lines)
			if err != nil {
				fmt.Fprintln(c.ErrOrStderr())
				return "", err
			}
			answer := cmp.Or(strings.TrimSpace(line), q.usual)
			err = q.check(answer)
			if err == nil {
				return answer, nil
			}
			fmt.Fprintln(c.ErrOrStderr(), printable.Line(err.Error()))
		}
	}
}

// readLine waits for a line, or for Ctrl-C.
func readLine(ctx context.Context, lines *bufio.Reader) (string, error) {
	var line string
	read := make(chan error, 1)
	go func() {
		var err error
		line, err = lines.ReadString('\n')
		read <- err
	}()
	select {
	case <-ctx.Done():
		return "", ctx.Err()
	case err := <-read:
		if errors.Is(err, io.EOF) {
			return "", errors.New("there was no answer, and nothing was written")
		}
		return line, err
	}
}
