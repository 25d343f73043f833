package main

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// imageSpec is what `cluster image` is asked for.
type imageSpec struct {
	Tag           string
	Packages, Add []string
	Workdir, User string
}

// buildImage makes an image of Debian's packages and some files, without a container engine: the
// packages are unpacked (no script of theirs runs), Python's are compiled, and the result is a
// layer. The packages' layer is kept, by the list of packages with their versions; the same input
// gives the same bytes.
func (i instance) buildImage(ctx context.Context, spec imageSpec) error {
	if i.foreign() != "" {
		fmt.Fprintf(os.Stderr, "skipping image %s: the cluster of KUBECONFIG brings its own images\n", spec.Tag)
		return nil
	}
	if len(spec.Packages) == 0 {
		return errors.New("--debian names no package")
	}
	if !i.running() {
		return fmt.Errorf("cluster %d does not run; `cluster up` starts it", i.ID)
	}
	s := newSteps()
	var packages, added v1.Layer
	err := s.do("packages of "+spec.Tag, func() (err error) {
		packages, err = packagesLayer(ctx, spec.Packages)
		return err
	})
	if err != nil {
		return err
	}
	if added, err = addedLayer(spec.Add); err != nil {
		return err
	}
	img, err := image(v1.Config{
		User: spec.User, WorkingDir: spec.Workdir,
		Env: []string{"PATH=/usr/local/bin:/usr/bin:/bin", "LANG=C.UTF-8", "PYTHONDONTWRITEBYTECODE=1",
			"PYTHONUNBUFFERED=1"},
	}, packages, added)
	if err != nil {
		return err
	}
	return s.do("pushing "+spec.Tag, func() error {
		digest, err := i.push(ctx, spec.Tag, img)
		if err == nil {
			fmt.Println(strings.TrimSuffix(spec.Tag, ":"+tagOf(spec.Tag)) + "@" + digest)
		}
		return err
	})
}

func tagOf(image string) string { return image[strings.LastIndex(image, ":")+1:] }

// packagesLayer unpacks packages and all that they depend on.
func packagesLayer(ctx context.Context, packages []string) (v1.Layer, error) {
	debs, err := downloadDebs(ctx, packages)
	if err != nil {
		return nil, err
	}
	h := sha256.New()
	fmt.Fprintln(h, "layout 4")
	for _, d := range debs {
		fmt.Fprintln(h, filepath.Base(d))
	}
	file := filepath.Join(cacheDir(), "layers", hex.EncodeToString(h.Sum(nil))[:16]+".tar.gz")
	if !exists(file) {
		if err := makeLayer(ctx, debs, file); err != nil {
			return nil, err
		}
	}
	return tarball.LayerFromFile(file)
}

// downloadDebs brings the packages into the cache as if nothing were installed, and returns the
// files wanted: compilers, headers and Perl, which Python's packages name among what they depend
// on, are left out.
func downloadDebs(ctx context.Context, packages []string) ([]string, error) {
	sum := sha256.Sum256([]byte(strings.Join(packages, " ")))
	dir := filepath.Join(cacheDir(), "debs", hex.EncodeToString(sum[:])[:16])
	if err := os.MkdirAll(filepath.Join(dir, "partial"), 0o755); err != nil {
		return nil, err
	}
	if found, _ := filepath.Glob(dir + "/*.deb"); len(found) == 0 || !exists(dir+"/complete") {
		if err := logged(exec.CommandContext(ctx, "apt-get", "update", "-q"), "apt-update"); err != nil {
			return nil, err
		}
		args := []string{
			"-o", "Dir::State::status=/dev/null", "-o", "Dir::Cache::archives=" + dir, "-o", "Debug::NoLocking=true",
			"-o", "APT::Sandbox::User=root",
			"install", "-y", "-q", "--no-install-recommends", "--download-only",
		}
		if err := logged(exec.CommandContext(ctx, "apt-get", append(args, packages...)...),
			"apt-download"); err != nil {
			return nil, err
		}
		if err := os.WriteFile(dir+"/complete", nil, 0o644); err != nil {
			return nil, err
		}
	}
	all, err := filepath.Glob(dir + "/*.deb")
	if err != nil {
		return nil, err
	}
	var wanted []string
	for _, d := range all {
		section, err := exec.CommandContext(ctx, "dpkg-deb", "-f", d, "Section").Output()
		if err != nil {
			return nil, fmt.Errorf("reading %s: %w", d, err)
		}
		unneeded := slices.Contains([]string{"devel", "libdevel", "perl", "doc"}, strings.TrimSpace(string(section)))
		// Debian has the compilers' preprocessor among interpreters.
		if !unneeded && !strings.HasPrefix(filepath.Base(d), "cpp") {
			wanted = append(wanted, d)
		}
	}
	return wanted, nil
}

