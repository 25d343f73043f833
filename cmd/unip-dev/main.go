// Command unip-dev is `unip dev`: it serves a whole module on one machine. It is a program of its own,
// for it holds an S3 server and the parts of a cluster's functions, which no other command of unip
// has to carry.
package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/dev"
	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/engine"
	"github.com/unip-knative/unip/cmd/unip-dev/internal/serve"
	"github.com/unip-knative/unip/eventing/printable"
)

func main() {
	engine.Guard()
	engine.Enter()
	os.Exit(run())
}

func run() int {
	c := dev.Command(serve.Run)
	c.SilenceErrors, c.SilenceUsage = true, true
	c.Annotations = map[string]string{cobra.CommandDisplayNameAnnotation: "unip dev"}
	c.CompletionOptions.DisableDefaultCmd = true // unip has it
	c.SetFlagErrorFunc(func(_ *cobra.Command, err error) error { return exit.Because(exit.UsageWrong, err) })
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	err := c.ExecuteContext(ctx)
	if ctx.Err() != nil && errors.Is(err, context.Canceled) {
		err = nil // which is how it ends
	}
	reason, shown := exit.Of(err)
	if !shown {
		text := printable.Text(err.Error())
		if reason == exit.UsageWrong {
			text += "\nSee 'unip dev --help'."
		}
		fmt.Fprintln(os.Stderr, text)
	}
	return int(reason.Code())
}
