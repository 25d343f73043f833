package stage

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestPlansSurviveKubeletsExpansion(t *testing.T) {
	t.Parallel()
	plan := &PublishPlan{Run: "r", Stage: "s", Attempt: 1, Bucket: "b", Session: "w", Outputs: []Output{
		{Name: "o", Copies: []Folder{{Bucket: "c", Prefix: "$(HOME)/a$$/", Session: "w"}}},
	}}
	argument, err := Encode(plan)
	if err != nil {
		t.Fatal(err)
	}
	seen := strings.ReplaceAll(argument, "$$", "$") // what kubelet makes of it
	var got PublishPlan
	if err := Decode(seen, &got); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(plan, &got); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
}

func TestPlansAreChecked(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		`{}x`:                       "something follows",
		`{"unknown":1}`:             "unknown field",
		`{"inputs":[{"name":"a"}]}`: "exactly one of key, prefix, whole and commit",
		`{"inputs":[{"name":"a/b","session":"s","bucket":"b","key":"k"}]}`:             "not a name",
		`{"inputs":[{"name":"..","session":"s","bucket":"b","key":"k"}]}`:              "not a name",
		`{"inputs":[{"name":"a","session":"../s","bucket":"b","key":"k"}]}`:            "not a file's name",
		`{"inputs":[{"name":"a","bucket":"b","key":"k"}]}`:                             "not a file's name",
		`{"inputs":[{"name":"a","session":"s","bucket":"b","prefix":"k"}]}`:            "does not end in /",
		`{"inputs":[{"name":"a","session":"s","bucket":"b","key":"k","prefix":"k/"}]}`: "exactly one",
		`{"inputs":[{"name":"a","session":"s","bucket":"b","commit":"k"}]}`:            "belong together",
		`{"outputs":["a/../b"]}`: "not a name",
		`{"outputs":["a","a"]}`:  "twice",
		`{"inputs":[{"name":"a","session":"s","bucket":"b","key":"k"}],"outputs":["a"]}`: "twice",
	} {
		if err := Decode(in, &FetchPlan{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", in, err, want)
		}
	}
	const publish = `{"run":"r","stage":"s","attempt":1,"bucket":"b","session":"w","outputs":[{"name":"o","copies":[%s]}]}`
	for copies, want := range map[string]string{
		`{"bucket":"c","prefix":"","session":"w"}`: "a prefix ending in /", // never a whole bucket
		`{"bucket":"c","prefix":"a/"}`:             "not a file's name",
	} {
		if err := Decode(fmt.Sprintf(publish, copies), &PublishPlan{}); err == nil ||
			!strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", copies, err, want)
		}
	}
}

// What fetch and publish say ends in statuses, events and terminals: nothing in it acts there.
func TestResultHasNoControlCharacters(t *testing.T) {
	t.Parallel()
	b := Result{Error: "\x1b[2Jgone\rfake\nline \u009b \u202e файл \xff"}.Encode()
	var got Result
	if err := json.Unmarshal(b, &got); err != nil {
		t.Fatal(err)
	}
	if want := `\x1b[2Jgone fake line \u009b \u202e файл \xff`; got.Error != want {
		t.Errorf("%q, want %q", got.Error, want)
	}
}

func TestCheckPath(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"", ".", "..", "../a", "/a", "a//b", "a/../b", "a/", "./a", "a\x00b",
		strings.Repeat("a", MaxName+1)} {
		if CheckPath(bad) == nil {
			t.Errorf("%.20q is accepted", bad)
		}
	}
	for _, good := range []string{"a", "a/b", "..a", "a..", "a b", "ё/й", "$(X)", "%2e%2e"} {
		if err := CheckPath(good); err != nil {
			t.Error(err)
		}
	}
}

func TestResultFitsATerminationMessage(t *testing.T) {
	t.Parallel()
	for _, n := range []int{0, 10, 4000, 5000, 100_000} {
		for _, letter := range []string{"a", "ё", "\"", "\n"} {
			b := Result{Error: strings.Repeat(letter, n)}.Encode()
			if len(b) > MaxMessage {
				t.Errorf("%d times %q: %d bytes", n, letter, len(b))
			}
		}
	}
}

// A closed commit is nobody's: neither this release nor one that does not know the form takes it for
// an attempt's.
func TestAClosedCommitIsNoAttempts(t *testing.T) {
	t.Parallel()
	if c, err := DecodeCommit([]byte(ClosedCommit)); c != nil || !errors.Is(err, ErrClosed) {
		t.Errorf("%+v, %v", c, err)
	}
	var before Commit
	if err := json.Unmarshal([]byte(ClosedCommit), &before); err != nil || before.Attempt != 0 {
		t.Errorf("%+v, %v", before, err)
	}
}

func FuzzDecodeCommit(f *testing.F) {
	f.Add([]byte(`{"attempt":1,"outputs":{"o":[{"path":"a","size":1,"sha256":"` + zeros + `"}]}}`))
	f.Add([]byte(`{"attempt":1,"outputs":{"o":[{"path":"a","size":1,"sha256":"` + zeros +
		`","pack":1,"offset":4194303}]},"packs":{"o":["` + zeros + `"]}}`))
	pack := make([]byte, MaxPack)
	f.Fuzz(func(t *testing.T, b []byte) {
		c, err := DecodeCommit(b)
		if err != nil {
			return
		}
		for output, files := range c.Outputs {
			for _, x := range files {
				if strings.HasPrefix(x.Path, "/") || strings.Contains("/"+x.Path+"/", "/../") {
					t.Errorf("%q", x.Path)
				}
			}
			for n, members := range ByPack(files) {
				if n > len(c.Packs[output]) {
					t.Errorf("pack %d of %d", n, len(c.Packs[output]))
				}
				for _, x := range members {
					if n > 0 && int64(len(x.In(pack))) != x.Size { // which would panic beyond the pack
						t.Errorf("%+v", x)
					}
				}
			}
		}
		for output, packs := range c.Packs {
			for _, name := range packs {
				if key := PackKey("runs/r/s", 1, output, name); path.Base(key) != name || len(name) != 64 {
					t.Errorf("%q leads to %q", name, key)
				}
			}
		}
	})
}

// Only the user's container is the user's: what fetch and publish end with is unip's own.
func TestIsFunction(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		FunctionContainer: true, "stage": true, FetchContainer: false, PublishContainer: false, "": false,
	} {
		if got := IsFunction(name); got != want {
			t.Errorf("%q: %v", name, got)
		}
	}
}
