package reference_test

import (
	"flag"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/command"
	"github.com/unip-knative/unip/cmd/unip/internal/reference"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
)

var update = flag.Bool("update", false, "write docs/cli.md")

const page = "../../../../docs/cli.md"

// The page in docs says what the commands say.
func TestReference(t *testing.T) {
	for _, name := range []string{"UNIP_URL", "UNIP_USER", "UNIP_HOST"} {
		t.Setenv(name, "") // they are defaults of flags
	}
	want := string(reference.Markdown(command.New(release.Build{})))
	if *update {
		if err := os.WriteFile(page, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, string(got)); diff != "" {
		t.Errorf("docs/cli.md is stale; run go generate ./cmd/unip (-commands +page):\n%s", diff)
	}
}

// Every example that calls unip names a command that is there, with flags that it has.
func TestExamplesAreRight(t *testing.T) {
	t.Parallel()
	var check func(*cobra.Command)
	check = func(c *cobra.Command) {
		for _, call := range calls(c.Example) {
			found, rest, err := command.New(release.Build{}).Find(call) // a new one: flags keep what they were given
			if err != nil {
				t.Errorf("%s: unip %s: %v", c.CommandPath(), strings.Join(call, " "), err)
				continue
			}
			if err := found.ParseFlags(rest); err != nil {
				t.Errorf("%s: unip %s: %v", c.CommandPath(), strings.Join(call, " "), err)
			} else if err := found.ValidateArgs(found.Flags().Args()); err != nil {
				t.Errorf("%s: unip %s: %v", c.CommandPath(), strings.Join(call, " "), err)
			}
		}
		for _, sub := range c.Commands() {
			check(sub)
		}
	}
	check(command.New(release.Build{}))
}

// calls are the words after unip in each call of an example.
func calls(example string) [][]string {
	var all [][]string
	for _, line := range strings.Split(example, "\n") {
		var call []string
		within := false
		for _, word := range shellWords(line) {
			switch {
			case word == "unip" && !within:
				within, call = true, nil
			case within && strings.Contains(")|&;>", word): //nolint:gocritic // any of these words
				all, within = append(all, call), false
			case within:
				call = append(call, word)
			}
		}
		if within {
			all = append(all, call)
		}
	}
	return all
}

// shellWords splits a line as a shell does, as far as the examples need it; what stands within $( )
// and <( ) are words of the line.
func shellWords(line string) []string {
	line, _, _ = strings.Cut(line, " #")
	var all []string
	word, quoted := "", false
	flush := func() {
		if word != "" {
			all = append(all, word)
		}
		word = ""
	}
	for _, r := range line {
		switch {
		case r == '\'':
			quoted = !quoted
		case quoted:
			word += string(r)
		case r == '"': // around what is one word, or around $( )
		case r == ' ':
			flush()
		case strings.ContainsRune("()|&;>", r):
			flush()
			all = append(all, string(r))
		default:
			word += string(r)
		}
	}
	flush()
	return all
}
