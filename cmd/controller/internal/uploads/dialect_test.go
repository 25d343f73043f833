package uploads

import (
	"strings"
	"testing"
	"time"

	"github.com/unip-knative/unip/eventing/notification"
)

// What lies in the inbox is read as the server wrote it that sent it, or would stay there for ever.
func TestKeysOfEntries(t *testing.T) {
	t.Parallel()
	for key, want := range map[string][2]string{
		"spool/20260301T120000.000000000-ABC_unip-b.minio.json": {"minio", "unip-b"},
		"spool/20260301T120000.000000000-ABC.unip-b.minio.json": {"minio", ""}, // of some days
		"spool/20260301T120000.000000000-ABC.minio.json":        {"minio", ""}, // from before
		"spool/20260301T120000.000000000-ABC.other.json":        {"other", ""},
		"spool/20260301T120000.000000000-ABC.json":              {"minio", ""},
		"spool/x": {"minio", ""},
		newKey("spool/", time.Now(), []notification.Record{{Bucket: "unip-b"}}, "minio"): {"minio", "unip-b"},
		newKey("spool/", time.Now(), []notification.Record{{Bucket: "a.b"}}, "minio"):    {"minio", ""},
		newKey("rejected/", time.Now(), nil, "minio"):                                    {"minio", ""},
	} {
		if _, former, _ := strings.Cut(nameOf(key), "."); strings.Contains(key, "_") && former != want[0] {
			t.Errorf("%s: a release that knows of no bucket reads the dialect %q", key, former)
		}
		if got := [2]string{dialectOf(key), bucketOf(key)}; got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
