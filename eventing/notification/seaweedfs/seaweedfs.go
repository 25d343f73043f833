// Package seaweedfs reads what the webhook of a SeaweedFS filer posts. It tells of all files of the
// filer; those of S3 lie below /buckets/. A notification has the entry before and the entry after the
// change, so that a file that moves is one removed and one created.
package seaweedfs

import (
	"encoding/hex"
	"encoding/json"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/notification"
)

// buckets is where the filer keeps buckets, unless it was told otherwise.
const buckets = "/buckets/"

// uploads is the folder of a bucket in which parts of uploads wait to be put together.
const uploads = ".uploads/"

type body struct {
	Key     string `json:"key"` // the path before the change, of a new file its path
	Message *struct {
		Old       *entry `json:"old_entry"`
		New       *entry `json:"new_entry"`
		NewParent string `json:"new_parent_path"`
	} `json:"message"`
}

type entry struct {
	Name       string `json:"name"`
	Directory  bool   `json:"is_directory"`
	Attributes struct {
		Size  uint64 `json:"file_size"`
		Mtime int64  `json:"mtime"` // seconds
		Nanos int32  `json:"mtime_ns"`
		MD5   []byte `json:"md5"`
	} `json:"attributes"`
	Extended map[string][]byte `json:"extended"`
	Commit   int64             `json:"commit_ts_ns"` // when it was written
}

// etag is where an ETag lies that is no MD5 of the content.
const etag = "Seaweed-X-Amz-ETag"

// Parse reads a notification. What is no object of a bucket gives no record: folders, parts of
// uploads, files beside the buckets. The error is notification.ErrMalformed.
func Parse(b []byte) ([]notification.Record, error) {
	if len(b) > notification.MaxBody {
		return nil, notification.Malformedf("larger than %d bytes", notification.MaxBody)
	}
	var x body
	if err := json.Unmarshal(b, &x); err != nil {
		return nil, fmt.Errorf("%w: %w", notification.ErrMalformed, err)
	}
	if x.Key == "" || x.Message == nil {
		return nil, notification.Malformedf("no key or no message")
	}
	m := x.Message
	before, after := x.Key, x.Key
	if m.New != nil && m.NewParent != "" {
		after = m.NewParent + "/" + m.New.Name // of what lies in "/" there is no record
	}
	var out []notification.Record
	if m.Old != nil && (m.New == nil || after != before) {
		if r, ok := record(before, m.Old); ok {
			r.Removed, r.Size = true, 0
			r.Sequencer += "-removed" // the entry's own, else that of its creation
			out = append(out, r)
		}
	}
	if m.New != nil {
		if r, ok := record(after, m.New); ok {
			out = append(out, r)
		}
	}
	return out, nil
}

// record is an entry as an object; ok is false where it is none.
func record(path string, e *entry) (r notification.Record, ok bool) {
	rest, below := strings.CutPrefix(path, buckets)
	bucket, key, _ := strings.Cut(rest, "/")
	if !below || bucket == "" || key == "" || e.Directory || strings.HasPrefix(key, uploads) {
		return r, false
	}
	a := e.Attributes
	r = notification.Record{Bucket: bucket, Key: key, Size: int64(min(a.Size, 1<<62)), ETag: string(e.Extended[etag])}
	if r.ETag == "" {
		r.ETag = hex.EncodeToString(a.MD5)
	}
	if a.Mtime > 0 {
		r.Time = time.Unix(a.Mtime, int64(a.Nanos)).UTC()
	}
	if e.Commit > 0 {
		r.Sequencer = strconv.FormatInt(e.Commit, 16)
	}
	return r, true
}
