package main

import (
	"fmt"
	"os"
	"time"
)

// steps prints what is being done and how long it took, on stderr.
type steps struct{ start time.Time }

func newSteps() *steps { return &steps{start: time.Now()} }

// do runs one step.
func (s *steps) do(name string, f func() error) error {
	fmt.Fprintf(os.Stderr, "%6.1f s  %s …\n", time.Since(s.start).Seconds(), name)
	start := time.Now()
	err := f()
	if took := time.Since(start); took > 2*time.Second {
		fmt.Fprintf(os.Stderr, "          took %.1f s\n", took.Seconds())
	}
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	return nil
}

func (s *steps) say(format string, args ...any) {
	fmt.Fprintf(os.Stderr, "%6.1f s  %s\n", time.Since(s.start).Seconds(), fmt.Sprintf(format, args...))
}
