package plan

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
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

// Labels are the manifest's labels of a stage. Those that steer a cluster are refused: a Pipeline
// may have been made by hand.
func Labels(st *runtimev1.StageStatus) (map[string]string, error) {
	all, err := label.Carried(st.Spec.Labels)
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", st.Name, err)
	}
	return all, nil
}

// refuseOwn refuses a stage whose pod would be given an object of unip's own: a Pipeline may have
// been made by hand.
func refuseOwn(st *runtimev1.StageStatus) error {
	var named [][2]string // field, object
	add := func(field, name string) { named = append(named, [2]string{field, name}) }
	for _, f := range st.Spec.EnvFrom {
		if f.SecretRef != nil {
			add("envFrom", f.SecretRef.Name)
		}
		if f.ConfigMapRef != nil {
			add("envFrom", f.ConfigMapRef.Name)
		}
	}
	for _, e := range st.Spec.Env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			add("env", r.Name)
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			add("env", r.Name)
		}
	}
	for _, r := range st.Spec.ImagePullSecrets {
		add("imagePullSecrets", r.Name)
	}
	for _, n := range named {
		if names.Managed(n[1]) {
			return fmt.Errorf("stage %s: %s: %s is unip's own and not for the module's code", st.Name, n[0], n[1])
		}
	}
	return nil
}
