package image_test

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/cmd/unip/internal/image"
)

func folder(t *testing.T, files ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, f := range files {
		f = filepath.Join(dir, f)
		if err := os.MkdirAll(filepath.Dir(f), 0o750); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(f, nil, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func TestSources(t *testing.T) {
	t.Parallel()
	const digest = "@sha256:7fb99d0c7ac8dd2e1aed992fcd94437cd2c22d50dc8dab42d88120dd10669013"
	for name, c := range map[string]struct {
		files, images []string
		want          []string // repository: Dockerfile
		err           string
	}{
		"one image": {[]string{"Dockerfile"}, []string{"reg:5000/ann/leaves:3f2a91c"},
			[]string{"reg:5000/ann/leaves: Dockerfile"}, ""},
		"two tags are one image": {[]string{"Dockerfile"}, []string{"ann/leaves:1", "ann/leaves:2", "ann/leaves"},
			[]string{"ann/leaves: Dockerfile"}, ""},
		"stages with files of their own": {[]string{"Dockerfile", "Dockerfile.extract", "train/Dockerfile"},
			[]string{"ann/leaves:1", "ann/leaves-extract:1", "ann/leaves-train:1"},
			[]string{"ann/leaves: Dockerfile", "ann/leaves-extract: Dockerfile.extract",
				"ann/leaves-train: train/Dockerfile"}, ""},
		"somebody's image by its digest": {[]string{"Dockerfile"}, []string{"python:3" + digest, "ann/leaves:1"},
			[]string{"ann/leaves: Dockerfile"}, ""},
		"one file for two": {[]string{"Dockerfile"}, []string{"ann/leaves:1", "python:3.11-slim"}, nil,
			"ann/leaves and python have no file of their own"},
		"no file":   {nil, []string{"ann/leaves-fit:1"}, nil, "Dockerfile.leaves-fit, leaves-fit/Dockerfile, Dockerfile.fit"},
		"no folder": {nil, []string{"ann/Leaves:1"}, nil, "could not parse reference"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			dir := folder(t, c.files...)
			all, err := image.Sources(c.images, dir)
			if c.err != "" {
				if err == nil || !strings.Contains(err.Error(), c.err) {
					t.Errorf("error %v, want %q", err, c.err)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, s := range all {
				file, err := filepath.Rel(dir, s.Dockerfile)
				if err != nil {
					t.Fatal(err)
				}
				got = append(got, s.Repository+": "+file)
			}
			if d := cmp.Diff(c.want, got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

func TestRevision(t *testing.T) {
	t.Parallel()
	dir := folder(t, "Dockerfile")
	if _, _, err := image.Revision(t.Context(), dir); err == nil || !strings.Contains(err.Error(), "--tag") {
		t.Errorf("without a repository: %v", err)
	}
	git := func(args ...string) string {
		t.Helper()
		c := exec.Command("git", append([]string{"-C", dir, "-c", "user.name=ann", "-c", "user.email=ann@example.org"},
			args...)...)
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("git %s: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	git("init", "-q")
	git("add", ".")
	git("commit", "-qm", "first")
	commit, changed, err := image.Revision(t.Context(), dir)
	if err != nil || changed || commit == "" || !strings.HasPrefix(git("rev-parse", "HEAD"), commit) {
		t.Errorf("%q, changed %t, %v", commit, changed, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "Dockerfile"), []byte("FROM scratch\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, changed, err := image.Revision(t.Context(), dir); err != nil || !changed {
		t.Errorf("a change: %t, %v", changed, err)
	}
}
