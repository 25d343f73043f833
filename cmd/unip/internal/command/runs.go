package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
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

// states are those of runs.
var states = []string{string(runtimev1.Pending), string(runtimev1.Running), string(runtimev1.Succeeded),
	string(runtimev1.Failed), string(runtimev1.Cancelled)}

// runsQuestion is which runs are asked for.
type runsQuestion struct {
	pipeline, status string
	limit            int
}

func runsCommand() *cobra.Command {
	o := &option.Module{}
	q := &runsQuestion{}
	var follow bool
	c := &cobra.Command{
		Use:   "runs [RUN]",
		Short: "List your runs, or show one with its stages",
		Long: `Runs lists your runs, newest first, or shows one with its stages. With -f it goes on: one RUN until it
has ended, the list until Ctrl-C. What follows is drawn anew on a terminal; into a pipe or a file goes
a line for each change, with -o json the run as data in it.`,
		Example: `  unip runs --pipeline train --status Failed
  unip runs train-7k2x9 -f
  unip runs train-7k2x9 -o json | jq -r .status`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exit.Errorf(exit.UsageWrong, "wanted: nothing, or one RUN")
			}
			return nil
		},
		ValidArgsFunction: completeRun(o),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := o.Client()
			if err != nil {
				return err
			}
			if err := q.check(); err != nil {
				return err
			}
			switch {
			case len(args) == 1 && follow:
				return watchRun(c, &o.Output, m, args[0], false)
			case len(args) == 1:
				return showRun(c, &o.Output, m, args[0])
			case follow:
				return watchRuns(c, &o.Output, m, q)
			}
			return listRuns(c, &o.Output, m, q)
		},
	}
	o.AddFlags(c)
	c.Flags().StringVar(&q.pipeline, "pipeline", "", "only runs of this pipeline")
	c.Flags().StringVar(&q.status, "status", "", "only runs in this state: "+strings.Join(states, ", "))
	c.Flags().IntVar(&q.limit, "limit", 50, "how many at the most")
	c.Flags().BoolVarP(&follow, "follow", "f", false,
		"go on: the list until Ctrl-C, one run until it ends; exit code 1 when it fails")
	option.Complete(c, "status", states...)
	cobra.CheckErr(c.RegisterFlagCompletionFunc("pipeline", completePipeline(o)))
	return c
}

// check refuses a question that no run is an answer to.
func (q *runsQuestion) check() error {
	if q.limit < 1 {
		return exit.Errorf(exit.UsageWrong, "--limit: %d is not a number of runs", q.limit)
	}
	if q.status == "" {
		return nil
	}
	for _, s := range states {
		if strings.EqualFold(s, q.status) {
			q.status = s
			return nil
		}
	}
	return exit.Errorf(exit.UsageWrong, "--status: %q is no state of a run: %s are", q.status, strings.Join(states, ", "))
}

// ask reads pages until there are as many runs as are wanted. more: there are others.
func (q *runsQuestion) ask(ctx context.Context, m *gateway.Client) (all []record.Run, more bool, err error) {
	all = []record.Run{}
	for next := ""; ; {
		page, following, err := m.Runs(ctx, q.pipeline, q.status, min(q.limit-len(all), gateway.MaxRuns), next)
		if err != nil {
			return nil, false, err
		}
		all = append(all, page...)
		if next = following; next == "" || len(all) >= q.limit || len(page) == 0 {
			return all, next != "", nil
		}
	}
}

func showRun(c *cobra.Command, format *option.Format, m *gateway.Client, id string) error {
	run, err := m.Run(c.Context(), id)
	if err != nil {
		return asRefused(err)
	}
	if format.JSON() {
		return output.WriteJSON(c.OutOrStdout(), run)
	}
	_, err = fmt.Fprint(c.OutOrStdout(), output.RunTree(run, time.Now()))
	return err
}

func listRuns(c *cobra.Command, format *option.Format, m *gateway.Client, q *runsQuestion) error {
	runs, more, err := q.ask(c.Context(), m)
	if err != nil {
		return asRefused(err)
	}
	if format.JSON() {
		err = output.WriteJSON(c.OutOrStdout(), map[string]any{"runs": runs, "more": more})
	} else {
		err = writeRunTable(c.OutOrStdout(), runs)
	}
	if more {
		fmt.Fprintf(c.ErrOrStderr(), "there are older runs; --limit shows more than %d\n", q.limit)
	}
	return err
}

// watchRuns shows the list until the command is stopped.
func watchRuns(c *cobra.Command, format *option.Format, m *gateway.Client, q *runsQuestion) error {
	out := c.OutOrStdout()
	screen := output.NewScreen(out)
	if format.JSON() {
		screen = nil
	}
	table := ""
	known := map[string]record.Run{}
	ask := func(ctx context.Context) ([]record.Run, error) {
		runs, _, err := q.ask(ctx, m)
		return runs, err
	}
	err := watch(c.Context(), c.ErrOrStderr(), false, ask, func(runs []record.Run) (bool, error) {
		if screen == nil {
			return false, writeChangedRuns(out, format, known, runs)
		}
		var b bytes.Buffer
		err := writeRunTable(&b, runs)
		table = b.String()
		return false, errors.Join(err, screen.Show(table))
	})
	if screen != nil && table != "" {
		err = errors.Join(err, screen.Close(table))
	}
	return err
}

// writeChangedRuns writes a line for each run that is new, or in another state than the one known; the
// oldest first.
func writeChangedRuns(w io.Writer, format *option.Format, known map[string]record.Run, runs []record.Run) error {
	for i := len(runs) - 1; i >= 0; i-- {
		x := runs[i]
		if before, ok := known[x.ID]; ok && before.Status == x.Status && before.Message == x.Message {
			continue
		}
		known[x.ID] = x
		var err error
		if format.JSON() {
			err = output.WriteJSONLine(w, x)
		} else {
			_, err = fmt.Fprintf(w, "%s  %s  %s  %s\n", time.Now().Format("15:04:05"), printable.Line(x.ID),
				printable.Line(string(x.Status)), printable.Line(x.Message))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func writeRunTable(to io.Writer, runs []record.Run) error {
	w := tabwriter.NewWriter(to, 0, 8, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tPIPELINE\tSTATUS\tSTARTED\tTOOK\tMESSAGE")
	for _, x := range runs {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n",
			printable.Line(x.ID), printable.Line(x.Pipeline), printable.Line(string(x.Status)),
			output.LocalTime(x.CreatedAt),
			output.Duration(x.StartedAt, x.EndedAt, time.Now()), printable.Line(x.Message))
	}
	return w.Flush()
}
