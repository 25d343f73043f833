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

// Any character stands for a colon in a path, and for nothing else.
func TestWithoutColons(t *testing.T) {
	t.Parallel()
	const path, said = "users/ann/file_groups/12:30/a: b.csv", "users/ann/file_groups/12?30/a? b.csv"
	p, err := databox.Policy(databox.Grant{Bucket: "b", Access: databox.Read, Keys: []string{path, "plain"}})
	if err != nil {
		t.Fatal(err)
	}
	got, err := databox.WithoutColons(p)
	if d := cmp.Diff(strings.ReplaceAll(p, path, said), got); err != nil || d != "" || strings.Contains(got, path) {
		t.Errorf("%v (-want +got):\n%s", err, d)
	}
	if p, err := databox.WithoutColons("{"); err == nil {
		t.Errorf("half a policy becomes %q", p)
	}
}
