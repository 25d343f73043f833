// Package minio reads the notifications of MinIO, and of RustFS, which speaks as MinIO does. They are
// S3's Records, keys encoded as in a URL's query.
package minio

import (
	"net/url"

	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/internal/records"
)

// Parse reads a notification. Test events, and events other than creation and removal, give no
// record. The error is notification.ErrMalformed.
func Parse(b []byte) ([]notification.Record, error) {
	return records.Parse(b, url.QueryUnescape)
}
