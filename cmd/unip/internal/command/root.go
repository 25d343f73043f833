// Package command holds the commands of unip, each in a file of its own. A command takes its
// options from internal/option, shows what it has to show by internal/output, and ends for a reason
// of internal/exit.
package command

import (
	"context"
	"fmt"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
)

// Run runs the command that os.Args asks for, until it ends or a signal comes.
func Run(build release.Build) exit.Code {
	root := New(build)
	root.SetErr(printable.NewWriter(os.Stderr))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	err := root.ExecuteContext(ctx)
	reason, shown := exit.Of(err)
	switch {
	case shown:
	case reason == exit.UsageWrong:
		fmt.Fprintf(os.Stderr, "%s\nSee '%s --help'.\n", printable.Text(err.Error()), root.CommandPath())
	case reason == exit.Failed:
		fmt.Fprintln(os.Stderr, "unip:", printable.Text(err.Error()))
	default:
		fmt.Fprintln(os.Stderr, printable.Text(err.Error()))
	}
	return reason.Code()
}

// The groups of commands in the help, in their order.
var groups = []*cobra.Group{
	{ID: "manifests", Title: "Manifests:"},
	{ID: "local", Title: "On this machine:"},
	{ID: "cluster", Title: "On the cluster:"},
	{ID: "module", Title: "The module's API:"},
	{ID: "other", Title: "Other commands:"},
}

// New is the command line of a build.
func New(build release.Build) *cobra.Command {
	name := "unip"
	if filepath.Base(os.Args[0]) == "kubectl-unip" {
		name = "kubectl unip"
	}
	root := &cobra.Command{
		Use:   strings.Fields(name)[len(strings.Fields(name))-1],
		Short: "Run modules of the HSE unified platform on Knative",
		Long: `unip translates the manifests of a module (unified-platform.cs.hse.ru/v1) into ordinary Knative and
Kubernetes objects.

  unip translate -f manifests/ | ko apply -f -`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: name},
		Args:          commandArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit.Because(exit.UsageWrong, err) })
	root.AddGroup(groups...)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
		}
		root.AddCommand(commands...)
	}
	add("manifests", translateCommand(build), validateCommand(build), graphCommand(build), schemaCommand())
	add("local", serveCommand(build), buildCommand(build))
	add("cluster", applyCommand(build), diffCommand(build), deleteCommand(build), usersCommand(), doctorCommand())
	add("module", runCommand(), runsCommand(), logsCommand(), cancelCommand(), filesCommand(), predictCommand())
	add("other", versionCommand(build))
	root.SetHelpCommandGroupID("other")
	root.SetCompletionCommandGroupID("other")
	makeCompletionStrict(root)
	return root
}

// makeCompletionStrict makes wrong usage of cobra's own command for completion what it is
// elsewhere; cobra is content with an unknown shell.
func makeCompletionStrict(root *cobra.Command) {
	root.InitDefaultCompletionCmd() // cobra would make it later
	for _, c := range root.Commands() {
		if c.Name() != "completion" {
			continue
		}
		c.Args, c.RunE = commandArgs, func(c *cobra.Command, _ []string) error { return c.Help() }
		c.Example = "  source <(unip completion bash)\n  unip completion zsh > \"${fpath[1]}/_unip\"\n" +
			"  unip completion fish > ~/.config/fish/completions/unip.fish"
		for _, shell := range c.Commands() {
			shell.Args = noArgs
		}
	}
}
