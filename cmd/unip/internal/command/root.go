// Package command holds the commands of unip, each in a file of its own. A command takes its
// options from internal/option, shows what it has to show by internal/output, and ends for a reason
// of internal/exit.
package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
)

// Run runs the command that os.Args asks for, until it ends or a signal comes.
func Run(build release.Build) exit.Code {
	root := New(build)
	root.SetErr(output.Shared(printable.NewWriter(os.Stderr)))
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	c, err := root.ExecuteContextC(ctx)
	if ctx.Err() != nil && isCancelled(err) {
		err = exit.Shown(exit.Interrupted, "interrupted")
	}
	reason, shown := exit.Of(err)
	if !shown {
		showError(os.Stderr, c, err)
	}
	return reason.Code()
}

// isCancelled reports that a command ended because its context did. Some clients of Kubernetes say so
// in words only.
func isCancelled(err error) bool {
	return errors.Is(err, context.Canceled) || err != nil && strings.Contains(err.Error(), context.Canceled.Error())
}

// showError says why a command ended: as data, on one line, when data was asked for.
func showError(w io.Writer, c *cobra.Command, err error) {
	reason, _ := exit.Of(err)
	text := printable.Text(err.Error())
	if format := c.Flags().Lookup("output"); format != nil && format.Value.String() == "json" {
		e := failure{Error: text, ExitCode: reason.Code()}
		if answer := (*gateway.Error)(nil); errors.As(err, &answer) {
			e.Status, e.Type, e.Errors = answer.Status, answer.Type, answer.Errors
		}
		_ = output.WriteJSONLine(w, e) // whoever does not listen is told by the exit code
		return
	}
	switch reason {
	case exit.UsageWrong:
		fmt.Fprintf(w, "%s\nSee '%s --help'.\n", text, c.CommandPath())
	case exit.Failed:
		fmt.Fprintln(w, "unip:", text)
	default:
		fmt.Fprintln(w, text)
	}
}

// failure is an error as data. Status, Type and Errors are those of the module's answer.
type failure struct {
	Error    string          `json:"error"`
	ExitCode exit.Code       `json:"exit_code"`
	Status   int             `json:"status,omitempty"`
	Type     string          `json:"type,omitempty"`
	Errors   []gateway.Fault `json:"errors,omitempty"`
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

  unip apply -f manifests/`,
		SilenceErrors: true,
		SilenceUsage:  true,
		Version:       versionLine(build),
		Annotations:   map[string]string{cobra.CommandDisplayNameAnnotation: name},
		Args:          commandArgs,
		RunE:          func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	root.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit.Because(exit.UsageWrong, err) })
	root.SetVersionTemplate("{{.Version}}\n")
	root.AddGroup(groups...)
	add := func(group string, commands ...*cobra.Command) {
		for _, c := range commands {
			c.GroupID = group
		}
		root.AddCommand(commands...)
	}
	add("manifests", translateCommand(build), validateCommand(build), graphCommand(build), schemaCommand())
	add("local", initCommand(), devCommand(), serveCommand(build), buildCommand(build))
	add("cluster", applyCommand(build), diffCommand(build), deleteCommand(build), usersCommand(),
		installCommand(build), upgradeCommand(build), doctorCommand(build))
	add("module", runCommand(), runsCommand(), logsCommand(), cancelCommand(), pipelinesCommand(), filesCommand(),
		predictCommand())
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
