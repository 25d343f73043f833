package serve

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/translate/module"
)

// Nothing that others have written ends a line or steers a terminal, and as data a line is one value.
func TestLinesAreSafe(t *testing.T) {
	t.Parallel()
	h := Happening{Kind: "upload", Names: map[string]string{"file": "a\nb\x1b[2J"}, Text: "visitors/a\nb\x1b[2J"}
	var text, data bytes.Buffer
	(&printer{w: &text}).tell(h)
	if s := text.String(); strings.Count(s, "\n") != 1 || strings.Contains(s, "\x1b") {
		t.Errorf("%q", s)
	}
	(&printer{w: &data, json: true}).tell(h)
	var back Happening
	err := json.Unmarshal(data.Bytes(), &back)
	if err != nil || back.Text != h.Text || strings.Count(data.String(), "\n") != 1 {
		t.Errorf("%v: %q", err, data.String())
	}
}

// The gateway's record of a call is a line of its own; what is usual in a log is not told, what is
// wrong is.
func TestRecordsThatAreTold(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	log := (&printer{w: &b}).log(kindLog, nil)
	log.Info("S3 session opened", "bucket", "x")
	log.Info(msgCall, "api", "leaf-api", "method", "POST", "path", "/ns/leaf/predict", "status", 200, "user", "ann",
		"seconds", 0.25)
	log.Warn("the storage is slow", "error", "timeout")
	got := strings.Split(strings.TrimSpace(b.String()), "\n")
	want := []string{"call      POST /ns/leaf/predict 200 250ms ann", "log       the storage is slow error=timeout"}
	for i, w := range want {
		if len(got) != len(want) || !strings.HasSuffix(got[i], w) {
			t.Fatalf("%q, want %q", got, want)
		}
	}
}

// What one that was killed has left is removed; a link that somebody else has put there has nothing else
// removed.
func TestOldSockets(t *testing.T) {
	t.Parallel()
	p := place{state: t.TempDir()}
	if err := os.Mkdir(p.work(), 0o700); err != nil {
		t.Fatal(err)
	}
	mine, err := os.MkdirTemp("", socketsName+"*")
	if err != nil {
		t.Fatal(err)
	}
	theirs := filepath.Join(t.TempDir(), socketsName+"plans")
	if err := os.Mkdir(theirs, 0o700); err != nil {
		t.Fatal(err)
	}
	for folder, stays := range map[string]bool{mine: false, theirs: true} {
		if err := os.Symlink(folder, p.socketsLink()); err != nil {
			t.Fatal(err)
		}
		p.removeOld()
		if _, err := os.Stat(folder); (err == nil) != stays {
			t.Errorf("%s: %v", folder, err)
		}
		if err := os.Remove(p.socketsLink()); err != nil {
			t.Fatal(err)
		}
	}
}

// A component stays awake as in a cluster: for ever with min-scale, longer with scale-down-delay.
func TestHowLongAComponentStaysAwake(t *testing.T) {
	t.Parallel()
	for _, x := range []struct {
		scaling module.Scaling
		want    time.Duration
	}{
		{module.Scaling{}, time.Minute},
		{module.Scaling{Least: "0", Delay: "30s"}, 90 * time.Second},
		{module.Scaling{Least: "1"}, 0},
	} {
		if got, err := idleOf(x.scaling, time.Minute); err != nil || got != x.want {
			t.Errorf("%+v: %s, %v; want %s", x.scaling, got, err, x.want)
		}
	}
}
