package release_test

import (
	"bytes"
	"compress/gzip"
	"encoding/base64"
	"testing"

	"github.com/unip-knative/unip/cmd/unip/internal/release"
)

func TestYAMLIsThatOfTheRelease(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if _, err := z.Write([]byte("kind: Namespace\n")); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	packed := base64.StdEncoding.EncodeToString(b.Bytes())
	if got, err := (release.Build{Installation: packed}).YAML(); err != nil || string(got) != "kind: Namespace\n" {
		t.Errorf("%q, %v", got, err)
	}
	if got, err := (release.Build{}).YAML(); err != nil || got != nil {
		t.Errorf("a development build has %q, %v", got, err)
	}
	for _, broken := range []string{"no base64", "bm8gZ3ppcA==", packed[:len(packed)/2]} {
		if _, err := (release.Build{Installation: broken}).YAML(); err == nil {
			t.Errorf("%q is taken", broken)
		}
	}
}
