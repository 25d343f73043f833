//go:build !unix

package devserver

import (
	"errors"
	"io"
	"os/exec"
)

// Process cannot be: worker.py forks.
type Process struct{}

// StartProcess refuses.
func StartProcess(string, []string, string, []string, io.Writer, func(*exec.Cmd) error) (*Process, error) {
	return nil, errors.New("functions are served on Unix systems only")
}

func (*Process) pid() int { return 0 }

// Done is never closed.
func (*Process) Done() <-chan struct{} { return nil }

// Err is nothing.
func (*Process) Err() error { return nil }

// Code is that of success.
func (*Process) Code() int { return 0 }

// Stop has nothing to end.
func (*Process) Stop() {}
