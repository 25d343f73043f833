package command

import (
	"os"
	"strings"
	"testing"
)

// What `unip version` says of Knative is what go.mod selects.
func TestKnativeVersionIsThatOfGoMod(t *testing.T) {
	t.Parallel()
	mod, err := os.ReadFile("../../../../go.mod")
	if err != nil {
		t.Fatal(err)
	}
	if want := "knative.dev/serving " + knativeVersion + "\n"; !strings.Contains(string(mod), want) {
		t.Errorf("go.mod does not require %q", want)
	}
}
