// Package storage is what fetch and publish share in talking to S3: the sessions with which they
// do, which failures another attempt may mend, and how long storage that is away is waited for.
//
// What it promises: while storage does not answer, a single request is made again and again until
// patience is over, and none hangs. What storage refuses fails at once.
package storage

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/unip-knative/unip/eventing/databox/s3"
)

// Permanent marks an error that another attempt of the stage cannot mend: the input is not there,
// the output holds a link.
type Permanent struct{ Err error }

func (e *Permanent) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *Permanent) Unwrap() error { return e.Err }

// Permanentf makes a Permanent.
func Permanentf(format string, args ...any) error { return &Permanent{fmt.Errorf(format, args...)} }

// Retry reports whether another attempt may help.
func Retry(err error) bool {
	var p *Permanent
	return err != nil && !errors.As(err, &p)
}

// Classify marks the errors of a request to S3 that stay what they are.
func Classify(err error) error {
	if s3.IsFinal(err) || errors.Is(err, s3.ErrChanged) || errors.Is(err, s3.ErrNoFolder) {
		return &Permanent{err}
	}
	return err
}

// isLocal reports an error of this machine's files: no further request mends it.
func isLocal(err error) bool {
	var disk *fs.PathError
	return errors.As(err, &disk)
}
