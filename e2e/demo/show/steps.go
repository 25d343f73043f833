// Package show is what demonstrations of the module examples/digits have in common, wherever it is
// served: steps that say what they do, and calls of its function.
package show

import (
	"context"
	"fmt"
	"io"
	"time"
)

// Step is one thing that is shown. What it says stands before the time that it took.
type Step struct {
	Title string
	Do    func(context.Context) (said string, err error)
}

// Steps takes one step after the other, until one fails.
func Steps(ctx context.Context, out io.Writer, all []Step) error {
	for _, s := range all {
		fmt.Fprintf(out, "\n== %s\n", s.Title) // who does not look on misses it
		start := time.Now()
		said, err := s.Do(ctx)
		if err != nil {
			return fmt.Errorf("%s: %w", s.Title, err)
		}
		fmt.Fprintf(out, "   %s(%.1f s)\n", said, time.Since(start).Seconds())
	}
	return nil
}
