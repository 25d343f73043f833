package translate

import (
	"testing"

	"github.com/unip-knative/unip/eventing/databox"
)

// What the translator takes for a place, the controller takes, too.
func TestPlacesAreTheControllers(t *testing.T) {
	t.Parallel()
	for _, s := range []string{"", "a", "a/", "a/b", "a/b/", "a:/", "a:/b/", ":/b", "/b", "a/../b", "a//b", "a/b\x00", "a/./", "a:/users/x/", "Бокс/а б/", "a/\ufffd"} {
		here, err := parsePlace(s)
		there, other := databox.ParsePlace(s)
		if (err == nil) != (other == nil) {
			t.Errorf("%q: %v here, %v there", s, err, other)
		}
		if err == nil && (here.box != there.Box || here.developer != there.Developer || here.path != there.Path || here.folder() != there.Folder()) {
			t.Errorf("%q: %+v here, %+v there", s, here, there)
		}
	}
}
