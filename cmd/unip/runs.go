package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/module"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/record"
)

func runCommand() *cobra.Command {
	r := &remote{}
	var inputs, outputs []string
	var key string
	var wait bool
	c := &cobra.Command{
		Use:   "run PATH",
		Short: "Start a run of the pipeline that is published at PATH",
		Example: `  unip run train --input table=userdata/incoming/digits.csv --wait
  unip run train --input table=userdata/incoming/digits.csv --output-to model=userdata/models/ --idempotency-key monday`,
		Args: exactly("PATH"),
		RunE: func(c *cobra.Command, args []string) error {
			m, err := r.client()
			if err != nil {
				return err
			}
			in, err := pairs("--input", inputs)
			if err != nil {
				return err
			}
			out, err := pairs("--output-to", outputs)
			if err != nil {
				return err
			}
			run, err := m.Start(c.Context(), args[0], in, out, key)
			if err != nil {
				return said(err)
			}
			if wait {
				return watch(c, r, m, run.ID)
			}
			if r.output == "json" {
				return writeJSON(c.OutOrStdout(), run)
			}
			fmt.Fprintln(c.OutOrStdout(), printable.Line(run.ID))
			return nil
		},
	}
	r.flags(c)
	c.Flags().StringArrayVar(&inputs, "input", nil, "NAME=<box>/<group>/<file> or a folder, with a / at its end; several times")
	c.Flags().StringArrayVar(&outputs, "output-to", nil, "NAME=<box>/<group>/; several times")
	c.Flags().StringVar(&key, "idempotency-key", "", "the same key gives the same run")
	c.Flags().BoolVar(&wait, "wait", false, "wait for the end and show the stages; exit code 1 when the run fails")
	return c
}

func pairs(flag string, all []string) (map[string]string, error) {
	m := map[string]string{}
	for _, s := range all {
		name, value, ok := strings.Cut(s, "=")
		if _, twice := m[name]; !ok || name == "" || value == "" || twice {
			return nil, &usageError{fmt.Errorf("%s %q: NAME=PATH is wanted, each name once", flag, s)}
		}
		m[name] = value
	}
	return m, nil
}

func runsCommand() *cobra.Command {
	r := &remote{}
	var pipeline, status string
	var limit int
	var follow bool
	c := &cobra.Command{
		Use:   "runs [RUN]",
		Short: "List your runs, or show one with its stages",
		Example: `  unip runs --pipeline train --status Failed
  unip runs train-7k2x9 -o json | jq -r .status`,
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return &usageError{errors.New("wanted: nothing, or one RUN")}
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			m, err := r.client()
			if err != nil {
				return err
			}
			if len(args) == 1 && follow {
				return watch(c, r, m, args[0])
			}
			if len(args) == 1 {
				run, err := m.Run(c.Context(), args[0])
				if err != nil {
					return said(err)
				}
				if r.output == "json" {
					return writeJSON(c.OutOrStdout(), run)
				}
				fmt.Fprint(c.OutOrStdout(), tree(run, time.Now()))
				return nil
			}
			runs, _, err := m.Runs(c.Context(), pipeline, status, limit, "")
			if err != nil {
				return said(err)
			}
			if r.output == "json" {
				return writeJSON(c.OutOrStdout(), map[string]any{"runs": runs})
			}
			w := tabwriter.NewWriter(c.OutOrStdout(), 0, 8, 2, ' ', 0)
			fmt.Fprintln(w, "RUN\tPIPELINE\tSTATUS\tSTARTED\tTOOK\tMESSAGE")
			for _, x := range runs {
				fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n",
					printable.Line(x.ID), printable.Line(x.Pipeline), printable.Line(string(x.Status)), ago(x.CreatedAt), took(x.StartedAt, x.EndedAt, time.Now()),
					printable.Line(x.Message))
			}
			return w.Flush()
		},
	}
	r.flags(c)
	c.Flags().StringVar(&pipeline, "pipeline", "", "only runs of this pipeline")
	c.Flags().StringVar(&status, "status", "", "only runs in this state: Pending, Running, Succeeded, Failed, Cancelled")
	c.Flags().IntVar(&limit, "limit", 50, "how many")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "show the run until it ends; exit code 1 when it fails")
	return c
}

// tree draws a run: its stages, each below the last one that it waits for.
func tree(run record.Run, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s  %s\n", printable.Line(run.ID), printable.Line(run.Pipeline), printable.Line(string(run.Status)), took(run.StartedAt, run.EndedAt, now))
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	depth := map[string]int{}
	for _, st := range run.Stages {
		d := 0
		for _, n := range st.Needs {
			d = max(d, depth[n]+1)
		}
		depth[st.Name] = d
		what := st.Message
		if st.Reason != "" {
			what = st.Reason + ": " + st.Message
		}
		if st.Status == runtimev1.Succeeded {
			what = fmt.Sprintf("%d files, %s", st.Files, size(st.Bytes))
		}
		fmt.Fprintf(w, "%s%s %s\t%s\t%s\t%s\n", strings.Repeat("   ", d),
			mark(st.Status), printable.Line(st.Name), printable.Line(string(st.Status)), took(st.StartedAt, st.EndedAt, now), printable.Line(what))
	}
	_ = w.Flush()
	if run.Message != "" {
		fmt.Fprintf(&b, "%s\n", printable.Line(run.Message))
	}
	for _, name := range sorted(run.Outputs) {
		fmt.Fprintf(&b, "%s -> %s\n", printable.Line(name), printable.Line(run.Outputs[name]))
	}
	return b.String()
}