// dropped is what an image does not need of a package; tests of Python's packages alone are a third
// of them.
var dropped = []string{
	"usr/share/doc", "usr/share/man", "usr/share/locale", "usr/share/info", "usr/share/lintian", "usr/share/bug",
	"usr/share/perl*",
	"usr/include", "usr/lib/python3/dist-packages/*/tests", "usr/lib/python3/dist-packages/*/*/tests",
	"usr/lib/python3/dist-packages/*/*/*/tests",
	"usr/lib/x86_64-linux-gnu/*.a",
}

// alternatives are links that update-alternatives would make; the first target that exists wins.
var alternatives = map[string][]string{
	"usr/lib/x86_64-linux-gnu/libblas.so.3":     {"openblas-pthread/libblas.so.3", "blas/libblas.so.3"},
	"usr/lib/x86_64-linux-gnu/liblapack.so.3":   {"openblas-pthread/liblapack.so.3", "lapack/liblapack.so.3"},
	"usr/lib/x86_64-linux-gnu/libopenblas.so.0": {"openblas-pthread/libopenblas.so.0"},
}

func makeLayer(ctx context.Context, debs []string, file string) error {
	root, err := os.MkdirTemp(filepath.Join(cacheDir(), "debs"), "root")
	if err != nil {
		return err
	}
	defer os.RemoveAll(root)
	// Debian's root is merged: /bin, /lib and the like are links into /usr. Made first, so that
	// packages unpack through them.
	for _, d := range []string{"bin", "sbin", "lib", "lib64"} {
		if err := errors.Join(os.MkdirAll(filepath.Join(root, "usr", d), 0o755),
			os.Symlink("usr/"+d, filepath.Join(root, d))); err != nil {
			return err
		}
	}
	for _, d := range debs {
		if strings.HasPrefix(filepath.Base(d), "base-files_") || strings.HasPrefix(filepath.Base(d), "usr-is-merged_") {
			continue // only folders, which unpack over the links
		}
		if err := unpack(ctx, d, root); err != nil {
			return err
		}
	}
	if err := finishRoot(ctx, root); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
		return err
	}
	tmp := file + ".part"
	if err := writeTar(tmp, map[string]string{"": root}); err != nil {
		return err
	}
	return os.Rename(tmp, file)
}

// unpack extracts a package; tar goes through the links of the merged root instead of replacing
// them.
func unpack(ctx context.Context, deb, root string) error {
	cmd := exec.CommandContext(ctx, "bash", "-o", "pipefail", "-c",
		`dpkg-deb --fsys-tarfile "$1" | tar -x -C "$2" --keep-directory-symlink --no-same-owner`, "bash", deb, root)
	return logged(cmd, "unpack")
}

