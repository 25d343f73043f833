package command

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/translate/graph"
)

func graphCommand(build release.Build) *cobra.Command {
	t := option.Translation{Build: build}
	var format option.Format
	c := &cobra.Command{
		Use:   "graph -f FILE|FOLDER|-",
		Short: "Draw a module: APIs, components, boxes, and pipelines with their stages",
		Long: `Graph reads the manifests of one module and draws what calls, starts, reads and writes what: in
Mermaid's language, which GitHub and GitLab show in a Markdown file, or in Graphviz'. There is no
drawing of manifests with errors.`,
		Example: `  unip graph -f manifests/
  unip graph -f manifests/ -o dot | dot -Tsvg > module.svg`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := format.Check(); err != nil {
				return err
			}
			m, err := t.Decide(c)
			if err != nil {
				return err
			}
			g := graph.Of(m)
			text := g.Mermaid
			if format.Is("dot") {
				text = g.DOT
			}
			_, err = fmt.Fprint(c.OutOrStdout(), printable.Text(text()))
			return err
		},
	}
	t.AddFlags(c)
	format.AddTo(c, c.Flags(), "mermaid or dot", "mermaid", "dot")
	return c
}
