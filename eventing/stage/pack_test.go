package stage

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

var zeros = strings.Repeat("0", 64)

// sized are files of these sizes.
func sized(sizes ...int64) []File {
	files := make([]File, len(sizes))
	for i, n := range sizes {
		files[i] = File{Path: fmt.Sprint(i), Size: n, SHA256: zeros}
	}
	return files
}

func TestSmallFilesArePacked(t *testing.T) {
	t.Parallel()
	type at struct {
		Pack   int
		Offset int64
	}
	full := slices.Repeat([]int64{MaxPacked}, MaxPack/MaxPacked)
	and := func(sizes []int64, more ...int64) []int64 { return slices.Concat(sizes, more) }
	last := at{1, MaxPack - MaxPacked}
	for name, c := range map[string]struct {
		sizes []int64
		want  []at // of the last files
	}{
		"nothing":                    {nil, nil},
		"one file":                   {[]int64{4}, []at{{}}},
		"one small file":             {[]int64{4, MaxPacked + 1}, []at{{}, {}}},
		"two small files":            {[]int64{4, MaxPacked + 1, MaxPacked}, []at{{1, 0}, {}, {1, 4}}},
		"empty files":                {[]int64{0, 0, 1, 0}, []at{{1, 0}, {1, 0}, {1, 0}, {1, 1}}},
		"a full pack":                {full, []at{last}},
		"an empty file after it":     {and(full, 0), []at{last, {1, MaxPack}}},
		"a byte more than fits":      {and(full, 1), []at{last, {2, 0}}},
		"what would fit again later": {and(full[1:], MaxPacked-1, 2, 1), []at{last, {2, 0}, {2, 2}}},
	} {
		files := sized(c.sizes...)
		Pack(files)
		var got []at
		for _, f := range files[len(files)-len(c.want):] {
			got = append(got, at{f.Pack, f.Offset})
		}
		if d := cmp.Diff(c.want, got); d != "" {
			t.Errorf("%s (-want +got)\n%s", name, d)
		}
	}
}

// Whatever the sizes are: each content has a place of its own, no pack is too large, and the commit
// is one that is read.
func TestPacksHoldEachFileOnce(t *testing.T) {
	t.Parallel()
	random := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		sizes := make([]int64, random.IntN(400))
		for i := range sizes {
			sizes[i] = random.Int64N(2 * MaxPacked)
		}
		files := sized(sizes...)
		Pack(files)
		byPack := ByPack(files)
		seen := 0
		for n, members := range byPack {
			seen += len(members)
			end := int64(0)
			for _, f := range members {
				switch {
				case f.Pack != n, (n == 0) != (f.Size > MaxPacked) && len(byPack) > 1, n > 0 && f.Offset != end:
					t.Fatalf("%+v among those of pack %d, which ends at %d", f, n, end)
				}
				end += f.Size
			}
			if n > 0 && (end != PackSize(members) || end > MaxPack) {
				t.Fatalf("pack %d has %d bytes", n, end)
			}
		}
		if seen != len(files) {
			t.Fatalf("%d of %d files", seen, len(files))
		}
		c := &Commit{Attempt: 1, Outputs: map[string][]File{"o": files}, Packs: map[string][]string{}}
		for range byPack[1:] {
			c.Packs["o"] = append(c.Packs["o"], zeros)
		}
		b, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := DecodeCommit(b); err != nil {
			t.Fatal(err)
		}
	}
}

// No place in a commit leads out of its pack, and no name of a pack to another object.
func TestForgedPlacesAreRefused(t *testing.T) {
	t.Parallel()
	commit := func(place, packs string) error {
		_, err := DecodeCommit([]byte(`{"attempt":1,"outputs":{"o":[{"path":"a","sha256":"` + zeros + `",` + place +
			`}]},"packs":{"o":[` + packs + `]}}`))
		return err
	}
	name := `"` + zeros + `"`
	for place, packs := range map[string]string{
		`"size":1`: "", `"size":99999`: name, `"size":1,"pack":1`: name,
		`"size":1,"pack":2,"offset":3`:           name + "," + name,
		`"size":65536,"pack":1,"offset":4128768`: name, `"size":0,"pack":1,"offset":4194304`: name,
	} {
		if err := commit(place, packs); err != nil {
			t.Errorf("%s: %v", place, err)
		}
	}
	for _, c := range [][2]string{
		{`"size":1,"pack":1`, ""}, {`"size":1,"pack":2`, name}, {`"size":1,"pack":-1`, name},
		{`"size":1,"pack":9223372036854775807`, name}, {`"size":1,"offset":1`, name},
		{`"size":1,"pack":1,"offset":-1`, name}, {`"size":1,"pack":1,"offset":4194304`, name},
		{`"size":2,"pack":1,"offset":4194303`, name}, {`"size":1,"pack":1,"offset":9223372036854775807`, name},
		{`"size":65537,"pack":1`, name}, {`"size":9223372036854775807,"pack":1,"offset":1`, name},
		{`"size":-1,"pack":1,"offset":1`, name},
		{`"size":1`, `"../../other/commit"`}, {`"size":1`, `""`}, {`"size":1`, `"` + strings.Repeat("A", 64) + `"`},
		{`"size":1`, `"` + strings.Repeat("0", 62) + `"`}, {`"size":1`, `"` + strings.Repeat("0", 63) + `/"`},
	} {
		if err := commit(c[0], c[1]); err == nil {
			t.Errorf("%s of packs %s is taken", c[0], c[1])
		}
	}
}

// A pack lies within the stage's own part of the run bucket, which is what sessions are for, and at
// no file's place.
func TestPacksLieBesideFiles(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"fit", "train/fit"} {
		key := PackKey(Prefix("r", name), 2, "model", zeros)
		if want := Prefix("r", name) + "2.packs/model/" + zeros; key != want {
			t.Errorf("%q, want %q", key, want)
		}
		for attempt := range 30 {
			if strings.HasPrefix(key, fmt.Sprint(Prefix("r", name), attempt, "/")) {
				t.Errorf("%q is among the files of attempt %d", key, attempt)
			}
		}
	}
}
