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
	ends := []os.Signal{os.Interrupt, syscall.SIGTERM}
	if !signal.Ignored(syscall.SIGHUP) { // as nohup has it
		ends = append(ends, syscall.SIGHUP) // a terminal that is closed ends it as Ctrl-C does
	}
	ctx, stop := signal.NotifyContext(context.Background(), ends...)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	// A line that nobody reads any more is an error of its write, and does not end the process on the
	// spot. Stages have the signal as usual: it is taken here, not ignored.
	signal.Notify(make(chan os.Signal, 1), syscall.SIGPIPE)
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