func mark(status runtimev1.State) string {
	switch status {
	case runtimev1.Succeeded:
		return "+"
	case runtimev1.Failed:
		return "x"
	case runtimev1.Running:
		return ">"
	case runtimev1.Cancelled, runtimev1.Skipped:
		return "-"
	}
	return "."
}

func took(from, to, now time.Time) string {
	if from.IsZero() {
		return ""
	}
	if to.IsZero() {
		to = now
	}
	return max(to.Sub(from), 0).Round(100 * time.Millisecond).String()
}

func ago(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.Local().Format("2006-01-02 15:04:05")
}

// watch shows a run until it ends: drawn anew in a terminal, else a line per change of a stage.
func watch(c *cobra.Command, r *remote, m *module.Client, id string) error {
	terminal := r.output == "" && output.IsTerminal(c.OutOrStdout())
	lines, states := 0, map[string]runtimev1.State{}
	for {
		run, err := m.Run(c.Context(), id)
		if err != nil {
			return said(err)
		}
		switch {
		case r.output == "json":
		case terminal:
			text := tree(run, time.Now())
			if lines > 0 {
				fmt.Fprintf(c.OutOrStdout(), "\x1b[%dA\x1b[J", lines)
			}
			fmt.Fprint(c.OutOrStdout(), text)
			lines = strings.Count(text, "\n")
		default:
			for _, st := range run.Stages {
				if states[st.Name] != st.Status && st.Status != runtimev1.Pending {
					fmt.Fprintf(c.OutOrStdout(), "%s  %s  %s  %s\n",
						time.Now().Format("15:04:05"), printable.Line(st.Name), printable.Line(string(st.Status)), printable.Line(st.Message))
				}
				states[st.Name] = st.Status
			}
		}
		if run.Status.Done() {
			return ended(c.OutOrStdout(), r, run)
		}
		if err := pause(c.Context(), time.Second); err != nil {
			return err
		}
	}
}

func ended(w io.Writer, r *remote, run record.Run) error {
	if r.output == "json" {
		if err := writeJSON(w, run); err != nil {
			return err
		}
	}
	if run.Status != runtimev1.Succeeded {
		return &inputError{fmt.Sprintf("run %s is %s: %s", run.ID, run.Status, printable.Line(run.Message))}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

func cancelCommand() *cobra.Command {
	r := &remote{}
	c := &cobra.Command{
		Use: "cancel RUN", Short: "End a run: what runs is stopped, nothing more starts", Args: exactly("RUN"),
		Example: `  unip cancel train-7k2x9`,
		RunE: func(c *cobra.Command, args []string) error {
			m, err := r.client()
			if err != nil {
				return err
			}
			run, err := m.Cancel(c.Context(), args[0])
			if err != nil {
				return said(err)
			}
			if r.output == "json" {
				return writeJSON(c.OutOrStdout(), run)
			}
			if run.Status.Done() {
				fmt.Fprintf(c.OutOrStdout(), "run %s is %s already\n", printable.Line(run.ID), printable.Line(string(run.Status)))
				return nil
			}
			fmt.Fprintf(c.OutOrStdout(), "run %s is being cancelled\n", printable.Line(run.ID))
			return nil
		},
	}
	r.flags(c)
	return c
}

func logsCommand() *cobra.Command {
	r := &remote{}
	var stage string
	var follow bool
	c := &cobra.Command{
		Use: "logs RUN", Short: "Show what the stages of a run have written", Args: exactly("RUN"),
		Long: `Logs shows what the stages of a run have written. On a terminal characters that would steer it are shown as \x1b and the like; into a pipe
or a file the bytes go as they are.`,
		Example: `  unip logs train-7k2x9 --stage report
  unip logs train-7k2x9 -f`,
		RunE: func(c *cobra.Command, args []string) error {
			m, err := r.client()
			if err != nil {
				return err
			}
			body, err := m.Logs(c.Context(), args[0], stage, follow)
			if err != nil {
				return said(err)
			}
			defer body.Close()
			out := c.OutOrStdout()
			if !output.IsTerminal(out) {
				_, err = io.Copy(out, body)
				return err
			}
			shown := printable.NewWriter(out)
			_, err = io.Copy(shown, body)
			return errors.Join(err, shown.Flush())
		},
	}
	r.flags(c)
	c.Flags().StringVar(&stage, "stage", "", "only this stage")
	c.Flags().BoolVarP(&follow, "follow", "f", false, "go on until the stages have ended, at most 9 minutes")
	return c
}
