package seaweedfs_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/notification"
	"github.com/unip-knative/unip/eventing/notification/notificationtest"
	"github.com/unip-knative/unip/eventing/notification/seaweedfs"
)

// entry is one of a file of three bytes, as the filer writes it.
func entry(name string) string {
	return `{"name":"` + name + `","chunks":[{"file_id":"3,01637037d6","size":3,"modified_ts_ns":1794000000000000000,` +
		`"e_tag":"VAxbmfKYYd5R2YHKdKNPgQ==","fid":{"volume_id":3,"file_key":1,"cookie":1664104406}}],"attributes":{` +
		`"file_size":3,"mtime":1772366400,"file_mode":432,"crtime":1772366400,"mime":"text/csv","md5":"kAFQmDzST7DWlj99KOF/cg==",` +
		`"mtime_ns":124724000},"extended":{"Seaweed-X-Amz-Owner":"YWRtaW4="},"commit_ts_ns":1772366400124724000}`
}

// body is a notification; before and after are entries or "null", parent is the folder of the second.
func body(key, before, after, parent string) string {
	return `{"event_type":"create","key":"` + key + `","message":{"old_entry":` + before + `,"new_entry":` + after +
		`,"delete_chunks":true,"new_parent_path":"` + parent + `","signatures":[-1423423]}}`
}

func TestParse(t *testing.T) {
	t.Parallel()
	const folder = "/buckets/unip-b/users/ann/file_groups/in"
	at := time.Date(2026, 3, 1, 12, 0, 0, 124724000, time.UTC)
	created := func(key string) notification.Record {
		return notification.Record{Bucket: "unip-b", Key: key, Size: 3, ETag: "900150983cd24fb0d6963f7d28e17f72",
			Time: at, Sequencer: "1898b5d9bb45a320"}
	}
	removed := func(key string) notification.Record {
		r := created(key)
		r.Removed, r.Size, r.Sequencer = true, 0, r.Sequencer+"-removed"
		return r
	}
	const key, moved = "users/ann/file_groups/in/а b+c%20.csv", "models/m"
	file, other := entry("а b+c%20.csv"), entry("m")
	of := func(e, key string) string { return strings.Replace(e, `"name"`, key+`,"name"`, 1) }
	multipart := strings.Replace(strings.Replace(file, `"md5":"kAFQmDzST7DWlj99KOF/cg==",`, "", 1),
		`"extended":{`, `"extended":{"Seaweed-X-Amz-ETag":"MWYzLTI=",`, 1)
	parts := created(key)
	parts.ETag = "1f3-2"
	bare := `{"name":"а b+c%20.csv"}`
	notificationtest.Parser(seaweedfs.Parse).Parse(t, map[string]notificationtest.Case{
		"a new file": {Body: body(folder+"/а b+c%20.csv", "null", file, folder),
			Want: []notification.Record{created(key)}},
		"written again": {Body: body(folder+"/а b+c%20.csv", file, file, folder),
			Want: []notification.Record{created(key)}},
		"of several parts": {Body: body(folder+"/а b+c%20.csv", "null", multipart, folder),
			Want: []notification.Record{parts}},
		"gone": {Body: body(folder+"/а b+c%20.csv", file, "null", ""), Want: []notification.Record{removed(key)}},
		"moved": {Body: body(folder+"/а b+c%20.csv", file, other, "/buckets/unip-b/models"),
			Want: []notification.Record{removed(key), created(moved)}},
		"out of an upload's folder": {
			Body: body("/buckets/unip-b/.uploads/7f/0001.part", file, other, "/buckets/unip-b/models"),
			Want: []notification.Record{created(moved)},
		},
		"without attributes": {Body: body(folder+"/а b+c%20.csv", "null", bare, folder),
			Want: []notification.Record{{Bucket: "unip-b", Key: key}}},
		"a folder": {Body: body(folder, "null", of(entry("in"), `"is_directory":true`),
			"/buckets/unip-b/users/ann/file_groups")},
		"a bucket": {Body: body("/buckets/unip-b", "null", of(entry("unip-b"), `"is_directory":true`),
			"/buckets")},
		"a part of an upload": {Body: body("/buckets/unip-b/.uploads/7f/0001.part", "null", entry("0001.part"),
			"/buckets/unip-b/.uploads/7f")},
		"beside the buckets": {Body: body("/etc/iam/identity.json", "null", entry("identity.json"), "/etc/iam")},
		"nothing":            {Body: body(folder+"/a", "null", "null", "")},
		"no key":             {Body: body("", "null", file, folder), Bad: true},
		"no message":         {Body: `{"key":"/buckets/unip-b/a","event_type":"create"}`, Bad: true},
		"another server's":   {Body: `{"Records":[]}`, Bad: true},
		"not JSON":           {Body: "nonsense", Bad: true},
		"an MD5 that is none": {Body: body(folder+"/a", "null", strings.Replace(file, "kAFQ", "k", 1), folder),
			Bad: true},
		"a size that is none": {Body: body(folder+"/a", "null",
			strings.Replace(file, `"file_size":3`, `"file_size":-3`, 1), folder), Bad: true},
	})
}

