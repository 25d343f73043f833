// Command unip turns the manifests of a module of the unified platform into objects that run it on Knative. Installed as kubectl-unip it is a plugin of kubectl.
//
// Exit codes: 0 fine, 1 the input is wrong, 2 wrong usage, 3 anything else.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	_ "github.com/unip-knative/unip/cmd/unip/internal/pace" // by being there
	"github.com/unip-knative/unip/eventing/printable"
)

// Set by the linker: the commit, and the images of a release (by digest). A build without them is a development build, whose images ko makes.
var (
	commit                       = "unknown"
	version                      = "development"
	imageInference, imageGateway string
)

func main() { os.Exit(run()) }

func run() int {
	root := command()
	root.SetErr(printable.NewWriter(os.Stderr))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := root.ExecuteContext(ctx)
	var input *inputError
	switch {
	case err == nil:
		return 0
	case errors.As(err, &input):
		if input.summary != "" {
			fmt.Fprintln(os.Stderr, printable.Text(input.summary))
		}
		return 1
	case errors.As(err, new(*usageError)):
		fmt.Fprintf(os.Stderr, "%s\nSee '%s --help'.\n", printable.Text(err.Error()), root.CommandPath())
		return 2
	default:
		fmt.Fprintln(os.Stderr, "unip:", printable.Text(err.Error()))
		return 3
	}
}

// inputError is the user's input being wrong; its findings have been printed.
type inputError struct{ summary string }

func (e *inputError) Error() string { return e.summary }

// usageError is a wrong command line.
type usageError struct{ err error }

func (e *usageError) Error() string { return e.err.Error() }
func (e *usageError) Unwrap() error { return e.err }

func command() *cobra.Command {
	name := "unip"
	if filepath.Base(os.Args[0]) == "kubectl-unip" {
		name = "kubectl unip"
	}
	root := &cobra.Command{
		Use:   strings.Fields(name)[len(strings.Fields(name))-1],
		Short: "Run modules of the HSE unified platform on Knative",
		Long: `unip translates the manifests of a module (unified-platform.cs.hse.ru/v1) into ordinary Knative and Kubernetes objects.

  unip translate -f manifests/ | ko apply -f -`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: name},
		Args:          noCommand,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return &usageError{err} })
	root.AddCommand(translateCommand(), validateCommand(), applyCommand(), diffCommand(), deleteCommand(), schemaCommand(), graphCommand(), doctorCommand(), versionCommand(), runCommand(), runsCommand(), logsCommand(), cancelCommand(), filesCommand(), predictCommand(), serveCommand())
	strictCompletion(root)
	return root
}

// strictCompletion makes wrong usage of cobra's own command for completion what it is elsewhere; cobra is content with an unknown shell.
func strictCompletion(root *cobra.Command) {
	root.InitDefaultCompletionCmd() // cobra would make it later
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Args, c.RunE = noCommand, func(c *cobra.Command, _ []string) error { return c.Help() }
		c.Example = "  source <(unip completion bash)\n  unip completion zsh > \"${fpath[1]}/_unip\"\n  unip completion fish > ~/.config/fish/completions/unip.fish"
		for _, shell := range c.Commands() {
			shell.Args = noArgs
		}
	}
}

func noCommand(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	c.SuggestionsMinimumDistance = 2 // letters that may be wrong; cobra sets it only where it looks for a command itself
	if s := c.SuggestionsFor(args[0]); len(s) > 0 {
		hint = fmt.Sprintf("; did you mean %q?", s[0])
	}
	return &usageError{fmt.Errorf("unknown command %q%s", args[0], hint)}
}

func noArgs(c *cobra.Command, args []string) error {
	if len(args) == 0 {
		return nil
	}
	hint := ""
	if c.Flags().Lookup("filename") != nil {
		hint = "; files are given with -f"
	}
	return &usageError{fmt.Errorf("unexpected argument %q%s", args[0], hint)}
}