func finishRoot(ctx context.Context, root string) error {
	for _, pattern := range dropped {
		found, _ := filepath.Glob(filepath.Join(root, pattern))
		for _, f := range found {
			if err := os.RemoveAll(f); err != nil {
				return err
			}
		}
	}
	for link, targets := range alternatives {
		for _, t := range targets {
			if exists(filepath.Join(root, filepath.Dir(link), t)) {
				if err := os.Symlink(t, filepath.Join(root, link)); err != nil {
					return err
				}
				break
			}
		}
	}
	for name, content := range map[string]string{
		"etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/tmp:/bin/sh\n",
		"etc/group":  "root:x:0:\nuser:x:1000:\n",
	} {
		if err := errors.Join(os.MkdirAll(filepath.Join(root, filepath.Dir(name)), 0o755),
			os.WriteFile(filepath.Join(root, name), []byte(content), 0o644)); err != nil {
			return err
		}
	}
	// Python's processes need dev/shm to wait for each other.
	for _, d := range []string{"tmp", "proc", "dev/shm", "sys", "root"} {
		if err := os.MkdirAll(filepath.Join(root, d), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(filepath.Join(root, "tmp"), 0o1777); err != nil {
		return err
	}
	return compilePython(ctx, root)
}

// compile compiles Python's files, with two processes, and looks whether all of them are there then.
// Those of other Pythons have a syntax that this one does not know. Any other one that is missing is
// an error, which lists them, unlike with "python3 -m compileall".
const compile = `import compileall, importlib.util, os, py_compile, sys
unchecked = py_compile.PycInvalidationMode.UNCHECKED_HASH
missing = []
for folder in sys.argv[1:]:
    compileall.compile_dir(folder, quiet=2, workers=2, invalidation_mode=unchecked)
    for at, _, names in os.walk(folder):
        for source in (os.path.join(at, name) for name in names if name.endswith(".py")):
            if not os.path.exists(source) or os.path.isfile(importlib.util.cache_from_source(source)):
                continue  # a link to nowhere, or compiled
            try:
                with open(source, "rb") as f:
                    compile(f.read(), source, "exec")
            except (SyntaxError, ValueError):
                continue  # of another Python
            missing.append(source)
if missing:
    sys.exit("no compiled file of %d modules: %s" % (len(missing), " ".join(sorted(missing))))`

// compilePython compiles once what every cold start would compile. The files' times are lost in the
// layer, so the compiled ones must not look at them.
func compilePython(ctx context.Context, root string) error {
	if !exists(filepath.Join(root, "usr/bin/python3")) {
		return nil
	}
	folders, err := filepath.Glob(filepath.Join(root, "usr/lib/python3*"))
	if err != nil {
		return err
	}
	args := []string{root, "/usr/bin/python3", "-c", compile}
	for _, f := range folders {
		args = append(args, "/usr/lib/"+filepath.Base(f))
	}
	return logged(exec.CommandContext(ctx, "chroot", args...), "compileall")
}

// addedLayer is SOURCE:TARGET pairs as a layer; sources are relative to the checkout.
func addedLayer(add []string) (v1.Layer, error) {
	trees := map[string]string{}
	for _, a := range add {
		source, target, ok := strings.Cut(a, ":")
		if !ok || !strings.HasPrefix(target, "/") {
			return nil, fmt.Errorf("--add %s is not SOURCE:TARGET with an absolute target", a)
		}
		trees[strings.Trim(target, "/")] = source
	}
	f, err := os.CreateTemp("", "unip-layer-*.tar.gz")
	if err != nil {
		return nil, err
	}
	f.Close()
	defer os.Remove(f.Name())
	if err := writeTar(f.Name(), trees); err != nil {
		return nil, err
	}
	b, err := os.ReadFile(f.Name())
	if err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(strings.NewReader(string(b))),
			nil
	})
}

// writeTar writes trees (by their place in the image) into a compressed tar: sorted, owned by root,
// without times.
func writeTar(file string, trees map[string]string) (err error) {
	f, err := os.Create(file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close()) }()
	z, err := gzip.NewWriterLevel(f, gzip.BestSpeed)
	if err != nil {
		return err
	}
	w := tar.NewWriter(z)
	targets := make([]string, 0, len(trees))
	for t := range trees {
		targets = append(targets, t)
	}
	slices.Sort(targets)
	for _, t := range targets {
		if err := tarTree(w, trees[t], t); err != nil {
			return err
		}
	}
	return errors.Join(w.Close(), z.Close())
}

func tarTree(w *tar.Writer, source, target string) error {
	return filepath.WalkDir(source, func(p string, d fs.DirEntry, err error) error { // in lexical order
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(source, p)
		if err != nil {
			return err
		}
		name := filepath.Join(target, rel)
		info, err := d.Info()
		switch {
		case err != nil:
			return err
		case name == ".":
			return nil
		case d.IsDir() && d.Name() == "__pycache__" && target != "":
			return fs.SkipDir // of this machine's Python
		case !d.IsDir() && !info.Mode().IsRegular() && info.Mode()&fs.ModeSymlink == 0:
			return nil
		}
		link := ""
		if info.Mode()&fs.ModeSymlink != 0 {
			if link, err = os.Readlink(p); err != nil {
				return err
			}
		}
		h, err := tar.FileInfoHeader(info, link)
		if err != nil {
			return err
		}
		clean := &tar.Header{Name: name, Mode: h.Mode, Typeflag: h.Typeflag, Linkname: link, Format: tar.FormatPAX}
		if d.IsDir() {
			clean.Name += "/"
		}
		if !info.Mode().IsRegular() {
			return w.WriteHeader(clean)
		}
		clean.Size = info.Size()
		if err := w.WriteHeader(clean); err != nil {
			return err
		}
		f, err := os.Open(p)
		if err != nil {
			return err
		}
		defer f.Close()
		_, err = io.Copy(w, f)
		return err
	})
}
