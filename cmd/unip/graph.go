package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/translate/graph"
)

func graphCommand() *cobra.Command {
	var t translation
	var output string
	c := &cobra.Command{
		Use:   "graph -f FILE|FOLDER|-",
		Short: "Draw a module: APIs, components, boxes, and pipelines with their stages",
		Long: `Graph reads the manifests of one module and draws what calls, starts, reads and writes what: in Mermaid's language, which GitHub and GitLab show in a Markdown file, or in Graphviz'. There is no
drawing of manifests with errors.`,
		Example: `  unip graph -f manifests/
  unip graph -f manifests/ -o dot | dot -Tsvg > module.svg`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if output != "mermaid" && output != "dot" {
				return &usageError{fmt.Errorf("-o: %q is neither mermaid nor dot", output)}
			}
			m, err := t.decide(c)
			if err != nil {
				return err
			}
			g := graph.Of(m)
			text := g.Mermaid
			if output == "dot" {
				text = g.DOT
			}
			_, err = fmt.Fprint(c.OutOrStdout(), printable.Text(text()))
			return err
		},
	}
	t.flags(c)
	c.Flags().StringVarP(&output, "output", "o", "mermaid", "mermaid or dot")
	complete(c, "output", "mermaid", "dot")
	return c
}
