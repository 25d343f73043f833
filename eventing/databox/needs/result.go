package needs

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/unip-knative/unip/eventing/printable"
)

// Outcome of a check.
type Outcome string

// The outcomes.
const (
	Met      Outcome = "met"
	NotMet   Outcome = "not met"
	NotTried Outcome = "not tried"
)

// Result of one check.
type Result struct {
	Check   string  `json:"check"`
	For     string  `json:"for"`
	Must    bool    `json:"must"`
	Outcome Outcome `json:"outcome"`
	// Answer is the server's, or why it was not asked.
	Answer string `json:"answer,omitempty"`
	// Follows is what does not work, or works in another way, because of it.
	Follows string `json:"follows,omitempty"`
	Millis  int64  `json:"millis"`
}

// maxAnswer bounds what is kept of a server's answer.
const maxAnswer = 600

// Result of the need: answer is what the server said.
func (n Need) Result(o Outcome, answer string) Result {
	r := Result{Check: n.Name, For: n.For, Must: n.Must, Outcome: o, Answer: printable.Summary(answer, maxAnswer)}
	switch o {
	case NotMet:
		r.Follows = n.Without
	case NotTried:
		r.Follows = "not known"
	}
	return r
}

// Lacks reports a server with which unip is not to be used.
func (r Result) Lacks() bool { return r.Must && r.Outcome == NotMet }

// End is the last line of a report: what the checks have left behind, or why they ended early.
type End struct {
	Done bool   `json:"done"`
	Left string `json:"left,omitempty"` // in the server, for somebody to delete
	Err  string `json:"error,omitempty"`
}

// line is one of a report.
type line struct {
	*Result
	*End
}

// WriteResult adds a result to a report, which is one JSON object a line.
func WriteResult(w io.Writer, r Result) error { return json.NewEncoder(w).Encode(r) }

// WriteEnd ends a report.
func WriteEnd(w io.Writer, e End) error {
	e.Done = true
	return json.NewEncoder(w).Encode(e)
}

// maxReport bounds a report that is read; a whole one has about 20 KiB.
const maxReport = 1 << 20

// ErrCutOff: the report has no end.
var ErrCutOff = errors.New("the report is cut off")

// ReadReport reads a report while it is written, and tells of each result as it comes. Lines that are
// no part of it (what a process logs) are passed over.
func ReadReport(r io.Reader, tell func(Result)) (End, error) {
	lines := newLines(io.LimitReader(r, maxReport))
	for lines.Scan() {
		var l line
		if json.Unmarshal(lines.Bytes(), &l) != nil {
			continue
		}
		switch {
		case l.End != nil && l.Done:
			return *l.End, nil
		case l.Result != nil && l.Check != "" && l.Outcome != "":
			tell(*l.Result)
		}
	}
	if err := lines.Err(); err != nil {
		return End{}, fmt.Errorf("reading the report: %w", err)
	}
	return End{}, ErrCutOff
}

// Table writes results for people: a line for each, and below it what follows where it is not met.
func Table(w io.Writer, results []Result) error {
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, r := range results {
		cells := []string{string(r.Outcome), printable.Line(r.Check)}
		if r.Answer != "" { // no blanks at a line's end
			cells = append(cells, printable.Line(r.Answer))
		}
		fmt.Fprintln(t, strings.Join(cells, "\t"))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	for _, r := range results {
		if r.Outcome != NotMet {
			continue
		}
		if _, err := fmt.Fprintf(w, "\n%s: %s\n  needed for: %s\n", printable.Line(r.Check), printable.Line(r.Follows),
			printable.Line(r.For)); err != nil {
			return err
		}
	}
	return nil
}
