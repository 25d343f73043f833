// Package reference writes the reference of the command line, docs/cli.md, from the commands
// themselves.
package reference

import (
	"bytes"
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"github.com/unip-knative/unip/cmd/internal/exit"
)

// lineLength is where text wraps, in characters.
const lineLength = 120

const begin = `# The command line

This page is written from the commands, by ` + "`go generate ./cmd/unip`" + `; a test fails when it is stale.
` + "`unip COMMAND --help`" + ` says the same.

`

const environment = `
## Environment

| variable | in place of |
|---|---|
| ` + "`UNIP_URL`, `UNIP_USER`, `UNIP_HOST`" + ` | ` + "`--url`, `--user`, `--host`" + ` |
| ` + "`UNIP_PASSWORD`" + ` | ` + "`--password-file`" + `; on a command line everybody on the machine could read it |
| ` + "`UNIP_TOKEN`" + ` | ` + "`--token-file`" + `; it wins over user and password of the environment |
| ` + "`KUBECONFIG`" + ` | ` + "`--kubeconfig`, as for kubectl" + ` |

Flags win over the environment.

## Other systems

The tests run on Linux. For macOS and Windows unip builds, and unip-dev, which ` + "`unip dev`" + ` starts, for macOS.
On Windows ` + "`unip serve` and `unip dev`" + ` only say that they cannot be: a function's worker processes need Unix.
`

// Markdown is the reference of a command line.
func Markdown(root *cobra.Command) []byte {
	b := bytes.NewBufferString(begin)
	for _, g := range root.Groups() {
		fmt.Fprintf(b, "**%s** %s\n\n", g.Title, strings.Join(links(root, g.ID), ", "))
	}
	writeExitCodes(b)
	b.WriteString(environment)
	for _, g := range root.Groups() {
		fmt.Fprintf(b, "\n## %s\n", strings.TrimSuffix(g.Title, ":"))
		for _, c := range members(root, g.ID) {
			writeCommand(b, c, "###")
		}
	}
	return b.Bytes()
}

// members are the commands of a group, in the order of their names.
func members(root *cobra.Command, group string) []*cobra.Command {
	var all []*cobra.Command
	for _, c := range root.Commands() {
		if c.GroupID == group && c.IsAvailableCommand() {
			all = append(all, c)
		}
	}
	return all
}

func links(root *cobra.Command, group string) []string {
	var all []string
	for _, c := range members(root, group) {
		all = append(all, fmt.Sprintf("[%s](#%s)", c.Name(), strings.ReplaceAll(c.CommandPath(), " ", "-")))
	}
	return all
}

func writeExitCodes(b *bytes.Buffer) {
	b.WriteString("## Exit codes\n\nThe same in every command.\n\n| code | when |\n|---|---|\n")
	for _, r := range exit.Reasons() {
		fmt.Fprintf(b, "| %d | %s |\n", r.Code(), r)
	}
}

func writeCommand(b *bytes.Buffer, c *cobra.Command, heading string) {
	fmt.Fprintf(b, "\n%s %s\n\n", heading, c.CommandPath())
	if long := strings.TrimSpace(c.Long); long != "" && c.Name() != "completion" && c.Parent().Name() != "completion" {
		writeProse(b, long)
	} else {
		fmt.Fprintf(b, "%s.\n", c.Short)
	}
	usage := strings.TrimSuffix(c.UseLine(), " [flags]")
	if c.HasAvailableFlags() {
		usage += " [flags]"
	}
	fmt.Fprintf(b, "\n```\n%s\n```\n", usage)
	if len(c.Aliases) > 0 {
		fmt.Fprintf(b, "\nAlso called: `%s`.\n", strings.Join(c.Aliases, "`, `"))
	}
	if c.Example != "" {
		fmt.Fprintf(b, "\n```sh\n%s\n```\n", unindent(c.Example))
	}
	writeFlags(b, c)
	for _, sub := range c.Commands() {
		if sub.IsAvailableCommand() {
			writeCommand(b, sub, heading+"#")
		}
	}
}

// writeProse writes paragraphs wrapped; what is indented in them stays as it is, as code.
func writeProse(b *bytes.Buffer, long string) {
	for i, paragraph := range strings.Split(long, "\n\n") {
		if i > 0 {
			b.WriteByte('\n')
		}
		if strings.HasPrefix(paragraph, "  ") {
			fmt.Fprintf(b, "```\n%s\n```\n", unindent(paragraph))
			continue
		}
		length := 0
		for _, word := range strings.Fields(escaped(paragraph)) {
			switch n := len([]rune(word)); {
			case length == 0:
				length = n
			case length+1+n > lineLength:
				b.WriteByte('\n')
				length = n
			default:
				b.WriteByte(' ')
				length += 1 + n
			}
			b.WriteString(word)
		}
		b.WriteByte('\n')
	}
}

// writeFlags writes the flags that a command has itself, and names the command that has the others.
func writeFlags(b *bytes.Buffer, c *cobra.Command) {
	if flags := c.LocalFlags(); flags.HasAvailableFlags() {
		b.WriteString("\n| flag | default | |\n|---|---|---|\n")
		flags.VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" {
				fmt.Fprintf(b, "| %s | %s | %s |\n", spelling(f), defaultOf(f), escaped(f.Usage))
			}
		})
	}
	if c.InheritedFlags().HasAvailableFlags() {
		fmt.Fprintf(b, "\nAnd the flags of `%s`.\n", c.Parent().CommandPath())
	}
}

func spelling(f *pflag.Flag) string {
	s := "--" + f.Name
	if f.Shorthand != "" {
		s = "-" + f.Shorthand + ", " + s
	}
	if kind, _ := pflag.UnquoteUsage(f); kind != "" {
		s += " " + kind
	}
	return "`" + s + "`"
}

func defaultOf(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "[]", "false", "0":
		return ""
	}
	return "`" + f.DefValue + "`"
}

// escaped is text in which Markdown sees no marks of its own.
func escaped(s string) string {
	return strings.NewReplacer("<", "\\<", "|", "\\|", "*", "\\*", "_", "\\_", `\x`, `\\x`).Replace(s)
}

// unindent takes off the indentation of the first line from all lines.
func unindent(s string) string {
	indent := s[:len(s)-len(strings.TrimLeft(s, " "))]
	lines := strings.Split(strings.TrimRight(s, "\n"), "\n")
	for i := range lines {
		lines[i] = strings.TrimRight(strings.TrimPrefix(lines[i], indent), " ")
	}
	return strings.Join(lines, "\n")
}
