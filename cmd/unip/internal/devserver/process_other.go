//go:build !unix

package devserver

import (
	"errors"
	"io"
)

// process cannot be: worker.py forks.
type process struct {
	done chan struct{}
	err  error
}

func startProcess(string, []string, string, []string, io.Writer) (*process, error) {
	return nil, errors.New("functions are served on Unix systems only")
}

func (*process) pid() int { return 0 }

func (*process) code() int { return 0 }

func (*process) stop() {}
