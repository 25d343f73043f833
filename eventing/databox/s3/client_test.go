package s3

import (
	"encoding/json"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/databox"
)

// A box that is kept open stays the same one while its session tells of the same place, renewed or
// not there for a while, and is opened anew when it tells of another.
func TestReopen(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "session.json")
	at := time.Now()
	write := func(s databox.Session) {
		t.Helper()
		b, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		at = at.Add(time.Second)
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	s := databox.Session{Endpoint: "http://s3.example", Bucket: "b", Prefix: "old/", AccessKeyID: "a",
		SecretAccessKey: "x", Usage: &databox.UsageRef{Bucket: "u", Key: "k"}}
	if _, err := Reopen(nil, path, nil); err == nil {
		t.Error("there is a box without a session")
	}
	write(s)
	box, err := Reopen(nil, path, nil)
	if err != nil {
		t.Fatal(err)
	}
	again := func(what string, same bool) {
		t.Helper()
		now, err := Reopen(box, path, nil)
		if err != nil || (now == box) != same {
			t.Errorf("%s: the same %t, want %t; %v", what, now == box, same, err)
		}
		box = now
	}
	again("nothing has happened", true)
	s.SecretAccessKey, s.Usage = "y", &databox.UsageRef{Bucket: "u", Key: "k"}
	write(s)
	again("it is renewed", true)
	s.Prefix = "new/"
	write(s)
	again("another folder", false)
	if box.Prefix != "new/" {
		t.Errorf("%q", box.Prefix)
	}
	s.Bucket = "c"
	write(s)
	again("another bucket", false)
	s.Endpoint = "http://other.example"
	write(s)
	again("another server", false)
	s.Usage = nil
	write(s)
	again("nobody counts any more", false)
	if err := os.WriteFile(path, []byte("half"), 0o600); err != nil {
		t.Fatal(err)
	}
	again("half a session", true)
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	again("no session", true)
}
