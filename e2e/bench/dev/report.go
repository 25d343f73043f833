package main

import (
	"fmt"
	"io"
	"slices"
)

// sample are measurements of one thing.
type sample struct{ all []float64 }

func (s *sample) add(v float64) { s.all = append(s.all, v) }

// median is the middle one, the lower of two.
func (s *sample) median() float64 {
	sorted := slices.Sorted(slices.Values(s.all))
	return sorted[(len(sorted)-1)/2]
}

// text is the median with the least and the most.
func (s *sample) text(format string) string {
	if len(s.all) == 1 {
		return fmt.Sprintf(format, s.all[0])
	}
	return fmt.Sprintf(format+" ("+format+" to "+format+")", s.median(), slices.Min(s.all), slices.Max(s.all))
}

// report writes the table.
func report(w io.Writer, f functions, r runs) {
	row := func(what, ours, bare string, ratio float64, wanted string) {
		said := ""
		if ratio > 0 {
			said = fmt.Sprintf("%.2f", ratio)
		}
		fmt.Fprintf(w, "| %s | %s | %s | %s | %s |\n", what, ours, bare, said, wanted)
	}
	fmt.Fprint(w, "| | unip dev | bare | ratio | wanted |\n|---|---|---|---|---|\n")
	row("start to first answer, ms", f.ours.first.text("%.0f"), f.bare.first.text("%.0f"),
		f.ours.first.median()/f.bare.first.median(), "1000 ms")
	row("a call after it, ms", f.ours.warm.text("%.2f"), f.bare.warm.text("%.2f"),
		f.ours.warm.median()/f.bare.warm.median(), "")
	row("upload to end of its run, beside the script's longest path, s", r.whole.text("%.2f"), r.path.text("%.2f"),
		r.ratio.median(), "1.15 times")
	row("the same, beside the whole script, s", r.whole.text("%.2f"), r.script.text("%.2f"),
		r.whole.median()/r.script.median(), "")
	row("memory of the program itself, idle, MiB", f.ours.memory.text("%.0f"), f.bare.memory.text("%.0f"),
		f.ours.memory.median()/f.bare.memory.median(), "120 MiB")
	row("the same, after the runs, MiB", r.memory.text("%.0f"), "", 0, "120 MiB")
}
