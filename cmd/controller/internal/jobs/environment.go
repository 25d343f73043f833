package jobs

import (
	corev1 "k8s.io/api/core/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

// environment is what a stage's manifest sets. A key of a Secret or a ConfigMap is kubelet's to
// read.
func environment(all []runtimev1.EnvVar) []corev1.EnvVar {
	var out []corev1.EnvVar
	for _, e := range all {
		v := corev1.EnvVar{Name: e.Name, Value: escape(e.Value)}
		if f := e.ValueFrom; f != nil {
			v.ValueFrom = &corev1.EnvVarSource{SecretKeyRef: f.SecretKeyRef, ConfigMapKeyRef: f.ConfigMapKeyRef}
		}
		out = append(out, v)
	}
	return out
}
