package uploads

import "testing"

// What lies in the spool is read as the server wrote it that sent it, or would stay there for ever.
func TestDialectOfASpoolObject(t *testing.T) {
	t.Parallel()
	for key, want := range map[string]string{
		"spool/20260301T120000.000000000-ABC.minio.json": "minio",
		"spool/20260301T120000.000000000-ABC.other.json": "other",
		"spool/20260301T120000.000000000-ABC.json":       "minio", // from before
		"spool/x": "minio",
	} {
		if got := dialectOf(key); got != want {
			t.Errorf("%s: %q, want %q", key, got, want)
		}
	}
}
