package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/record"
)

const (
	// watchEvery is how often what is watched is asked for.
	watchEvery = time.Second
	// patience is how long a module that has answered before may be away.
	patience = 10 * time.Minute
)

// watch asks again and again, until told says that this was all. A module that has answered before
// may be away for a while.
func watch[T any](ctx context.Context, stderr io.Writer, answered bool, ask func(context.Context) (T, error),
	told func(T) (done bool, err error)) error {
	var away time.Time // since when it is
	for {
		now := time.Now()
		next := watchEvery
		answer, err := ask(ctx)
		switch {
		case err == nil:
			answered, away = true, time.Time{}
			if done, err := told(answer); done || err != nil {
				return err
			}
		case !answered || !gateway.Passes(err) || ctx.Err() != nil || !away.IsZero() && now.Sub(away) > patience:
			return asRefused(err)
		default:
			if away.IsZero() {
				away = now
				fmt.Fprintf(stderr, "%s; asking again, for %s at the most\n", printable.Line(err.Error()), patience)
			}
			var e *gateway.Error
			if errors.As(err, &e) {
				next = min(max(next, e.RetryAfter), maxRetryAfter)
			}
		}
		if err := pause(ctx, next); err != nil {
			return err
		}
	}
}

// watchRun shows a run until it ends: drawn anew on a terminal, else a line per change of a stage.
// known: the module has told of the run already.
func watchRun(c *cobra.Command, format *option.Format, m *gateway.Client, id string, known bool) error {
	var last record.Run
	ask := func(ctx context.Context) (record.Run, error) { return m.Run(ctx, id) }
	show := showChanges(c.OutOrStdout())
	screen := output.NewScreen(c.OutOrStdout())
	switch {
	case format.JSON():
		show = func(record.Run) error { return nil }
	case screen != nil:
		show = func(run record.Run) error { return screen.Show(output.RunTree(run, time.Now())) }
	}
	err := watch(c.Context(), c.ErrOrStderr(), known, ask, func(run record.Run) (bool, error) {
		last = run
		if run.Status.Done() {
			return true, nil
		}
		return false, show(run)
	})
	if screen != nil && !format.JSON() && last.ID != "" {
		err = errors.Join(err, screen.Close(output.RunTree(last, time.Now())))
	} else if last.ID != "" {
		err = errors.Join(err, show(last))
	}
	if isCancelled(err) {
		fmt.Fprintf(c.ErrOrStderr(), "run %s goes on: `unip runs %[1]s -f` shows it, `unip cancel %[1]s` ends it\n",
			printable.Line(id))
	}
	if err != nil {
		return err
	}
	return finishWatch(c.OutOrStdout(), format, last)
}

// showChanges writes a line for each stage that is in another state than before.
func showChanges(w io.Writer) func(record.Run) error {
	states := map[string]runtimev1.State{}
	return func(run record.Run) error {
		for _, st := range run.Stages {
			if states[st.Name] != st.Status && st.Status != runtimev1.Pending {
				if _, err := fmt.Fprintf(w, "%s  %s  %s  %s\n",
					time.Now().Format("15:04:05"), printable.Line(st.Name), printable.Line(string(st.Status)),
					printable.Line(st.Message)); err != nil {
					return err
				}
			}
			states[st.Name] = st.Status
		}
		return nil
	}
}

// finishWatch writes a run that has ended where data is wanted, and is its error unless it
// succeeded.
func finishWatch(w io.Writer, format *option.Format, run record.Run) error {
	if format.JSON() {
		if err := output.WriteJSON(w, run); err != nil {
			return err
		}
	}
	if run.Status != runtimev1.Succeeded {
		return exit.Errorf(exit.RunFailed, "run %s is %s: %s", printable.Line(run.ID), run.Status,
			printable.Line(run.Message))
	}
	return nil
}
