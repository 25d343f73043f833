package main

import (
	"bytes"
	_ "embed"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/functions/inference/worker"
	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/encode"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
	"github.com/unip-knative/unip/translate/resources"
)

// ko's references of unip's own images.
const (
	koInference = "ko://github.com/unip-knative/unip/functions/inference"
	koGateway   = "ko://github.com/unip-knative/unip/functions/gateway"
)

// translation is what translate and validate have in common.
type translation struct {
	input
	config, images       string
	noNamespace, lenient bool
	allowForeign         bool
}

func (t *translation) flags(c *cobra.Command) {
	t.input.flags(c)
	c.Flags().StringVar(&t.config, "config", "", "the installation's unip.yaml (default: that of the local cluster)")
	c.Flags().BoolVar(&t.lenient, "lenient", false, "unknown fields are warnings, not errors")
	c.Flags().BoolVar(&t.allowForeign, "allow-foreign", false,
		"carry objects of other groups wherever they go: into other namespaces, and rights and other things of the whole cluster")
}

// run reads and translates. Findings go to stderr, unless quiet.
func (t *translation) run(c *cobra.Command, quiet bool) ([]translate.Object, manifest.Diagnostics, error) {
	_, objects, found, err := t.translate(c, quiet)
	return objects, found, err
}

// decide reads a module and decides it; what cannot be translated is refused here as well.
func (t *translation) decide(c *cobra.Command) (*module.Module, error) {
	m, _, _, err := t.translate(c, false)
	return m, err
}

func (t *translation) translate(c *cobra.Command, quiet bool) (
	m *module.Module, objects []translate.Object, found manifest.Diagnostics, err error,
) {
	files, err := t.read(c.Context(), c.InOrStdin())
	if err != nil {
		return nil, nil, nil, err
	}
	o := translate.Options{
		Worker: worker.Files(), NoNamespace: t.noNamespace, Lenient: t.lenient, AllowForeign: t.allowForeign,
	}
	if o.Config, err = t.installation(); err != nil {
		return nil, nil, nil, err
	}
	if o.Images, err = t.imageNames(); err != nil {
		return nil, nil, nil, err
	}
	if m, found = translate.Decide(files, o); m != nil {
		objects, found = translate.Make(m, found, o)
	}
	if !quiet {
		for _, d := range found {
			fmt.Fprintln(c.ErrOrStderr(), printable.Line(d.String()))
		}
	}
	if found.Failed() {
		return nil, nil, found, &inputError{}
	}
	return m, objects, found, nil
}

// installation is the configuration that --config names, or that of the local cluster.
func (t *translation) installation() (installation.Config, error) {
	if t.config == "" {
		return installation.Default(), nil
	}
	b, err := os.ReadFile(t.config)
	if err != nil {
		return installation.Config{}, &inputError{err.Error()}
	}
	config, err := installation.Parse(b)
	if err != nil {
		return installation.Config{}, &inputError{t.config + ": " + err.Error()}
	}
	return config, nil
}

// imageNames are unip's own images: a release's, or ko's references.
func (t *translation) imageNames() (resources.Images, error) {
	ko := resources.Images{Inference: koInference, Gateway: koGateway}
	release := resources.Images{Inference: imageInference, Gateway: imageGateway}
	switch {
	case t.images == "ko", t.images == "" && imageInference == "":
		return ko, nil
	case t.images == "" || (t.images == "release" && imageInference != ""):
		return release, nil
	case t.images == "release":
		return release, &usageError{errors.New("--images=release: this is a development build, which knows no released images")}
	default:
		return ko, &usageError{fmt.Errorf("--images: %q is neither ko nor release", t.images)}
	}
}

