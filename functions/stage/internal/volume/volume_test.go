package volume_test

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"

	"github.com/unip-knative/unip/functions/stage/internal/storage"
	"github.com/unip-knative/unip/functions/stage/internal/volume"
)

func TestTheMountPointIsAFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	for name, put := range map[string]func(string) error{
		"pipe": func(p string) error { return syscall.Mkfifo(p, 0o666) },
		"link": func(p string) error { return os.Symlink(dir, p) },
		"file": func(p string) error { return os.WriteFile(p, nil, 0o600) },
	} {
		at := filepath.Join(dir, name)
		if err := put(at); err != nil {
			t.Fatal(err)
		}
		if _, err := volume.Open(at); err == nil || storage.Retry(err) {
			t.Errorf("%s: %v", name, err)
		}
	}
}

// A folder that fetch makes can be written by any user, whatever the umask.
func TestMake(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	v, err := volume.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer v.Close()
	for range 2 { // the second finds it
		folder, err := v.Make("out", 0o777)
		if err != nil {
			t.Fatal(err)
		}
		f, err := volume.Create(folder, "f")
		if err != nil {
			t.Fatal(err)
		}
		f.Close()
		folder.Close()
	}
	if i, err := os.Stat(filepath.Join(dir, "out")); err != nil || i.Mode().Perm() != 0o777 {
		t.Errorf("%v %v", i, err)
	}
}
