package databox_test

import (
	"encoding/json"
	"path"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/databox"
)

// Whatever a user is called and whatever the path: the key lies among the user's own files, no
// other user's begin with the same bytes, and the key leads back to both.
func FuzzUsersKeys(f *testing.F) {
	for _, s := range [][3]string{
		{"ann", "bob", "g/a"}, {"..", ".", "g/.."}, {"../bob", "bob", "../bob/file_groups/g"},
		{"a/file_groups/b", "a", "b/file_groups/c"},
		{"a", "A", "g/ a"}, {"Аня", "\xff", "g/\x00"}, {"a%2Fb", "a/b", "g/%2e%2e/x"}, {"*", "?", "${aws:username}/*"},
		{"a b", "a+b", "g/+ "},
	} {
		f.Add(s[0], s[1], s[2])
	}
	f.Fuzz(func(t *testing.T, user, other, p string) {
		if user == "" || p == "" {
			return
		}
		prefix := databox.UserPrefix(user)
		if path.Clean(prefix)+"/" != prefix || strings.Count(prefix, "/") != 3 || !strings.HasPrefix(prefix, "users/") {
			t.Errorf("user %q: prefix %q", user, prefix)
		}
		if user != other && strings.HasPrefix(databox.UserPrefix(other), prefix) {
			t.Errorf("users %q and %q share %q", user, other, prefix)
		}
		key := databox.Place{Box: "b", Path: p}.Key(user)
		if gotUser, gotPath, ok := databox.SplitKey(key); !ok || gotUser != user || gotPath != p {
			t.Errorf("user %q, path %q: key %q is %q's %q, %v", user, p, key, gotUser, gotPath, ok)
		}
		if databox.CheckObjectPath(p) == nil && (path.Clean(key) != key || !strings.HasPrefix(key, prefix)) {
			t.Errorf("user %q, path %q: key %q", user, p, key)
		}
	})
}

// A key is a user's only in the one spelling that is given to that user, and the developer's only
// outside of users/.
func FuzzSplitKey(f *testing.F) {
	for _, s := range []string{
		"users/ann/file_groups/g/a", "users/a%2fb/file_groups/g/a", "users/%61nn/file_groups/x", "users//file_groups/x",
		"users/ann/file_groups/", "users/%/file_groups/x",
		"users/", "users", "Users/ann/file_groups/x", "/users/ann/file_groups/x", "models/m.joblib", "",
		"users/../models/x", "users/./file_groups/x", "users/a+b/file_groups/x",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, key string) {
		user, p, ok := databox.SplitKey(key)
		below := strings.HasPrefix(key, "users/")
		switch {
		case !ok && (!below || user != "" || p != ""):
			t.Errorf("key %q: %q, %q, %v", key, user, p, ok)
		case ok && user == "" && (below || p != key):
			t.Errorf("the developer's key %q: %q", key, p)
		case ok && user != "" && (p == "" || databox.UserPrefix(user)+p != key):
			t.Errorf("key %q is %q's %q, whose key is %q", key, user, p, databox.UserPrefix(user)+p)
		}
	})
}

// A place that is understood is written in one way only and never leaves the area that it names.
func FuzzParsePlace(f *testing.F) {
	for _, s := range []string{
		"b/g/f", "b/g/", "b/", "b:/m/x", "b:/", ":/x", "b::/x", "/g/f", "b/../users/bob", "b/g/../../x", "b/./f",
		"b//f", "b/g//", "b:/users/bob/file_groups/x", "b/g/\x00", "b/\xff/f",
		"b/" + strings.Repeat("a", databox.MaxKey), "b:/..", "b", "",
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		p, err := databox.ParsePlace(s)
		if err != nil {
			return
		}
		box := p.Box
		if p.Developer {
			box += ":"
		}
		if p.Box == "" || strings.Contains(p.Box, "/") || box+"/"+p.Path != s {
			t.Errorf("%q: %+v", s, p)
		}
		file := strings.TrimSuffix(p.Path, "/")
		if p.Path != "" && (path.Clean("/"+file) != "/"+file || file == "" ||
			len(file) > databox.MaxKey) {
			t.Errorf("%q: path %q", s, p.Path)
		}
		if key := p.Key("ann"); !p.Developer && (!strings.HasPrefix(key, "users/ann/file_groups/") ||
			strings.Contains("/"+key+"/", "/../")) {
			t.Errorf("%q: key %q", s, key)
		}
		if p.Folder() != (p.Path == "" || strings.HasSuffix(p.Path, "/")) {
			t.Errorf("%q: folder %v", s, p.Folder())
		}
	})
}

// A session that is understood survives being written again, and an error quotes nothing of the
// file.
func FuzzParseSession(f *testing.F) {
	const good = `{"endpoint":"http://s3:9000","region":"r","bucket":"b","accessKeyId":"k","secretAccessKey":"TOP-SECRET","expiration":"2026-01-02T03:04:05Z"}`
	for _, s := range []string{
		good, good + good, good + " x", `{"endpoint":"TOP-SECRET"}`, `{"secretAccessKey":["TOP-SECRET"]}`,
		`{"expiration":"TOP-SECRET"}`, "", "null", "[]", "\xff", strings.Replace(good, "http://s3:9000", "://", 1),
		strings.Replace(good, "http://s3:9000", "http://TOP-SECRET@s3", 1), strings.Replace(good, "2026", "9999", 1),
		strings.Repeat(" ", 65<<10),
	} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := databox.ParseSession(b)
		if err != nil {
			if strings.Contains(err.Error(), "TOP-SECRET") || s != (databox.Session{}) {
				t.Errorf("%v; %#v", err, s)
			}
			return
		}
		if s.Endpoint == "" || s.Bucket == "" || s.AccessKeyID == "" || s.SecretAccessKey == "" {
			t.Errorf("%q lacks something", b)
		}
		again, err := json.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := databox.ParseSession(again); len(again) <= 64<<10 &&
			(err != nil || !got.Expiration.Equal(s.Expiration) || got.SecretAccessKey != s.SecretAccessKey ||
				got.Endpoint != s.Endpoint) {
			t.Errorf("%q does not come back: %v", b, err)
		}
	})
}
