package databox_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/databox"
)

// What a server does not know is taken out of a policy, and nothing else: a folder stays limited to its
// prefix, and users' files stay closed.
func TestWithoutDelimiter(t *testing.T) {
	t.Parallel()
	for name, g := range map[string]databox.Grant{
		"a folder":       {Bucket: "b", Access: databox.Mount, Prefix: "t/"},
		"a whole box":    {Bucket: "b", Access: databox.Mount},
		"links to write": {Bucket: "b", Access: databox.PutLinks},
	} {
		p, err := databox.Policy(g)
		if err != nil {
			t.Fatal(err)
		}
		want := strings.NewReplacer(`"StringEquals":{"s3:delimiter":"/"},`, "",
			`,"Condition":{"StringEquals":{"s3:delimiter":"/"}}`, "").Replace(p)
		got, err := databox.WithoutDelimiter(p)
		if d := cmp.Diff(want, got); err != nil || d != "" || strings.Contains(got, "delimiter") {
			t.Errorf("%s: %v (-want +got):\n%s", name, err, d)
		}
	}
	if p, err := databox.WithoutDelimiter("{"); err == nil {
		t.Errorf("half a policy becomes %q", p)
	}
}
