package command

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/translate/schema"
)

func schemaCommand() *cobra.Command {
	var dir string
	c := &cobra.Command{
		Use:   "schema [KIND]",
		Short: "Write the JSON Schema of the manifests, for editors and other tools",
		Long: `Schema writes the JSON Schema (2020-12) of one kind, or of all kinds together, to standard output;
with --dir, a file for each kind and one for all, named as kubeconform looks for them. A schema
knows shapes; what goes beyond (references, circles, quantities) says unip validate.`,
		Example: `  unip schema > unip.json      # in a manifest's first line: # yaml-language-server: $schema=unip.json
  unip schema --dir schemas/
  kubeconform -schema-location default \
    -schema-location 'schemas/{{.ResourceKind}}_{{.ResourceAPIVersion}}.json' manifests/`,
		ValidArgs: schema.Kinds(),
		Args: func(_ *cobra.Command, args []string) error {
			if len(args) > 1 {
				return exit.Errorf(exit.UsageWrong, "unexpected argument %q: one kind, or none for all", args[1])
			}
			if len(args) == 1 && schema.Of(args[0]) == nil {
				return exit.Errorf(exit.UsageWrong, "unknown kind %q; the kinds are %s", args[0],
					strings.Join(schema.Kinds(), ", "))
			}
			return nil
		},
		RunE: func(c *cobra.Command, args []string) error {
			if dir != "" {
				return writeSchemas(dir)
			}
			if len(args) == 1 {
				return output.WriteJSON(c.OutOrStdout(), schema.Of(args[0]))
			}
			return output.WriteJSON(c.OutOrStdout(), schema.All())
		},
	}
	c.Flags().StringVar(&dir, "dir", "", "write files into this folder")
	cobra.CheckErr(c.MarkFlagDirname("dir"))
	return c
}

// writeSchemas writes a file for each kind, and one for all.
func writeSchemas(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { // nothing secret
		return err
	}
	write := func(name string, s map[string]any) error {
		b, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return err
		}
		return os.WriteFile(filepath.Join(dir, name), append(b, '\n'), 0o644) // nothing secret
	}
	for _, k := range schema.Kinds() {
		if err := write(strings.ToLower(k)+"_v1.json", schema.Of(k)); err != nil {
			return err
		}
	}
	return write("all.json", schema.All())
}
