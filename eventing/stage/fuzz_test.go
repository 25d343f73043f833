package stage_test

import (
	"encoding/json"
	"errors"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/stage"
)

// A path that a commit may name stays in its folder, on disk and in S3.
func FuzzCheckPath(f *testing.F) {
	for _, s := range []string{"a", "a/b", "", ".", "..", "../a", "a/../b", "/a", "a//b", "a/", "a/./b", "...", "..a",
		"a\x00b", "\xff", "a\\..\\b", strings.Repeat("a", stage.MaxName+1)} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, p string) {
		if stage.CheckPath(p) != nil {
			return
		}
		if !filepath.IsLocal(p) || strings.ContainsRune(p, 0) || len(p) > stage.MaxName ||
			path.Join("x/y", p) != "x/y/"+p {
			t.Errorf("%q is taken", p)
		}
	})
}

// What fetch and publish get as an argument is whole, its names are those of one folder each, and
// it means the same when it is written again.
func FuzzDecodePlan(f *testing.F) {
	for _, s := range []string{
		`{"inputs":[{"name":"i","session":"fetch-0.json","bucket":"b","key":"k","etag":"e"}],"outputs":["o"]}`,
		`{"inputs":[{"name":"i","session":"fetch-0.json","bucket":"b","prefix":"p/"},{"name":"j","session":"fetch-1.json","bucket":"b","commit":"c","output":"o"}]}`,
		`{"run":"r","stage":"p/s","attempt":1,"bucket":"b","session":"publish-0.json","outputs":[{"name":"o","copies":[{"bucket":"c","prefix":"a$$(X)/","session":"publish-1.json"}]}]}`,
		`{"inputs":[{"name":"../i","session":"fetch-0.json","bucket":"b","key":"k"}]}`,
		`{"inputs":[{"name":"i","session":"../x","bucket":"b","key":"k"}]}`,
		`{"inputs":[{"name":"i","session":"s","bucket":"b","key":"a/.."}]}`,
		`{"outputs":["/"]}`, `{"outputs":["a/../b"]}`, `{"outputs":[".."]}`, `{"x":1}`, `{} {}`, `null`, `[]`,
		`{"inputs":null}`, "\xff", `{"attempt":1e400}`,
	} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, argument string) {
		if plan := new(stage.FetchPlan); stage.Decode(argument, plan) == nil {
			for _, name := range plan.Outputs {
				checkName(t, name)
			}
			for _, in := range plan.Inputs {
				checkName(t, in.Name)
				checkName(t, in.Session)
			}
			comesBack(t, plan, new(stage.FetchPlan))
		}
		if plan := new(stage.PublishPlan); stage.Decode(argument, plan) == nil {
			checkName(t, plan.Session)
			for _, o := range plan.Outputs {
				checkName(t, o.Name)
				for _, c := range o.Copies {
					checkName(t, c.Session)
				}
			}
			comesBack(t, plan, new(stage.PublishPlan))
		}
	})
}

// checkName looks whether a name is that of something right in a folder.
func checkName(t *testing.T, name string) {
	t.Helper()
	if !filepath.IsLocal(name) || name == "." || strings.ContainsAny(name, "/\x00") {
		t.Errorf("the name %q is taken", name)
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

// Whatever went wrong, what the controller is told of it fits and can be read: its beginning, in
// one line.
func FuzzResult(f *testing.F) {
	for _, s := range []string{"", "no", strings.Repeat("\x1b", 5000), strings.Repeat("ж", 3000), "\xff\xfe",
		strings.Repeat("<", 4096)} {
		f.Add(s, int64(1))
	}
	f.Fuzz(func(t *testing.T, text string, n int64) {
		b := stage.Result{Files: int(n), Bytes: n, Error: text}.Encode()
		var got stage.Result
		if err := json.Unmarshal(b, &got); err != nil || len(b) > stage.MaxMessage || !utf8.ValidString(got.Error) {
			t.Fatalf("%d bytes: %v", len(b), err)
		}
		if got.Bytes != n || strings.ContainsFunc(got.Error, unicode.IsControl) ||
			!strings.HasPrefix(printable.Summary(text, 2*stage.MaxMessage), strings.TrimSuffix(got.Error, "…")) {
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
	f.Add([]byte(`{"attempt":1,"outputs":{"o":[{"path":"a","size":1,"sha256":"` + sum +
		`","pack":2,"offset":7}]},"packs":{"o":["` + sum + `","` + sum + `"]}}`))
	f.Add([]byte(`{"attempt":1,"outputs":{"o":[{"path":"a","size":1,"sha256":"` + sum +
		`","object":"b"}]},"folders":{"o":["c/d"],"p":["../e"]}}`))
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
