package folder_test

import (
	"errors"
	"strings"
	"testing"

	"github.com/unip-knative/unip/eventing/folder"
)

func TestCheck(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"/data", "/data/", "/data/photos/2026", "/etcetera", "/home/ann", "/opt/x", "/данные",
		"/a b", "/a*", "/..a", "/" + strings.Repeat("n", folder.MaxName)} {
		if err := folder.Check(p); err != nil {
			t.Errorf("%q: %v", p, err)
		}
	}
	for _, p := range []string{"/", "/etc", "/etc/", "/etc/x", "/unip", "/unip/data/x", "/unip/session", "/proc/1/root",
		"/var/run/secrets/kubernetes.io", "/tmp/x", "/usr/lib", "/etc/../data"} {
		if err := folder.Check(p); !errors.Is(err, folder.ErrSystem) {
			t.Errorf("%q would hide what others have, and yet: %v", p, err)
		}
	}
	for name, p := range map[string]string{
		"empty": "", "relative": "data", "dots": "/a/../etc", "a dot": "/a/./b", "climbs": "/../etc", "double": "/a//b",
		"double end": "/a//", "double root": "//", "colon": "/a:b", "NUL": "/a\x00b", "line": "/a\nb",
		"delete": "/a\x7f", "not UTF-8": "/a\xff", "long name": "/" + strings.Repeat("n", folder.MaxName+1),
		"long": strings.Repeat("/abcdefg", folder.MaxPath/8) + "/x",
	} {
		if err := folder.Check(p); err == nil || errors.Is(err, folder.ErrSystem) {
			t.Errorf("%s: %q: %v", name, p, err)
		}
	}
	if err := folder.CheckClean("/unip/data/x"); err != nil {
		t.Error(err)
	}
}

func TestOfCode(t *testing.T) {
	t.Parallel()
	for p, want := range map[string]bool{
		"/app": true, "/app/": true, "/app/models": true, "/home/ann": true, "/home/ann/x": true, "/src": true,
		"/models": false, "/data/app": false, "/apple": false, "/home": false, "/opt/ml": false,
	} {
		if folder.OfCode(p) != want {
			t.Errorf("%s: %v", p, !want)
		}
	}
	for p, want := range map[string]bool{"/app": true, "/app/": true, "/app/out": false, "/home/ann": true,
		"/home/ann/x": false, "/data": false} {
		if folder.HidesCode(p) != want {
			t.Errorf("%s hides code: %v", p, !want)
		}
	}
}

func TestNested(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		a, b   string
		nested bool
	}{
		{"/x", "/x/y", true}, {"/x/y/", "/x", true}, {"/x", "/x/", true}, {"/x", "/xy", false}, {"/a", "/b", false},
		{"/", "/x", true},
	} {
		if folder.Nested(c.a, c.b) != c.nested {
			t.Errorf("%s and %s", c.a, c.b)
		}
	}
}
