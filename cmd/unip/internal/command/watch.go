package command

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/gateway"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/record"
)

// watchEvery is how often a run that is watched is asked for.
const watchEvery = time.Second

// watchRun shows a run until it ends: drawn anew in a terminal, else a line per change of a stage.
func watchRun(c *cobra.Command, format *option.Format, m *gateway.Client, id string) error {
	show := showChanges(c.OutOrStdout())
	switch {
	case format.JSON():
		show = func(record.Run) {}
	case output.IsTerminal(c.OutOrStdout()):
		show = drawAnew(c.OutOrStdout())
	}
	for {
		run, err := m.Run(c.Context(), id)
		if err != nil {
			return asRefused(err)
		}
		show(run)
		if run.Status.Done() {
			return finishWatch(c.OutOrStdout(), format, run)
		}
		if err := pause(c.Context(), watchEvery); err != nil {
			return err
		}
	}
}

// drawAnew draws a run over the drawing before.
func drawAnew(w io.Writer) func(record.Run) {
	lines := 0
	return func(run record.Run) {
		text := output.RunTree(run, time.Now())
		if lines > 0 {
			fmt.Fprintf(w, "\x1b[%dA\x1b[J", lines)
		}
		fmt.Fprint(w, text)
		lines = strings.Count(text, "\n")
	}
}

// showChanges writes a line for each stage that is in another state than before.
func showChanges(w io.Writer) func(record.Run) {
	states := map[string]runtimev1.State{}
	return func(run record.Run) {
		for _, st := range run.Stages {
			if states[st.Name] != st.Status && st.Status != runtimev1.Pending {
				fmt.Fprintf(w, "%s  %s  %s  %s\n",
					time.Now().Format("15:04:05"), printable.Line(st.Name), printable.Line(string(st.Status)),
					printable.Line(st.Message))
			}
			states[st.Name] = st.Status
		}
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
		return exit.Errorf(exit.RunFailed, "run %s is %s: %s", run.ID, run.Status, printable.Line(run.Message))
	}
	return nil
}
