package settings

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/translate/installation"
)

func write(t *testing.T, file, text string) {
	t.Helper()
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestNothingThereIsTheDefaultsAndSaysWhatIsMissing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s, err := Open(filepath.Join(dir, "unip.yaml"), dir)
	if err != nil {
		t.Fatal(err)
	}
	want, err := installation.Parse(nil)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, s.Current().Config); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if err := s.Current().KeysErr; err == nil || !strings.Contains(err.Error(), "Secret unip-s3") {
		t.Errorf("error of the keys: %v", err)
	}
	if got := s.Current().SessionLife(); got != time.Hour {
		t.Errorf("session life %v", got)
	}
}

func TestAChangeIsSeenOnce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "unip.yaml")
	s, err := Open(config, dir)
	if err != nil {
		t.Fatal(err)
	}
	if s.reload() {
		t.Error("nothing changed, and a change was seen")
	}
	write(t, filepath.Join(dir, accessKeyFile), "admin\n")
	if s.reload() {
		t.Error("half of the keys is no change")
	}
	write(t, filepath.Join(dir, secretKeyFile), "secret")
	if !s.reload() || s.reload() {
		t.Error("new keys must be one change")
	}
	if d := cmp.Diff(s3.Keys{AccessKeyID: "admin", SecretAccessKey: "secret"}, s.Current().Keys); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
	if got := fmt.Sprintf("%v %+v %#v", s.Current().Keys, s.Current().Keys, s.Current().Keys); strings.Contains(got,
		"secret") {
		t.Errorf("the secret is printed: %s", got)
	}
	write(t, config, "s3: {sessionSeconds: 900}")
	if !s.reload() || s.Current().SessionLife() != 15*time.Minute {
		t.Errorf("session life %v", s.Current().SessionLife())
	}
}

func TestAWrongConfigLeavesTheOneBeforeInForce(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	config := filepath.Join(dir, "unip.yaml")
	write(t, config, "s3: {sessionSeconds: 1800, sessionHours: 12}") // the second is an earlier release's
	s, err := Open(config, dir)
	if err != nil {
		t.Fatal(err)
	}
	write(t, config, "s3: {sessionSecond: 900}")
	if s.reload() || s.Current().SessionLife() != 30*time.Minute {
		t.Errorf("config %+v", s.Current().Config)
	}
	if _, err := Open(config, dir); err == nil {
		t.Error("a wrong config at the start is no error")
	}
}
