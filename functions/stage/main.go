// Command stage is the image of the two containers of unip's own in the Job of a pipeline's stage:
//
//	stage fetch   --plan=JSON   brings the inputs before the user's container starts
//	stage publish --plan=JSON   takes the outputs away after it has ended well
//
// The plan comes from the controller (package eventing/stage). It names the sessions, files of the
// folder --sessions: a Secret of which each of the two containers sees its own part, and the user's
// nothing. Variables are folders of the volume at --data. What came of it is left as the
// termination message, a stage.Result.
//
// Exit codes: 0 done, 1 failed for good, 2 wrong usage or plan, 3 another attempt may do better.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/service"
)

const (
	exitFailed = 1
	exitUsage  = 2
	exitRetry  = 3
)

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// work is one of the two, with its plan.
type work func(ctx context.Context, sessions, data string) (stage.Result, error)

func run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("stage", flag.ContinueOnError)
	plan := flags.String("plan", "", "what to do, as JSON")
	sessions := flags.String("sessions", "", "folder with the S3 sessions that the plan names")
	data := flags.String("data", "", "where the stage's volume is mounted")
	message := flags.String("termination-log", "/dev/termination-log", "where the result is written")
	planned, err := parse(flags, args, plan)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		slog.Error("wrong usage", "error", err)
		leave(*message, stage.Result{Error: err.Error()})
		return exitUsage
	}
	began := time.Now()
	result, err := inTime(ctx, func() (stage.Result, error) { return planned(ctx, *sessions, *data) })
	if err != nil {
		result = service.Tell(result, err)
		slog.Error(args[0]+" failed", "error", err, "retry", result.Retry)
	} else {
		slog.Info(args[0]+" is done", "files", result.Files, "bytes", result.Bytes, "seconds",
			time.Since(began).Seconds())
	}
	leave(*message, result)
	switch {
	case err == nil:
		return 0
	case result.Retry:
		return exitRetry
	}
	return exitFailed
}

func parse(flags *flag.FlagSet, args []string, plan *string) (w work, err error) {
	if len(args) == 0 || (args[0] != "fetch" && args[0] != "publish") {
		return w, errors.New("the first argument is fetch or publish")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return w, err
	}
	if flags.NArg() > 0 {
		return w, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	given := func(name string) error {
		if flags.Lookup(name).Value.String() == "" {
			return fmt.Errorf("--%s is needed", name)
		}
		return nil
	}
	if err := given("sessions"); err != nil {
		return w, err
	}
	if args[0] == "fetch" {
		p := &stage.FetchPlan{}
		if err := cmp.Or(given("data"), stage.Decode(*plan, p)); err != nil {
			return w, err
		}
		return func(ctx context.Context, sessions, data string) (stage.Result, error) {
			return service.Fetch(ctx, p, sessions, data)
		}, nil
	}
	p := &stage.PublishPlan{}
	if err := stage.Decode(*plan, p); err != nil {
		return w, err
	}
	if !p.Complete {
		err = given("data")
	}
	return func(ctx context.Context, sessions, data string) (stage.Result, error) {
		return service.Publish(ctx, p, sessions, data)
	}, err
}

// ending is how long work that is told to end may still take: kubelet kills after 30 s, and then
// there is no result.
const ending = 10 * time.Second

// inTime does the work, and leaves it behind when it has not ended a while after it was told to.
// Whatever it was at may be broken off at any point.
func inTime(ctx context.Context, do func() (stage.Result, error)) (stage.Result, error) {
	type outcome struct {
		result stage.Result
		err    error
	}
	ended := make(chan outcome, 1)
	go func() {
		r, err := do()
		ended <- outcome{r, err}
	}()
	var o outcome
	select {
	case o = <-ended:
	case <-ctx.Done():
		select {
		case o = <-ended:
		case <-time.After(ending):
			o.err = context.Cause(ctx)
		}
	}
	if o.err != nil && ctx.Err() != nil {
		o.err = fmt.Errorf("the pod was told to end: %w", o.err)
	}
	return o.result, o.err
}

// leave writes the termination message; without one the exit code has to do.
func leave(file string, r stage.Result) {
	if err := os.WriteFile(file, r.Encode(), 0o600); err != nil {
		slog.Warn("the result could not be left as termination message", "error", err)
	}
}
