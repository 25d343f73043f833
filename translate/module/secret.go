package module

import (
	"encoding/base64"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/translate/manifest"
)

// Secret is one of the manifests.
type Secret struct {
	manifest.Position
	Name   string
	Labels map[string]string
	Type   corev1.SecretType
	// Data is nil when it must exist in the cluster.
	Data map[string][]byte
}

func decideSecret(s *scope, x *manifest.Secret) Secret {
	out := Secret{Position: x.Position, Name: x.Meta.Name.Value, Labels: labels(s, &x.Meta),
		Type: corev1.SecretTypeOpaque}
	if x.Spec.Type != "" {
		out.Type = corev1.SecretType(x.Spec.Type)
	}
	if foreignType(out.Type) {
		s.Errorf(x.Position,
			"Secret %s: the type %s is a ServiceAccount's token or unip's own; a module's Secret is Opaque",
			out.Name, out.Type)
	}
	if x.Spec.Data == nil && x.Spec.StringData == nil {
		s.Notef(x.Position,
			"Secret %s has no data here: a Secret of that name must exist in namespace %s", out.Name, s.namespace)
		return out
	}
	out.Data = make(map[string][]byte, len(x.Spec.Data)+len(x.Spec.StringData))
	for key, text := range x.Spec.Data {
		checkSecretKey(s, x, key)
		value, err := decodeBase64(text)
		if err != nil {
			s.Errorf(x.Position, "Secret %s: data.%s is not base64; plain text belongs in stringData", out.Name, key)
			continue
		}
		out.Data[key] = value
	}
	for key, text := range x.Spec.StringData {
		checkSecretKey(s, x, key)
		out.Data[key] = []byte(text)
	}
	return out
}

func checkSecretKey(found *scope, x *manifest.Secret, key string) {
	for _, why := range validation.IsConfigMapKey(key) {
		found.Errorf(x.Position, "Secret %s: key %q: %s", x.Meta.Name.Value, key, why)
	}
}

// foreignType reports types of Secrets that somebody else fills or reads: Kubernetes, with a token
// of any account of the namespace, or the controller.
func foreignType(t corev1.SecretType) bool {
	return t == corev1.SecretTypeServiceAccountToken || strings.HasPrefix(string(t), manifest.Group+"/")
}

// decodeBase64 decodes a Secret's value, line breaks allowed.
func decodeBase64(s string) ([]byte, error) {
	return base64.StdEncoding.DecodeString(strings.Join(strings.Fields(s), ""))
}
