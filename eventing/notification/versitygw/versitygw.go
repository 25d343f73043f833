// Package versitygw reads what the one webhook of a versitygw posts. They are S3's Records, with keys
// as they are, not encoded. It tells of all buckets of the server.
package versitygw

import (
	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/internal/records"
)

// Parse reads a notification. Test events, and events other than creation and removal, give no
// record. The error is notification.ErrMalformed.
func Parse(b []byte) ([]notification.Record, error) { return records.Parse(b, records.Plain) }
