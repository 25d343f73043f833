//go:build integration

package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

const nobody = 65534

// Somebody without rights has a module in a folder that is not his: functions and stages find what lies at
// the paths of a container, and nothing is written beside the code.
func TestSomebodyWithoutRights(t *testing.T) {
	rootOnly(t)
	t.Parallel()
	w := newWorld(t, nobody)
	own := exec.CommandContext(t.Context(), "unshare", "--user", "--map-root-user", "--mount", "true")
	own.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: nobody, Gid: nobody}}
	if out, err := own.CombinedOutput(); err != nil {
		t.Fatalf("this machine gives nobody a namespace of mounts, which CI must: %v %s", err, out)
	}
	testPlaces(t, w, "by 65534")
	if all, err := os.ReadDir(w.code); err != nil || len(all) != len(leaves) {
		t.Errorf("something lies beside the code: %v %v", all, err)
	}
}

// Root has all of it as well.
func TestRoot(t *testing.T) {
	rootOnly(t)
	t.Parallel()
	testPlaces(t, newWorld(t, 0), "by 0")
}

func testPlaces(t *testing.T, w *world, who string) {
	t.Helper()
	w.start(nil, "--state", w.state)
	w.put("weights/tables/t.txt", "birch")
	w.put("visitors/users/ann/file_groups/incoming/words.csv", "oak")
	w.eventually("the run of the upload", func() bool { return w.has(` run +train .* (Succeeded|Failed)`) })
	var said string
	w.eventually("an answer", func() bool {
		var status int
		status, said = w.predict()
		return status == http.StatusOK
	})
	if said != "oak birch birch "+who {
		t.Errorf("%q", said)
	}
	if !w.has(` in place of the folder /srv/tables: a copy of .*/boxes/weights/tables`) || w.has("cannot be made here") {
		t.Error("what lies elsewhere is told in other words")
	}
}

// Where something cannot be written the start says what, and what helps.
func TestPlacesThatCannotBeWritten(t *testing.T) {
	rootOnly(t)
	t.Parallel()
	full := t.TempDir()
	mount(t, full, "size=64k,mode=1777")
	if err := fill(filepath.Join(full, "fill")); err != nil {
		t.Fatal(err)
	}
	for what, x := range map[string]struct {
		uid  uint32
		env  []string
		args []string
		want string
	}{
		"a folder of code that is read only": {nobody, nil, nil, "permission denied; --state names another one"},
		"a full folder for temporary files": {0, []string{"TMPDIR=" + full}, []string{"--state", "STATE"},
			"no space left on device; TMPDIR names another one"},
		"a folder with a long path": {0, []string{"TMPDIR=LONG"}, []string{"--state", "STATE"},
			"too long a path for a socket"},
	} {
		w := newWorld(t, x.uid)
		long := filepath.Join(w.dir, strings.Repeat("long", 20))
		w.must(os.Mkdir(long, 0o777))
		put := strings.NewReplacer("STATE", w.state, "LONG", long)
		for _, all := range [][]string{x.env, x.args} {
			for i := range all {
				all[i] = put.Replace(all[i])
			}
		}
		err := w.command(x.env, x.args...).Run()
		if err == nil || !strings.Contains(w.told(), x.want) {
			t.Errorf("%s: %v %q", what, err, w.told())
		}
	}
}

// On a full disk, and without room for temporary files, what cannot be done is refused with a reason, and
// what was there stays. All goes on when there is room.
func TestNoRoom(t *testing.T) {
	rootOnly(t)
	t.Parallel()
	w := newWorld(t, 0)
	disk, temporary := filepath.Join(w.dir, "own"), filepath.Join(w.dir, "tmp")
	w.must(os.Mkdir(temporary, 0o700))
	mount(t, disk, "size=16m")
	mount(t, temporary, "size=64k,nr_inodes=16")
	w.start([]string{"TMPDIR=" + temporary}, "--state", w.state, "--idle", "500ms")
	w.put("weights/tables/t.txt", "birch")
	if status := w.upload("visitors/incoming/first.csv", "oak"); status != http.StatusOK {
		t.Fatal(status)
	}
	answers := func() bool { status, _ := w.predict(); return status == http.StatusOK }
	w.eventually("an answer", answers)

	w.must(fill(filepath.Join(disk, "fill")))
	if status := w.upload("visitors/incoming/second.csv", strings.Repeat("elm", 1<<20)); status !=
		http.StatusInsufficientStorage {
		t.Errorf("an upload on a full disk: %d", status)
	}
	if !answers() {
		t.Error("on a full disk the function does not answer any more")
	}
	w.must(os.Remove(filepath.Join(disk, "fill")))

	w.eventually("the function sleeps", func() bool { return w.has(" leaf sleeps") })
	many := filepath.Join(temporary, "many")
	err := os.Mkdir(many, 0o700)
	for i := 0; err == nil; i++ { // as many as there may be
		err = os.WriteFile(filepath.Join(many, strconv.Itoa(i)), nil, 0o600)
	}
	if status, why := w.predict(); status != http.StatusServiceUnavailable || !strings.Contains(why, "no space left") {
		t.Errorf("a function that cannot start: %d %s", status, why)
	}
	w.must(os.RemoveAll(many))
	if status := w.upload("visitors/incoming/third.csv", "ash"); status != http.StatusOK {
		t.Error(status)
	}
	w.eventually("the newer model", func() bool {
		_, said := w.predict()
		return strings.HasPrefix(said, "ash ")
	})
}

// fill takes all space that is left.
func fill(name string) error {
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	for _, piece := range []int{64 << 10, 1} {
		for err == nil {
			_, err = f.Write(make([]byte, piece))
		}
		err = nil
	}
	return f.Close()
}
