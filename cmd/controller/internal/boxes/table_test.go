package boxes

import (
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	gocmp "github.com/google/go-cmp/cmp"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/put"
)

var update = flag.Bool("update", false, "write the table of sessions into docs/security.md")

const (
	document   = "../../../../docs/security.md"
	begin, end = "<!-- sessions:begin -->\n", "<!-- sessions:end -->"
)

// holders say who has the session of a use in its files.
var holders = map[string]string{
	"files": "gateway", "put-links": "gateway, to sign links", "get-links": "gateway, to sign links",
	"calls": "`server` of a component with the box", "calls-read": "`server`, the box is readOnly",
	"model": "`server` of the component with the model",
	"mount": "`server` of a component that mounts it", "mount-write": "`server` of a component whose calls write there",
}

// The table of sessions in docs/security.md is made of the policies themselves.
func TestTableOfSessions(t *testing.T) {
	t.Parallel()
	table := "| box | use | held by | may, on what | life |\n|---|---|---|---|---|\n"
	dataset := platformv1.DataBoxSpec{DatasetReference: &platformv1.DatasetReference{}}
	for _, kind := range []struct {
		name     string
		spec     platformv1.DataBoxSpec
		sessions []platformv1.Session
	}{
		{"storage", platformv1.DataBoxSpec{}, []platformv1.Session{
			{Use: "files"}, {Use: "put-links"}, {Use: "get-links"}, {Use: "calls"}, {Use: "calls-read"},
			{Use: "model", Object: "KEY"}, {Use: "model", Object: "FOLDER/"},
			{Use: "mount", Object: "FOLDER/"}, {Use: "mount", Object: "/"},
			{Use: "mount-write", Object: "FOLDER/"}, {Use: "mount-write", Object: "/"},
		}},
		{"dataset", dataset, []platformv1.Session{{Use: "files"}, {Use: "get-links"}, {Use: "model", Object: "KEY"},
			{Use: "model", Object: "FOLDER/"}, {Use: "mount", Object: "/"}}},
	} {
		b := box("uid")
		b.Spec = kind.spec
		b.Spec.Sessions = kind.sessions
		all, err := issues(databox.UsualBuckets, b, Bucket{Name: "B"}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		for _, i := range all {
			life := fmt.Sprintf("%d min", int(i.life.Minutes()))
			table += fmt.Sprintf("| %s | %s | %s | %s | %s |\n", kind.name, i.use, holders[i.use], rights(t, i.policy),
				life)
		}
		if kind.name == "storage" {
			table += authorPut(t)
		}
	}
	text, err := os.ReadFile(document)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(text), begin)
	got, after, ok2 := strings.Cut(rest, end)
	if !ok || !ok2 {
		t.Fatalf("%s has no %s and %s", document, begin, end)
	}
	if *update {
		if err := os.WriteFile(document, []byte(before+begin+table+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if d := gocmp.Diff(table, got); d != "" {
		t.Errorf(
			"docs/security.md (-want +got; go test ./cmd/controller/internal/boxes -run TestTableOfSessions -update):\n%s", d)
	}
}

// authorPut is the row of the one session that is in no Secret.
func authorPut(t *testing.T) string {
	t.Helper()
	policy, err := databox.Policy(databox.Grant{Bucket: "B", Access: databox.AuthorPut, Keys: []string{"KEY"}})
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("| storage | %s | nobody: it signs one link of an author, sealed | %s | %d min |\n",
		databox.AuthorPut, rights(t, policy), int(put.Life.Minutes()))
}

// rights are a policy in words.
func rights(t *testing.T, policy string) string {
	t.Helper()
	var p struct {
		Statement []struct {
			Effect           string
			Action, Resource []string
			Condition        map[string]map[string]string
		}
	}
	if err := json.Unmarshal([]byte(policy), &p); err != nil {
		t.Fatal(err)
	}
	var all []string
	for _, s := range p.Statement {
		var verbs, resources []string
		for _, a := range s.Action {
			verbs = append(verbs, strings.TrimPrefix(a, "s3:"))
		}
		for _, r := range s.Resource {
			_, key, _ := strings.Cut(r, "/")
			resources = append(resources, "`"+cmp.Or(key, "the bucket")+"`")
		}
		words := strings.Join(verbs, ", ") + " " + strings.Join(resources, ", ")
		if s.Effect == "Deny" {
			words = "never " + words
		}
		if s.Condition["StringLike"] != nil {
			words += " (prefix `" + s.Condition["StringLike"]["s3:prefix"] + "`)"
		}
		if s.Condition["StringEquals"] != nil {
			words += " (one folder at a time)"
		}
		if s.Condition["Null"] != nil {
			words += " (no copy, no tags)"
		}
		all = append(all, words)
	}
	return strings.Join(all, "; ")
}