func translateCommand() *cobra.Command {
	var t translation
	var output string
	c := &cobra.Command{
		Use:     "translate -f FILE|FOLDER|-",
		Aliases: []string{"render", "generate"},
		Short:   "Translate manifests into Knative and Kubernetes objects",
		Long: `Translate reads the manifests of one module and writes the objects that run it to standard output. Notes (fields without effect) and errors, each with its
place, go to standard error; when there is an error nothing is written. The same input gives the same bytes.

Objects of other groups in the folder (a ConfigMap, a Deployment) are carried through unchanged, with a note, if they are of a usual kind and lie in the
module's own namespace. Rights, cluster-wide kinds and other namespaces are an error, unless --allow-foreign is given.`,
		Example: `  unip translate -f manifests/ | ko apply -f -        # a development build: ko makes unip's images
  unip translate -f manifests/ | kubectl apply -f -   # a release
  cat module.yaml | unip translate -f - -o json
  unip translate -f manifests/ -o dir=base/           # a base for kustomize`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			write := encode.WriteYAML[translate.Object]
			dir, toFolder := strings.CutPrefix(output, "dir=")
			switch {
			case output == "yaml", toFolder && dir != "":
			case output == "json":
				write = encode.WriteJSON
			default:
				return &usageError{fmt.Errorf("-o: %q is none of yaml, json, dir=FOLDER", output)}
			}
			objects, _, err := t.run(c, false)
			if err != nil {
				return err
			}
			if toFolder {
				return writeFolder(dir, objects)
			}
			return write(c.OutOrStdout(), objects)
		},
	}
	t.flags(c)
	c.Flags().StringVarP(&output, "output", "o", "yaml", "yaml, json, or dir=FOLDER: a file per object and a kustomization.yaml")
	c.Flags().StringVar(&t.images, "images", "", "unip's own images: ko (references that ko builds) or release; default what this build knows")
	c.Flags().BoolVar(&t.noNamespace, "no-namespace", false, "leave the Namespace object out")
	complete(c, "output", "yaml", "json", "dir=")
	complete(c, "images", "ko", "release")
	return c
}

//go:embed kustomizeconfig.yaml
var kustomizeConfig []byte

// writeFolder writes a file for each object, a kustomization.yaml that names them in their order, and the configuration by which kustomize finds references in them. What else is in the folder stays, so a folder that holds other objects' files is refused.
func writeFolder(dir string, objects []translate.Object) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // manifests
		return err
	}
	before, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	var list strings.Builder
	list.WriteString("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\nconfigurations:\n- kustomizeconfig.yaml\nresources:\n")
	if len(objects) == 0 {
		list.WriteString("[]\n")
	}
	files := map[string][]byte{}
	for _, o := range objects {
		gvk := o.GetObjectKind().GroupVersionKind()
		name := strings.ToLower(gvk.Kind) + "-" + o.GetName() + ".yaml"
		if _, twice := files[name]; twice {
			name = strings.ToLower(gvk.Kind) + "." + gvk.Group + "-" + o.GetName() + ".yaml"
		}
		if files[name], err = encode.YAML([]translate.Object{o}); err != nil {
			return err
		}
		list.WriteString("- " + name + "\n")
	}
	files["kustomization.yaml"], files["kustomizeconfig.yaml"] = []byte(list.String()), kustomizeConfig
	for _, f := range before {
		if _, ours := files[filepath.Base(f)]; !ours {
			return &inputError{fmt.Sprintf("%s is not of this module; nothing was written. Give an empty folder, or remove it first", f)}
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil { // Secrets may be among them
			return err
		}
	}
	return nil
}

func complete(c *cobra.Command, flag string, values ...string) {
	_ = c.RegisterFlagCompletionFunc(flag, cobra.FixedCompletions(values, cobra.ShellCompDirectiveNoFileComp)) // the flag is there
}

func validateCommand() *cobra.Command {
	var t translation
	var output string
	c := &cobra.Command{
		Use:     "validate -f FILE|FOLDER|-",
		Aliases: []string{"lint"},
		Short:   "Check manifests without a cluster",
		Long: `Validate reads the manifests of one module and says all that is wrong with them, at once: what YAML cannot read, unknown fields, wrong types, references to what does not exist, and
what Knative would refuse. Each object of another group that would be carried through is named. It exits with 1 when there is an error.`,
		Example: `  unip validate -f manifests/
  unip validate -f manifests/ -o json | jq '.[] | select(.severity == "error")'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := outputs(output); err != nil {
				return err
			}
			_, found, err := t.run(c, output == "json")
			if found == nil && err != nil {
				return err
			}
			if output == "json" {
				return errors.Join(writeJSON(c.OutOrStdout(), append(manifest.Diagnostics{}, found...)), err)
			}
			return err
		},
	}
	t.flags(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	complete(c, "output", "text", "json")
	return c
}

func writeJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	if err := e.Encode(v); err != nil {
		return err
	}
	_, err := w.Write(printable.JSON(b.Bytes()))
	return err
}
