// Package image makes a module's images from its repository, and looks for what does not belong in
// them. A container engine of the machine builds, saves and pushes; the rules of what belongs in an
// image are the platform's: the program with its interface and dependencies, on a slim base.
package image

import (
	"archive/tar"
	"cmp"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
)

// Rule is what a Finding breaks.
type Rule string

// Rules of the platform's overview.
const (
	Git       Rule = "git"       // the repository's history
	Tests     Rule = "tests"     // data of tests
	Weights   Rule = "weights"   // of models: they lie in a DataBox
	Artefacts Rule = "artefacts" // of builds: caches, environments and packages
	Base      Rule = "base"      // a base image with what only a build needs
)

// Finding is something that need not be in an image. It is a warning: the image runs with it.
type Finding struct {
	Rule Rule `json:"rule"`
	// Path in the container: a file, or a folder with all that is below it.
	Path string `json:"path"`
	// Size in bytes, not compressed.
	Size int64  `json:"size"`
	Cure string `json:"cure"`
}

// Report is what Look has found.
type Report struct {
	// Layers, and Size of all files in them in bytes, not compressed.
	Layers   int       `json:"layers"`
	Size     int64     `json:"size"`
	Findings []Finding `json:"findings"`
}

// maxEntries bounds the files of an image: what is read may be a stranger's.
const maxEntries = 5_000_000

// noise is the size below which tests, weights and artefacts are not worth a word.
const noise = 256 << 10

var cures = map[Rule]string{
	Git:   "write .git into .dockerignore",
	Tests: "write the folder into .dockerignore",
	Weights: "put it into a box (unip files put FILE BOX:/PATH) and name it by modelBox and modelPath, " +
		"or for a pipeline by a variable's mountFrom",
	Artefacts: "write it into .dockerignore, or remove it in the RUN that makes it",
	Base: "build on a -slim image (python:3.11-slim); what has to be compiled, in a stage of its own " +
		"(FROM … AS build, COPY --from=build)",
}

// Look reads all layers of an image. What a later layer removes is found, too: it is still pulled to
// each node.
func Look(img v1.Image) (Report, error) {
	layers, err := img.Layers()
	if err != nil {
		return Report{}, err
	}
	r := Report{Layers: len(layers), Findings: []Finding{}}
	sizes := map[Finding]int64{} // by rule and path
	entries, python := 0, newModules()
	for i, layer := range layers {
		if err := readLayer(layer, func(name string, size int64) error {
			if entries++; entries > maxEntries {
				return fmt.Errorf("it has more than %d files", maxEntries)
			}
			r.Size += size
			python.file(name, size)
			if rule, at := judge(name, size); rule != "" {
				sizes[Finding{Rule: rule, Path: at}] += size
			}
			return nil
		}); err != nil {
			return r, fmt.Errorf("layer %d: %w", i+1, err)
		}
	}
	for f, size := range sizes {
		if size < noise && f.Rule != Git {
			continue
		}
		f.Size, f.Cure = size, cures[f.Rule]
		r.Findings = append(r.Findings, f)
	}
	r.Findings = append(r.Findings, python.findings()...)
	slices.SortFunc(r.Findings, func(a, b Finding) int {
		return cmp.Or(cmp.Compare(b.Size, a.Size), cmp.Compare(a.Path, b.Path))
	})
	return r, nil
}

// readLayer tells each file of a layer by its absolute path.
func readLayer(layer v1.Layer, file func(name string, size int64) error) (err error) {
	content, err := layer.Uncompressed()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, content.Close()) }()
	for files := tar.NewReader(content); ; {
		h, err := files.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := file(path.Clean("/"+h.Name), h.Size); err != nil {
			return err
		}
	}
}

// Folders by their names. What a package manager has installed is as it is: it is not looked into.
var (
	installed = []string{"site-packages", "dist-packages"}
	system    = []string{"/usr", "/lib", "/lib64", "/bin", "/sbin", "/etc", "/var", "/opt/conda"}
	tests     = []string{"test", "tests", "testdata", "test_data", "test-data", "fixtures"}
	artefacts = []string{"build", "dist", "node_modules", ".venv", "venv", ".tox", ".eggs", ".cache", ".pytest_cache",
		".mypy_cache", ".ruff_cache", ".ipynb_checkpoints", ".mldev"}
	// caches of package managers, which their images have cleared
	caches = []string{"/var/lib/apt/lists", "/var/cache/apt/archives", "/root/.cache"}
	// in a .cache, of libraries that download models
	hubs = []string{"huggingface", "torch", "keras", "whisper", "clip"}
	// only builds need them
	compilers = []string{"/usr/lib/gcc", "/usr/lib/llvm", "/usr/libexec/gcc"}
	// extensions of models' weights in the libraries that people use
	weights = []string{".pt", ".pth", ".ckpt", ".safetensors", ".onnx", ".h5", ".hdf5", ".keras", ".pb", ".tflite",
		".pkl", ".pickle", ".joblib", ".bin", ".gguf", ".pdparams", ".mar", ".cbm", ".xgb"}
	compiler = []string{"cc1", "cc1plus", "f951", "clang"}
)

// IsWeights reports a file that by its name is a model's weights.
func IsWeights(file string) bool { return slices.Contains(weights, strings.ToLower(path.Ext(file))) }

// judge says which rule a file breaks, and at which path that is told: a folder stands for all of
// its files.
func judge(file string, size int64) (rule Rule, at string) {
	parts := strings.Split(file[1:], "/")
	for i, part := range parts[:len(parts)-1] {
		folder := "/" + path.Join(parts[:i+1]...)
		switch {
		case slices.Contains(installed, part):
			return "", ""
		case part == ".git":
			return Git, folder
		case part == ".cache" && slices.Contains(hubs, parts[i+1]):
			return Weights, folder + "/" + parts[i+1]
		case slices.Contains(caches, folder):
			return Artefacts, folder
		case slices.Contains(compilers, folder) && slices.Contains(compiler, path.Base(file)):
			return Base, file
		}
	}
	if slices.ContainsFunc(system, func(dir string) bool { return strings.HasPrefix(file, dir+"/") }) {
		return "", ""
	}
	for i, part := range parts[:len(parts)-1] {
		folder := "/" + path.Join(parts[:i+1]...)
		switch {
		case slices.Contains(tests, part):
			return Tests, folder
		case slices.Contains(artefacts, part) || strings.HasSuffix(part, ".egg-info"):
			return Artefacts, folder
		}
	}
	switch ext := strings.ToLower(path.Ext(file)); {
	case IsWeights(file) && size >= noise:
		return Weights, file
	case ext == ".whl" || ext == ".o" || ext == ".a":
		return Artefacts, file
	}
	return "", ""
}