// What SeaweedFS v0.0.0-20261109003541 has sent.
func TestRecorded(t *testing.T) {
	t.Parallel()
	const file = "users/a%2Fnn/file_groups/in coming/Таблица 1+2%25.csv"
	second := func(n int64) time.Time { return time.Unix(1796005800+n, 0).UTC() }
	again := notification.Record{Bucket: "unip-b", Key: file, Size: 4, ETag: "e2fc714c4727ee9395f324cd2e7f331f",
		Time: second(14), Sequencer: "18ecb1c5cdaa129a"}
	tags, copied, removed := again, again, again
	tags.Sequencer = "18ecb1c645dfeedb"
	copied.Key, copied.Time, copied.Sequencer = file+"2", second(15), "18ecb1c609ceaa9b"
	removed.Removed, removed.Size, removed.Sequencer = true, 0, tags.Sequencer+"-removed"
	other := removed
	other.Key, other.Time, other.Sequencer = copied.Key, copied.Time, copied.Sequencer+"-removed"
	cases := map[string]notificationtest.Case{}
	for name, want := range map[string][]notification.Record{
		"put": {{Bucket: "unip-b", Key: file, Size: 3, ETag: "900150983cd24fb0d6963f7d28e17f72", Time: second(13),
			Sequencer: "18ecb1c591914025"}},
		"put-again": {again}, "tags": {tags}, "copy": {copied}, "removed": {removed}, "removed-with-others": {other},
		"multipart": {{Bucket: "unip-b", Key: "large file", Size: 10 << 20, ETag: "d316408c159ea701ab954894bd3a92c2-2",
			Time: second(19), Sequencer: "18ecb1c706ee4f7f"}},
		"part": nil, "part-removed": nil, "bucket": nil, "folder": nil,
		// The filer's own, which is in no bucket of ours.
		"system": {{Bucket: ".system", Key: "owners/.complete", Time: second(-23), Sequencer: "18ecb1bd47b354fd"}},
	} {
		b, err := os.ReadFile("testdata/" + name + ".json")
		if err != nil {
			t.Fatal(err)
		}
		cases[name] = notificationtest.Case{Body: string(b), Want: want}
	}
	notificationtest.Parser(seaweedfs.Parse).Parse(t, cases)
}

func FuzzParse(f *testing.F) {
	f.Add([]byte(body("/buckets/b/a", "null", entry("a"), "/buckets/b")))
	f.Add([]byte(body("/buckets/b/a", entry("a"), entry("c"), "/buckets/d")))
	f.Fuzz(notificationtest.Parser(seaweedfs.Parse).Bytes)
}

// The path that stands there is the key, whatever a user calls a file.
func FuzzKey(f *testing.F) {
	for _, s := range []string{"users/ann/file_groups/in/a.csv", "a b+c%2F", "ж/🙂", "\x00\n", "%", "+", " ",
		".uploads/a"} {
		f.Add("b", s)
	}
	f.Fuzz(func(t *testing.T, bucket, key string) {
		if bucket == "" || key == "" || strings.Contains(bucket, "/") || !notificationtest.Texts(bucket, key) {
			return
		}
		path := "/buckets/" + bucket + "/" + key
		i := strings.LastIndex(path, "/")
		b, err := json.Marshal(map[string]any{"key": path, "event_type": "create", "message": map[string]any{
			"new_entry": map[string]any{"name": path[i+1:]}, "new_parent_path": path[:i]}})
		if err != nil {
			t.Fatal(err)
		}
		notificationtest.Parser(seaweedfs.Parse).Key(t, b, bucket, key)
	})
}
