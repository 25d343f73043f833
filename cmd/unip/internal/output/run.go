package output

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/record"
)

// RunTree draws a run: its stages, each below the last one that it waits for.
func RunTree(run record.Run, now time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s  %s  %s  %s\n", printable.Line(run.ID), printable.Line(run.Pipeline),
		printable.Line(string(run.Status)), Duration(run.StartedAt, run.EndedAt, now))
	w := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	depth := map[string]int{}
	for _, st := range run.Stages {
		d := 0
		for _, n := range st.Needs {
			d = max(d, depth[n]+1)
		}
		depth[st.Name] = d
		fmt.Fprintf(w, "%s%s %s\t%s\t%s\t%s\n", strings.Repeat("   ", d), stateMark(st.Status),
			printable.Line(st.Name), printable.Line(string(st.Status)), Duration(st.StartedAt, st.EndedAt, now),
			printable.Line(describe(st, now)))
	}
	_ = w.Flush() // into memory
	if run.Message != "" {
		fmt.Fprintf(&b, "%s\n", printable.Line(run.Message))
	}
	for _, name := range slices.Sorted(maps.Keys(run.Outputs)) {
		fmt.Fprintf(&b, "%s -> %s\n", printable.Line(name), printable.Line(run.Outputs[name]))
	}
	return b.String()
}

// describe says in a line what there is to say of a stage.
func describe(st record.Stage, now time.Time) string {
	what := st.Message
	if st.Reason != "" {
		what = st.Reason + ": " + st.Message
	}
	switch {
	case st.Status == runtimev1.Succeeded:
		left := fmt.Sprintf("%d files, %s", st.Files, Size(st.Bytes))
		if what != "" {
			left += "; " + what
		}
		return left
	case !st.WaitingSince.IsZero():
		return fmt.Sprintf("waits for %s: %s", Duration(st.WaitingSince, time.Time{}, now), what)
	}
	return what
}

// stateMark is one character for a stage's state.
func stateMark(state runtimev1.State) string {
	switch state {
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
