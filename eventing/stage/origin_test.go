package stage_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/stage"
)

// origin is one that is right in all parts.
func origin(change func(*stage.Origin)) stage.Origin {
	o := stage.Origin{Run: "train-5t2f", Stage: "train/fit", Attempt: 2, Output: "model", Path: "a/b.bin",
		SHA256: strings.Repeat("0a", 32)}
	change(&o)
	return o
}

// Any name comes back from a header as it was, in whatever case and form servers and clients write
// the header's name.
func TestOriginComesBack(t *testing.T) {
	t.Parallel()
	for _, p := range []string{"a", "a/b.bin", "мои данные/отчёт 1.txt", " a ", "a  b", "100%", "%41", "=YQ", "=",
		"a=b", "a\nX-Amz-Meta-Unip-Run: other", "\r\n", "\x01", "$(X),\"'", "+", "\xff", "日本", strings.Repeat("ж", 350),
		strings.Repeat("a", stage.MaxName)} {
		want := origin(func(o *stage.Origin) { o.Path = p })
		metadata := want.Metadata()
		header := http.Header{}
		for name, value := range metadata {
			if strings.ContainsFunc(value, func(r rune) bool { return r <= ' ' || r > '~' }) {
				t.Errorf("%q: a header cannot hold %q", p, value)
			}
			header.Set("x-amz-meta-"+name, value)
		}
		forms := map[string]map[string]string{"as written": metadata, "headers": {}, "lower": {}, "upper": {}}
		for name := range header {
			forms["headers"][name] = header.Get(name)
			forms["lower"][strings.ToLower(name)] = header.Get(name)
			forms["upper"][strings.ToUpper(strings.TrimPrefix(name, "X-Amz-Meta-"))] = header.Get(name)
		}
		for form, m := range forms {
			m["Content-Type"] = "text/plain" // others are no matter
			got, ok := stage.OriginOf(m)
			if d := cmp.Diff(want, got); !ok || d != "" {
				t.Errorf("%q, %s: %v (-want +got)\n%s", p, form, ok, d)
			}
		}
	}
}

// What S3 would refuse is left out as a whole, not in part.
func TestOriginIsBounded(t *testing.T) {
	t.Parallel()
	for n := 1; n < 2<<10; n++ {
		o := origin(func(o *stage.Origin) { o.Output = strings.Repeat("ж", n) })
		m := o.Metadata()
		size := 0
		for name, value := range m {
			size += len("x-amz-meta-") + len(name) + len(value)
		}
		if size >= 2<<10 || m == nil && n <= stage.MaxName/2 {
			t.Fatalf("%d letters: %d bytes", n, size)
		}
		if _, ok := stage.OriginOf(m); ok == (m == nil) {
			t.Fatalf("%d letters: %v comes back: %v", n, m, ok)
		}
	}
}

