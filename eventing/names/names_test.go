package names_test

import (
	"math/rand/v2"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/names"
)

func TestShorten(t *testing.T) {
	t.Parallel()
	long := strings.Repeat("a", 70)
	for name, c := range map[string]struct {
		parts []string
		want  string // a prefix, when the result is shortened
	}{
		"short stays":       {[]string{"auth", "users"}, "auth-users"},
		"as long as may be": {[]string{strings.Repeat("a", 63)}, strings.Repeat("a", 63)},
		"too long is cut":   {[]string{long}, strings.Repeat("a", 52) + "-"},
		"no dash at a cut":  {[]string{strings.Repeat("a", 50) + "----" + long}, strings.Repeat("a", 50) + "-"},
	} {
		got := names.Shorten(names.MaxLabel, c.parts...)
		if !strings.HasPrefix(got, c.want) || len(got) > names.MaxLabel || validation.IsDNS1123Label(got) != nil {
			t.Errorf("%s: %q, want a label that begins with %q", name, got, c.want)
		}
	}
}

// Different parts never share a hash, wherever the border between them lies, and so never a
// shortened name.
func TestNamesAreInjective(t *testing.T) {
	t.Parallel()
	if names.Hash("a", "bc") == names.Hash("ab", "c") || names.Hash("a") == names.Hash("a", "") {
		t.Error("the hash does not tell where a part ends")
	}
	r := rand.New(rand.NewPCG(1, 2))
	seen := map[string]string{}
	prefix := strings.Repeat("x", 60)
	for range 20_000 {
		parts := []string{prefix + word(r), word(r)}
		key := strings.Join(parts, "\x00")
		got := names.Shorten(names.MaxLabel, parts...)
		if before, ok := seen[got]; ok && before != key {
			t.Fatalf("%q and %q share the name %s", before, key, got)
		}
		seen[got] = key
	}
}

func word(r *rand.Rand) string {
	b := make([]byte, 1+r.IntN(6))
	for i := range b {
		b[i] = "ab-"[r.IntN(3)]
	}
	return strings.Trim(string(b), "-") + "z"
}

// No name that a manifest's object can have is that of a box's credentials.
func TestCredentialsAreNoLabel(t *testing.T) {
	t.Parallel()
	links, model := names.SessionSecret("weights", "put-links", ""),
		names.SessionSecret("weights", "model", "m/v.joblib")
	if links != "weights.databox.put-links" || model != "weights.databox.model-"+names.Hash("m/v.joblib") {
		t.Errorf("%s, %s", links, model)
	}
	for _, s := range []string{links, model} {
		if validation.IsDNS1123Label(s) == nil || validation.IsDNS1123Subdomain(s) != nil {
			t.Errorf("%s must be the name of a Secret but not of a box", s)
		}
	}
}
