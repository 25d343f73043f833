// Package notification holds what an S3 server tells when objects change, whatever its dialect.
// Each folder below it reads one dialect; minio/README.md says how to add another one.
package notification

import (
	"errors"
	"fmt"
	"time"
)

// MaxBody bounds a notification in bytes. MinIO sends one record per call, AWS up to some tens,
// SeaweedFS the list of an object's parts.
const MaxBody = 1 << 20

// Record is one change of one object.
type Record struct {
	Bucket, Key string
	Removed     bool
	ETag        string
	Version     string
	Sequencer   string
	Size        int64
	// Time is zero where the server does not say it.
	Time time.Time
}

// ErrMalformed is a body that will never be understood.
var ErrMalformed = errors.New("not an S3 notification")

// Malformedf is ErrMalformed with the reason.
func Malformedf(format string, args ...any) error {
	return fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
}
