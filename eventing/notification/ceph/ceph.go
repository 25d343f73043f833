// Package ceph reads the notifications of Ceph's object gateway (RGW), which posts them to the
// push-endpoint of a topic. They are S3's Records with keys as they are, not encoded, and with sizes
// that some releases write as a text.
package ceph

import (
	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/internal/records"
)

// Parse reads a notification. Events other than creation and removal, such as those of a lifecycle or
// of another zone, give no record. The error is notification.ErrMalformed.
//
// RGW also tells of a multipart upload that begins (ObjectCreated:Post). It is told like the upload of
// a form and gives a record too: whoever acts on one looks at S3 for what is there.
func Parse(b []byte) ([]notification.Record, error) { return records.Parse(b, records.Plain) }
