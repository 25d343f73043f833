// Command stage is the image of the two containers of unip's own in the Job of a pipeline's stage:
//
//	stage fetch   --plan=JSON --session=FILE   brings the inputs before the user's container starts
//	stage publish --plan=JSON --session=FILE   takes the outputs away after it has ended well
//
// The plan comes from the controller (package eventing/stage), the session from a Secret that is mounted here and not in the user's container. What came of it is left as the termination message, a
// stage.Result.
//
// Exit codes: 0 done, 1 failed for good, 2 wrong usage or plan, 3 another attempt may do better.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/stage/internal/fetch"
	"github.com/unip-knative/unip/functions/stage/internal/publish"
	"github.com/unip-knative/unip/functions/stage/internal/storage"
)

const (
	exitFailed = 1
	exitUsage  = 2
	exitRetry  = 3
)

// sessionWait is how long the session's file may be missing: kubelet mounts the Secret before the container starts, unless it is being replaced at that moment.
const sessionWait = 30 * time.Second

func main() {
	slog.SetDefault(slog.New(slog.NewJSONHandler(os.Stderr, nil)))
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	code := run(ctx, os.Args[1:])
	stop()
	os.Exit(code)
}

// work is one of the two.
type work func(ctx context.Context, s3 *minio.Client) (stage.Result, error)

func run(ctx context.Context, args []string) int {
	flags := flag.NewFlagSet("stage", flag.ContinueOnError)
	plan := flags.String("plan", "", "what to do, as JSON")
	session := flags.String("session", "/unip/session/"+databox.SessionKey, "the S3 session")
	message := flags.String("termination-log", "/dev/termination-log", "where the result is written")
	do, err := parse(flags, args, plan)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	if err != nil {
		slog.Error("wrong usage", "error", err)
		leave(*message, stage.Result{Error: err.Error()})
		return exitUsage
	}
	began := time.Now()
	result, err := with(ctx, *session, do)
	if err != nil {
		result.Error, result.Retry = err.Error(), storage.Retry(err)
		slog.Error(args[0]+" failed", "error", err, "retry", result.Retry)
	} else {
		slog.Info(args[0]+" is done", "files", result.Files, "bytes", result.Bytes, "seconds", time.Since(began).Seconds())
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

func parse(flags *flag.FlagSet, args []string, plan *string) (work, error) {
	if len(args) == 0 || (args[0] != "fetch" && args[0] != "publish") {
		return nil, errors.New("the first argument is fetch or publish")
	}
	if err := flags.Parse(args[1:]); err != nil {
		return nil, err
	}
	if flags.NArg() > 0 {
		return nil, fmt.Errorf("unexpected argument %q", flags.Arg(0))
	}
	if args[0] == "fetch" {
		p := &stage.FetchPlan{}
		return func(ctx context.Context, c *minio.Client) (stage.Result, error) { return fetch.Run(ctx, c, p) }, stage.Decode(*plan, p)
	}
	p := &stage.PublishPlan{}
	return func(ctx context.Context, c *minio.Client) (stage.Result, error) { return publish.Run(ctx, c, p) }, stage.Decode(*plan, p)
}

// with opens the session and does the work. A session that is renewed meanwhile is taken up.
func with(ctx context.Context, session string, do work) (stage.Result, error) {
	for end := time.Now().Add(sessionWait); ; {
		box, err := databox.Open(session, nil)
		if err == nil {
			return do(ctx, box.Client)
		}
		if !errors.Is(err, databox.ErrNoSession) || time.Now().After(end) {
			return stage.Result{}, err
		}
		select {
		case <-ctx.Done():
			return stage.Result{}, ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// leave writes the termination message; without one the exit code has to do.
func leave(file string, r stage.Result) {
	if err := os.WriteFile(file, r.Encode(), 0o600); err != nil {
		slog.Warn("the result could not be left as termination message", "error", err)
	}
}
