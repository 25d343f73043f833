// Package notificationtest tries a dialect: what every one must keep, whatever its server writes.
package notificationtest

import (
	"errors"
	"slices"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/notification"
)

// Case is a body as a server sends it, and what it means.
type Case struct {
	Body string
	Want []notification.Record
	Bad  bool
}

// Parser of a dialect.
type Parser func(body []byte) ([]notification.Record, error)

// Parse tries cases by their names.
func (parse Parser) Parse(t *testing.T, cases map[string]Case) {
	t.Helper()
	for name, c := range cases {
		got, err := parse([]byte(c.Body))
		if (err != nil) != c.Bad || (err != nil && !errors.Is(err, notification.ErrMalformed)) {
			t.Errorf("%s: %v", name, err)
		}
		if d := cmp.Diff(c.Want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
}

// Bytes tries any bytes: they are refused as malformed, or each record names an object.
func (parse Parser) Bytes(t *testing.T, b []byte) {
	t.Helper()
	records, err := parse(b)
	if err != nil && (!errors.Is(err, notification.ErrMalformed) || records != nil) {
		t.Errorf("%v, %v", records, err)
	}
	for _, r := range records {
		if r.Bucket == "" || r.Key == "" {
			t.Errorf("%+v", r)
		}
	}
}

// Texts reports that each is UTF-8, which JSON can carry. (Two that are none may be so together.)
func Texts(all ...string) bool {
	return !slices.ContainsFunc(all, func(s string) bool { return !utf8.ValidString(s) })
}

// Key tries a body of one object: there is no record, or one of exactly that bucket and key.
func (parse Parser) Key(t *testing.T, body []byte, bucket, key string) {
	t.Helper()
	records, err := parse(body)
	switch {
	case len(body) > notification.MaxBody:
	case err != nil || len(records) > 1:
		t.Errorf("%s: %v, %v", body, records, err)
	case len(records) == 1 && (records[0].Key != key || records[0].Bucket != bucket):
		t.Errorf("%q in %q is read as %+v", key, bucket, records[0])
	}
}
