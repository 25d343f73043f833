//go:build !unix

package memory

import (
	"errors"
	"fmt"
)

var errUnsupported = fmt.Errorf("limits of memory hold on Unix systems only: %w", errors.ErrUnsupported)

// local is the system that this is.
var local system = none{}

// none shows no processes.
type none struct{}

func (none) processes() ([]process, error) { return nil, errUnsupported }

func (none) held([]int, bool) int64 { return 0 }

func (none) kill(int) error { return errUnsupported }

func (none) prefer(int) error { return nil }
