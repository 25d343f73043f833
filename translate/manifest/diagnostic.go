package manifest

import (
	"cmp"
	"fmt"
	"slices"
)

// Severity of a finding.
type Severity string

// The severities: an error stops the translation; a warning is what most likely is a mistake and
// stops nothing, or what an error has become by leniency; a note says what has no effect, and why.
const (
	Error   Severity = "error"
	Warning Severity = "warning"
	Note    Severity = "note"
)

// Position is a place in a file. Line and Column count from 1; 0 means the file as a whole.
type Position struct {
	File   string `json:"file"`
	Line   int    `json:"line,omitempty"`
	Column int    `json:"column,omitempty"`
}

func (p Position) String() string {
	if p.Line == 0 {
		return p.File
	}
	return fmt.Sprintf("%s:%d:%d", p.File, p.Line, p.Column)
}

// Compare orders places by file, line and column.
func (p Position) Compare(q Position) int {
	return cmp.Or(cmp.Compare(p.File, q.File), p.Line-q.Line, p.Column-q.Column)
}

// Diagnostic is one finding.
type Diagnostic struct {
	Position
	Severity Severity `json:"severity"`
	Message  string   `json:"message"`

	unknownField bool
}

// String is the finding as people read it: FILE:LINE:COLUMN: [severity: ]message.
func (d Diagnostic) String() string {
	if d.Severity == Error {
		return d.Position.String() + ": " + d.Message
	}
	return d.Position.String() + ": " + string(d.Severity) + ": " + d.Message
}

// Diagnostics gathers findings.
type Diagnostics []Diagnostic

// Errorf adds an error.
func (d *Diagnostics) Errorf(p Position, format string, args ...any) { d.add(p, Error, format, args) }

// Warnf adds a warning.
func (d *Diagnostics) Warnf(p Position, format string, args ...any) { d.add(p, Warning, format, args) }

// Notef adds a note.
func (d *Diagnostics) Notef(p Position, format string, args ...any) { d.add(p, Note, format, args) }

func (d *Diagnostics) add(p Position, s Severity, format string, args []any) {
	message := fmt.Sprintf(format, args...)
	*d = append(*d, Diagnostic{Position: p, Severity: s, Message: message + strangers(message)})
}

// Failed reports whether there is an error among them.
func (d Diagnostics) Failed() bool {
	return slices.ContainsFunc(d, func(x Diagnostic) bool { return x.Severity == Error })
}

// Sort orders findings by their place and drops repetitions.
func (d *Diagnostics) Sort() {
	slices.SortStableFunc(*d, func(a, b Diagnostic) int {
		return cmp.Or(a.Position.Compare(b.Position), cmp.Compare(a.Severity, b.Severity),
			cmp.Compare(a.Message, b.Message))
	})
	*d = slices.Compact(*d)
}

// Lenient turns unknown fields, which are errors, into warnings.
func (d Diagnostics) Lenient() {
	for i := range d {
		if d[i].Severity == Error && d[i].unknownField {
			d[i].Severity = Warning
		}
	}
}
