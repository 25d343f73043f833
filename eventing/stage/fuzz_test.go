package stage_test

import (
	"encoding/json"
	"errors"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/stage"
)

// A path that a commit may name stays in its folder, on disk and in S3.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"a", "a/b", "", ".", "..", "../a", "a/../b", "/a", "a//b", "a/", "a/./b", "...", "..a", "a\x00b", "\xff", "a\\..\\b", strings.Repeat("a", stage.MaxName+1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if stage.CheckPath(p) != nil {
			return
		}
		if !filepath.IsLocal(p) || strings.ContainsRune(p, 0) || len(p) > stage.MaxName || path.Join("x/y", p) != "x/y/"+p {
			t.Errorf("%q is taken", p)
		}
	})
}

// What fetch and publish get as an argument is whole, its paths are clean, and it means the same when it is written again.
func FuzzDecodePlan(f *testing.F) {
	for _, s := range []string{
		`{"inputs":[{"name":"i","path":"/unip/data/i","bucket":"b","key":"k","etag":"e"}],"outputs":["/unip/data/o"]}`,
		`{"inputs":[{"name":"i","path":"/unip/data/i","bucket":"b","prefix":"p/"},{"name":"j","path":"/d","bucket":"b","commit":"c","output":"o"}]}`,
		`{"run":"r","stage":"p/s","attempt":1,"bucket":"b","outputs":[{"name":"o","path":"/unip/data/o","copies":[{"bucket":"c","prefix":"a$$(X)/"}]}]}`,
		`{"inputs":[{"name":"i","path":"/unip/../etc","bucket":"b","key":"k"}]}`, `{"outputs":["/"]}`, `{"outputs":["/a/../b"]}`, `{"x":1}`, `{} {}`, `null`, `[]`, `{"inputs":null}`, "\xff", `{"attempt":1e400}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, argument string) {
		if plan := new(stage.FetchPlan); stage.Decode(argument, plan) == nil {
			for _, p := range plan.Outputs {
				checkFolder(t, p)
			}
			for _, in := range plan.Inputs {
				checkFolder(t, in.Path)
			}
			comesBack(t, plan, new(stage.FetchPlan))
		}
		if plan := new(stage.PublishPlan); stage.Decode(argument, plan) == nil {
			for _, o := range plan.Outputs {
				checkFolder(t, o.Path)
			}
			comesBack(t, plan, new(stage.PublishPlan))
		}
	})
}

func checkFolder(t *testing.T, p string) {
	t.Helper()
	if !path.IsAbs(p) || path.Clean(p) != p || p == "/" || strings.ContainsRune(p, 0) {
		t.Errorf("the path %q is taken", p)
	}
}

func comesBack(t *testing.T, plan, again interface{ Validate() error }) {
	t.Helper()
	argument, err := stage.Encode(plan)
	if err != nil {
		return // larger than a plan may be: escapes take more room than what they stand for
	}
	if err := stage.Decode(strings.ReplaceAll(argument, "$$", "$"), again); err != nil { // as kubelet hands it over
		t.Errorf("%s: %v", argument, err)
		return
	}
	if was, is := mustJSON(t, plan), mustJSON(t, again); was != is {
		t.Errorf("(-want +got)\n%s", cmp.Diff(was, is))
	}
}

func mustJSON(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// Whatever went wrong, what the controller is told of it fits and can be read; its beginning is kept.
func FuzzResult(f *testing.F) {
	for _, s := range []string{"", "no", strings.Repeat("\x1b", 5000), strings.Repeat("ж", 3000), "\xff\xfe", strings.Repeat("<", 4096)} {
		f.Add(s, int64(1))
	}
	f.Fuzz(func(t *testing.T, text string, n int64) {
		b := stage.Result{Files: int(n), Bytes: n, Error: text}.Encode()
		var got stage.Result
		if err := json.Unmarshal(b, &got); err != nil || len(b) > stage.MaxMessage || !utf8.ValidString(got.Error) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if got.Bytes != n || !strings.HasPrefix(strings.ToValidUTF8(text, "\ufffd"), strings.ToValidUTF8(strings.TrimSuffix(got.Error, "…"), "\ufffd")) && utf8.ValidString(text) {
			t.Errorf("%q was told as %+v", text, got)
		}
	})
}

// A commit that is understood says the same when it is written again.
func FuzzCommitComesBack(f *testing.F) {
	sum := strings.Repeat("0", 64)
	f.Add([]byte(`{"attempt":1,"outputs":{"o":[{"path":"a","size":1,"sha256":"` + sum + `"}],"empty":[],"none":null}}`))
	f.Add([]byte(`{"attempt":1,"outputs":{"":[{"path":"../a","size":1,"sha256":"` + sum + `"}]}}`))
	f.Add([]byte(`{"attempt":1,"attempt":0}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := stage.DecodeCommit(b)
		if err != nil {
			if errors.Unwrap(err) == nil && err.Error() == "" {
				t.Error("an error without words")
			}
			return
		}
		again, err := stage.DecodeCommit([]byte(mustJSON(t, c)))
		if err != nil || mustJSON(t, again) != mustJSON(t, c) {
			t.Errorf("%q: %v", b, err)
		}
	})
}
