// Package exit says how a command ends. An exit code means the same in every command; the reasons
// that lead to it are listed here, and docs/cli.md is written from the list.
package exit

import (
	"errors"
	"fmt"
)

// Code is a process's exit code.
type Code int

// The codes that there are.
const (
	OK         Code = iota // done, and where a question was asked: yes
	No                     // the answer to what was given or asked is no; the program itself works
	WrongUsage             // the command line is wrong, nothing was done
	Broken                 // the cluster, the module, the network or unip itself failed

	// Stopped is what shells know a command by that a signal has ended.
	Stopped Code = 130
)

// Reason is why a command ended.
type Reason int

// The reasons that there are.
const (
	Done        Reason = iota
	InputWrong         // manifests, files or configuration of the caller
	Refused            // the module's API said no to the call
	RunFailed          // the run that was waited for did not succeed
	Differs            // the cluster differs from the module
	Unhealthy          // the cluster lacks something
	NotServable        // the function cannot be started here
	UsageWrong
	Failed
	Interrupted // by a signal, before it was done
)

// reasons are what each Reason means to the caller, and its code.
var reasons = [...]struct {
	code    Code
	meaning string
}{
	Done:        {OK, "done; what was asked about is as it should be"},
	InputWrong:  {No, "the input is wrong: manifests, a file, the installation's configuration"},
	Refused:     {No, "the module refused the call: who calls, what is named, or what is sent"},
	RunFailed:   {No, "`run --wait`, `runs --follow`: the run failed or was cancelled"},
	Differs:     {No, "`diff`: `apply` would change something"},
	Unhealthy:   {No, "`doctor`, `install`, `upgrade`: something is missing or wrong, and the cure has been named"},
	NotServable: {No, "`serve`: the function cannot be started, or the port is taken"},
	UsageWrong:  {WrongUsage, "the command line is wrong; nothing was done"},
	Failed: {Broken, "anything else: the cluster, the module, the network or unip itself failed; " +
		"for `diff`, wrong manifests too"},
	Interrupted: {Stopped, "Ctrl-C, or another signal, before it was done"},
}

// Reasons lists all reasons, by their codes.
func Reasons() []Reason {
	all := make([]Reason, len(reasons))
	for i := range all {
		all[i] = Reason(i)
	}
	return all
}

// Code is the exit code that the reason leads to.
func (r Reason) Code() Code { return reasons[r].code }

// String is what the reason means, in Markdown.
func (r Reason) String() string { return reasons[r].meaning }

// Error is the end of a command for a reason.
type Error struct {
	Reason Reason
	// Shown: the user has seen already what is wrong.
	Shown bool

	err error
}

func (e *Error) Error() string { return e.err.Error() }
func (e *Error) Unwrap() error { return e.err }

// Because is err as the end of a command for the reason; nil stays nil. The outermost reason
// counts.
func Because(r Reason, err error) error {
	if err == nil {
		return nil
	}
	return &Error{Reason: r, err: err}
}

// Errorf is the end of a command for the reason, in words.
func Errorf(r Reason, format string, args ...any) error {
	return Because(r, fmt.Errorf(format, args...))
}

// Shown is the end of a command whose user has seen already what is wrong. The text is for an error
// around it.
func Shown(r Reason, text string) error { return &Error{Reason: r, Shown: true, err: errors.New(text)} }

// Of finds the reason in an error, and whether its text has been shown.
func Of(err error) (r Reason, shown bool) {
	var e *Error
	switch {
	case err == nil:
		return Done, true
	case errors.As(err, &e):
		return e.Reason, e.Shown
	}
	return Failed, false
}
