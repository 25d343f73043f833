package image_test

import (
	"archive/tar"
	"bytes"
	"io"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"

	"github.com/unip-knative/unip/cmd/unip/internal/image"
)

// layered makes an image of layers: names of files with their sizes in KiB.
func look(t *testing.T, layers ...map[string]int) image.Report {
	t.Helper()
	img := empty.Image
	for _, files := range layers {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for name, kib := range files {
			h := &tar.Header{Name: name, Mode: 0o644, Size: int64(kib) << 10, Typeflag: tar.TypeReg}
			if err := w.WriteHeader(h); err != nil {
				t.Fatal(err)
			}
			if _, err := io.CopyN(w, strings.NewReader(strings.Repeat("x", kib<<10)), h.Size); err != nil {
				t.Fatal(err)
			}
		}
		if err := w.Close(); err != nil {
			t.Fatal(err)
		}
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
			return io.NopCloser(bytes.NewReader(b.Bytes())), nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if img, err = mutate.AppendLayers(img, layer); err != nil {
			t.Fatal(err)
		}
	}
	report, err := image.Look(img)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

func TestLook(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		files map[string]int
		want  []image.Finding
	}{
		"a program on a slim base": {map[string]int{
			"app/digits/serve.py": 4, "usr/bin/python3": 6000, "usr/lib/x86_64-linux-gnu/libc.so.6": 1900,
			"usr/lib/python3/dist-packages/sklearn/datasets/tests/data.pkl":         900,
			"opt/venv/lib/python3.11/site-packages/torch/test/build/x.pt":           900,
			"app/tests/test_serve.py":                                               10,
			"usr/lib/gcc/x86_64-linux-gnu/12/libgcc_s.so":                           300,
			"app/digits/__pycache__/serve.cpython-311.pyc":                          300,
			"usr/local/lib/python3.11/site-packages/nltk/test/corpora/tests/big.h5": 900,
			"usr/share/doc/build/x":                                                 900, "app/names.bin": 10,
		}, nil},
		"the repository's history, however small": {map[string]int{"app/.git/HEAD": 1, "app/.git/objects/pack/a": 9},
			[]image.Finding{{Rule: image.Git, Path: "/app/.git", Size: 10 << 10}}},
		"a folder of tests counts whole": {map[string]int{"app/tests/data/a.csv": 200, "app/tests/data/b.csv": 100},
			[]image.Finding{{Rule: image.Tests, Path: "/app/tests", Size: 300 << 10}}},
		"weights": {map[string]int{"app/model.PT": 400, "models/leaf.onnx": 300,
			"home/u/.cache/huggingface/hub/blob": 500},
			[]image.Finding{
				{Rule: image.Weights, Path: "/home/u/.cache/huggingface", Size: 500 << 10},
				{Rule: image.Weights, Path: "/app/model.PT", Size: 400 << 10},
				{Rule: image.Weights, Path: "/models/leaf.onnx", Size: 300 << 10}}},
		"artefacts": {map[string]int{"app/.venv/bin/python": 300, "var/lib/apt/lists/x": 400,
			"root/.cache/pip/http/x": 500, "app/leaves.egg-info/PKG-INFO": 260},
			[]image.Finding{
				{Rule: image.Artefacts, Path: "/root/.cache", Size: 500 << 10},
				{Rule: image.Artefacts, Path: "/var/lib/apt/lists", Size: 400 << 10},
				{Rule: image.Artefacts, Path: "/app/.venv", Size: 300 << 10},
				{Rule: image.Artefacts, Path: "/app/leaves.egg-info", Size: 260 << 10}}},
		"a base with a compiler": {map[string]int{"usr/lib/gcc/x86_64-linux-gnu/12/cc1": 900},
			[]image.Finding{{Rule: image.Base, Path: "/usr/lib/gcc/x86_64-linux-gnu/12/cc1", Size: 900 << 10}}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := look(t, c.files).Findings
			for i := range got {
				if got[i].Cure == "" {
					t.Errorf("%s has no cure", got[i].Path)
				}
				got[i].Cure = ""
			}
			if d := cmp.Diff(append([]image.Finding{}, c.want...), got); d != "" {
				t.Errorf("(-want +got)\n%s", d)
			}
		})
	}
}

// What a later layer removes is pulled with the image all the same.
// What an earlier layer has as source may be compiled by a later one; a folder with much that no layer
// has compiled is one finding.
func TestUncompiledModules(t *testing.T) {
	t.Parallel()
	const python = "usr/local/lib/python3.11"
	source := map[string]int{python + "/ast.py": 800, python + "/json/decoder.py": 700, "app/few.py": 900,
		python + "/site-packages/six.py": 900, python + "/site-packages/six/moves.py": 900}
	want := []image.Finding{
		{Rule: image.Uncompiled, Path: "/" + python + "/site-packages", Size: 1800 << 10,
			Cure: "RUN python3 -m compileall -q /" + python + "/site-packages"},
		{Rule: image.Uncompiled, Path: "/" + python, Size: 1500 << 10,
			Cure: "RUN python3 -m compileall -q /" + python},
	}
	if d := cmp.Diff(want, look(t, source).Findings); d != "" {
		t.Errorf("-want +got\n%s", d)
	}
	compiled := map[string]int{python + "/__pycache__/ast.cpython-311.pyc": 1,
		python + "/site-packages/__pycache__/six.cpython-311.opt-1.pyc": 1,
		python + "/site-packages/six/__pycache__/moves.cpython-311.pyc": 1}
	if found := look(t, source, compiled).Findings; len(found) > 0 {
		t.Errorf("%+v", found)
	}
}

func TestWhatALayerRemoves(t *testing.T) {
	t.Parallel()
	r := look(t, map[string]int{"app/model.pt": 300}, map[string]int{"app/.wh.model.pt": 0})
	if len(r.Findings) != 1 || r.Findings[0].Path != "/app/model.pt" || r.Layers != 2 || r.Size != 300<<10 {
		t.Errorf("%+v", r)
	}
}