// Metadata are anybody's: what could name another key than a commit's is none.
func TestOriginsOfAnotherFormAreNone(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*stage.Origin){
		"no run":              func(o *stage.Origin) { o.Run = "" },
		"a run beyond":        func(o *stage.Origin) { o.Run = ".." },
		"a run of two":        func(o *stage.Origin) { o.Run = "a/b" },
		"no stage":            func(o *stage.Origin) { o.Stage = "" },
		"a stage beyond":      func(o *stage.Origin) { o.Stage = "a/.." },
		"a stage of three":    func(o *stage.Origin) { o.Stage = "a/b/c" },
		"half a chain":        func(o *stage.Origin) { o.Stage = "a/" },
		"attempt 0":           func(o *stage.Origin) { o.Attempt = 0 },
		"a negative attempt":  func(o *stage.Origin) { o.Attempt = -1 },
		"an output of two":    func(o *stage.Origin) { o.Output = "a/b" },
		"a path beyond":       func(o *stage.Origin) { o.Path = "../a" },
		"a path too long":     func(o *stage.Origin) { o.Path = strings.Repeat("a", stage.MaxName+1) },
		"no path":             func(o *stage.Origin) { o.Path = "" },
		"no sum":              func(o *stage.Origin) { o.SHA256 = "" },
		"half a sum":          func(o *stage.Origin) { o.SHA256 = strings.Repeat("0a", 16) },
		"a sum in upper case": func(o *stage.Origin) { o.SHA256 = strings.Repeat("0A", 32) },
		"no sum at all":       func(o *stage.Origin) { o.SHA256 = strings.Repeat("zz", 32) },
	} {
		if got, ok := stage.OriginOf(origin(change).Metadata()); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
	right := origin(func(*stage.Origin) {}).Metadata()
	for name, m := range map[string]map[string]string{
		"none": nil, "others": {"Unip-Run": "r"},
		"two":           {"x-amz-meta-unip-run": "another"},
		"not base64":    {"Unip-Path": "=!"},
		"not canonical": {"Unip-Path": "=YR"}, // the last bits are not 0
		"needless":      {"Unip-Path": "=YQ"}, // "a" stands as it is
		"a blank":       {"Unip-Path": "a b"},
		"a number":      {"Unip-Attempt": "+2"},
		"no number":     {"Unip-Attempt": "two"},
	} {
		all := map[string]string{}
		if name != "none" && name != "others" {
			for k, v := range right {
				all[k] = v
			}
		}
		for k, v := range m {
			all[k] = v
		}
		if got, ok := stage.OriginOf(all); ok {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// An origin is a claim, and the commit says whether it is true.
func TestOriginMatchesItsCommit(t *testing.T) {
	t.Parallel()
	o := origin(func(*stage.Origin) {})
	commit := &stage.Commit{Attempt: 2, Outputs: map[string][]stage.File{
		"model": {{Path: "a", Size: 1, SHA256: strings.Repeat("1", 64)}, {Path: o.Path, Size: 7, SHA256: o.SHA256}},
	}}
	for _, key := range []string{"users/ann/file_groups/out/a/b.bin", "a/b.bin", "x/a/b.bin"} {
		if !o.Matches(commit, key, 7) {
			t.Errorf("%s: no", key)
		}
	}
	for _, key := range []string{"", "b.bin", "xa/b.bin", "out/a/b.bin/", "out/a/b.binx", "out/a/c.bin"} {
		if o.Matches(commit, key, 7) {
			t.Errorf("%s: yes", key)
		}
	}
	if o.Matches(commit, "out/a/b.bin", 8) || o.Matches(&stage.Commit{Attempt: 2}, "out/a/b.bin", 7) {
		t.Error("another size, or another commit: yes")
	}
	for name, change := range map[string]func(*stage.Origin){
		"attempt": func(o *stage.Origin) { o.Attempt = 1 },
		"output":  func(o *stage.Origin) { o.Output = "other" },
		"path":    func(o *stage.Origin) { o.Path = "b.bin" },
		"sum":     func(o *stage.Origin) { o.SHA256 = strings.Repeat("1", 64) },
	} {
		if origin(change).Matches(commit, "out/a/b.bin", 7) {
			t.Errorf("another %s: yes", name)
		}
	}
}

// What is read as an origin says the same when it is written again, and names one commit.
func FuzzOrigin(f *testing.F) {
	f.Add("r", "p/s", "1", "o", "=0LA", strings.Repeat("0a", 32))
	f.Add("..", "s", "1", "o", "a", strings.Repeat("0a", 32))
	f.Fuzz(func(t *testing.T, run, name, attempt, output, path, sum string) {
		got, ok := stage.OriginOf(map[string]string{"Unip-Run": run, "x-amz-meta-unip-stage": name,
			"UNIP-ATTEMPT": attempt, "unip-output": output, "X-Amz-Meta-Unip-Path": path, "Unip-Sha256": sum})
		if !ok {
			return
		}
		key := stage.CommitKey(got.Run, got.Stage)
		if want := "runs/" + got.Run + "/" + got.Stage + "/commit"; key != want {
			t.Errorf("%+v: its commit is %q, not %q", got, key, want)
		}
		if m := got.Metadata(); m != nil {
			again, ok := stage.OriginOf(m)
			if !ok || again != got || m["Unip-Path"] != path {
				t.Errorf("%+v became %+v", got, again)
			}
		}
	})
}
