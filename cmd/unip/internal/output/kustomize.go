package output

import (
	_ "embed"
	"os"
	"path/filepath"
	"strings"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/translate"
	"github.com/unip-knative/unip/translate/encode"
)

//go:embed kustomizeconfig.yaml
var kustomizeConfig []byte

// WriteKustomization writes a file for each object, a kustomization.yaml that names them in their
// order, and the configuration by which kustomize finds references in them. What else is in the
// folder stays, so a folder that holds other objects' files is refused.
func WriteKustomization(dir string, objects []translate.Object) error {
	if err := os.MkdirAll(dir, 0o755); err != nil { // manifests
		return err
	}
	before, err := filepath.Glob(filepath.Join(dir, "*.yaml"))
	if err != nil {
		return err
	}
	var list strings.Builder
	list.WriteString("apiVersion: kustomize.config.k8s.io/v1beta1\nkind: Kustomization\n" +
		"configurations:\n- kustomizeconfig.yaml\nresources:\n")
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
		if _, written := files[filepath.Base(f)]; !written {
			return exit.Errorf(exit.InputWrong,
				"%s is not of this module; nothing was written. Give an empty folder, or remove it first", f)
		}
	}
	for name, b := range files {
		if err := os.WriteFile(filepath.Join(dir, name), b, 0o600); err != nil { // Secrets may be among them
			return err
		}
	}
	return nil
}
