// Package resources makes the objects of a module: one pure function per object, from what the
// manifests say to what Kubernetes and Knative are given. Nothing here reads, checks or orders.
package resources

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"maps"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

// Images are unip's own images.
type Images struct{ Inference, Gateway string }

// Module is what all objects of a module share.
type Module struct {
	Namespace string
	Config    installation.Config
	Images    Images
	// Worker are the files of the worker, worker.py and what it reads.
	Worker map[string][]byte
}

// meta is the metadata of an object that belongs to a component of the module.
func (m Module) meta(name, component, kind string) metav1.ObjectMeta {
	return metav1.ObjectMeta{Name: name, Namespace: m.Namespace, Labels: m.labels(component, kind)}
}

// labels are the recommended ones of Kubernetes. They hold no version: they stand on templates too,
// where a change makes a new Revision.
func (m Module) labels(component, kind string) map[string]string {
	return map[string]string{
		label.Name:      component,
		label.Instance:  m.Namespace,
		label.PartOf:    m.Namespace,
		label.Component: kind,
		label.ManagedBy: label.Unip,
	}
}

// Carry gives an object the labels of its manifest, and a Service's pods as well. Labels that it
// has already stay.
func Carry(o metav1.Object, labels map[string]string) {
	o.SetLabels(with(o.GetLabels(), labels))
	if s, ok := o.(*servingv1.Service); ok {
		s.Spec.Template.Labels = with(s.Spec.Template.Labels, labels)
	}
}

// with is both, of which the first wins.
func with(own, others map[string]string) map[string]string {
	all := map[string]string{}
	maps.Copy(all, others)
	maps.Copy(all, own)
	return all
}

// Annotations that say where a module's code comes from.
const (
	repositoryAnnotation = manifest.Prefix + "repository"
	revisionAnnotation   = manifest.Prefix + "revision"
)

// Describe says on an object where the module's code comes from. Pods say it not: of another
// revision alone there is no new Revision.
func Describe(o metav1.Object, s module.Source) {
	labels, annotations := o.GetLabels(), o.GetAnnotations()
	for _, x := range []struct {
		all        *map[string]string
		key, value string
	}{
		{&labels, label.Version, s.Version}, {&annotations, repositoryAnnotation, s.URL},
		{&annotations, revisionAnnotation, s.Revision},
	} {
		if x.value != "" {
			*x.all = with(map[string]string{x.key: x.value}, *x.all)
		}
	}
	o.SetLabels(labels)
	o.SetAnnotations(annotations)
}

// MakeNamespace makes the module's namespace, with the Pod Security level that its pods must keep
// to.
func MakeNamespace(m Module) *corev1.Namespace {
	labels := m.labels(m.Namespace, "module")
	labels["pod-security.kubernetes.io/enforce"] = string(m.Config.Security)
	return &corev1.Namespace{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Namespace"},
		ObjectMeta: metav1.ObjectMeta{Name: m.Namespace, Labels: labels},
	}
}

// MakeServiceAccount makes the account of a component: it may do nothing, and no token of it is
// mounted.
func MakeServiceAccount(m Module, component, kind string) *corev1.ServiceAccount {
	no := false
	return &corev1.ServiceAccount{
		TypeMeta:                     metav1.TypeMeta{APIVersion: "v1", Kind: "ServiceAccount"},
		ObjectMeta:                   m.meta(component, component, kind),
		AutomountServiceAccountToken: &no,
	}
}

// MakeGatewayAccount makes the gateway's account. Only one that has a Role has a token: Knative
// refuses it at the pod, so it stands here.
func MakeGatewayAccount(m Module, token bool) *corev1.ServiceAccount {
	a := MakeServiceAccount(m, names.Gateway, "gateway")
	a.AutomountServiceAccountToken = &token
	return a
}

// MakeModuleKey makes the Secret that the controller fills with the module's key. It is written
// without data, so that applying it again leaves the key alone.
func MakeModuleKey(m Module) *corev1.Secret {
	meta := m.meta(names.ModuleKey, m.Namespace, "module")
	meta.Labels[names.ModuleKeyLabel] = "true"
	return &corev1.Secret{TypeMeta: metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"}, ObjectMeta: meta,
		Type: names.ModuleKeyType}
}

// keyVolume is the module's key, a file. Without it no call is answered, so it must be there before a
// pod starts: kubelet tries again after half a second, and later more rarely. Into a pod that
// started before the key was made, kubelet would bring it only after a minute or so.
func keyVolume() corev1.VolumeSource {
	return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: names.ModuleKey,
		Items: []corev1.KeyToPath{{Key: names.ModuleKeyData, Path: names.ModuleKeyData}}}}
}

// MakeControllerRole makes what unip's controller may do in this namespace and nowhere else: keep
// the Secrets that it makes, and run stages. A namespace's admin may hand out all of it. key says
// that the module has a key to be filled in; a RoleBinding that changes with it makes the
// controller look at once.
func MakeControllerRole(m Module, key bool) (*rbacv1.Role, *rbacv1.RoleBinding) {
	role := &rbacv1.Role{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "Role"},
		ObjectMeta: m.meta(names.Controller, m.Namespace, "module"),
		Rules: []rbacv1.PolicyRule{
			{APIGroups: []string{""}, Resources: []string{"secrets"},
				Verbs: []string{"get", "list", "create", "patch", "delete"}},
			{APIGroups: []string{"batch"}, Resources: []string{"jobs"}, Verbs: []string{"create", "patch", "delete"}},
			{APIGroups: []string{""}, Resources: []string{"pods/log"}, Verbs: []string{"get"}},
			{APIGroups: []string{runtimev1.GroupVersion.Group}, Resources: []string{"pipelineruns"},
				Verbs: []string{"create", "delete"}},
		},
	}
	binding := &rbacv1.RoleBinding{
		TypeMeta:   metav1.TypeMeta{APIVersion: "rbac.authorization.k8s.io/v1", Kind: "RoleBinding"},
		ObjectMeta: m.meta(names.Controller, m.Namespace, "module"),
		RoleRef:    rbacv1.RoleRef{APIGroup: "rbac.authorization.k8s.io", Kind: "Role", Name: names.Controller},
		Subjects: []rbacv1.Subject{{Kind: "ServiceAccount", Name: names.Controller,
			Namespace: names.SystemNamespace}},
	}
	binding.Labels[names.ControllerRoleLabel] = "true"
	if key {
		binding.Labels[names.ModuleKeyLabel] = "true"
	}
	return role, binding
}

// MakeSecret makes a Secret of the manifests. All values come as data: of a key that stringData no
// longer has, the API server keeps the value, by whatever way it is applied, and with it a user
// whom the manifests no longer have.
func MakeSecret(m Module, s module.Secret) *corev1.Secret {
	return &corev1.Secret{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "Secret"},
		ObjectMeta: m.meta(s.Name, s.Name, "secret"), Type: s.Type, Data: s.Data,
	}
}

// MakeDataBox makes the custom resource of a box. sessions are what the module's pods hold of it.
func MakeDataBox(m Module, b module.Box, sessions []platformv1.Session) *platformv1.DataBox {
	out := &platformv1.DataBox{
		TypeMeta:   metav1.TypeMeta{APIVersion: platformv1.GroupVersion.String(), Kind: "DataBox"},
		ObjectMeta: m.meta(b.Name, b.Name, "databox"),
		Spec:       b.Spec,
	}
	out.Spec.Sessions = sessions
	if len(sessions) > 0 && len(b.Labels) > 0 {
		out.Spec.Labels = b.Labels
	}
	if b.SharedWith != nil {
		metav1.SetMetaDataAnnotation(&out.ObjectMeta, platformv1.SharedWithAnnotation, *b.SharedWith)
	}
	if len(b.Developers) > 0 {
		metav1.SetMetaDataAnnotation(&out.ObjectMeta, platformv1.DevelopersAnnotation, strings.Join(b.Developers, ", "))
	}
	return out
}

// MakeDataset makes the custom resource of a dataset.
func MakeDataset(m Module, d module.Dataset) *platformv1.DatasetComponent {
	out := &platformv1.DatasetComponent{
		TypeMeta:   metav1.TypeMeta{APIVersion: platformv1.GroupVersion.String(), Kind: "DatasetComponent"},
		ObjectMeta: m.meta(d.Name, d.Name, "dataset"),
		Spec:       d.Spec,
	}
	if d.SharedWith != nil {
		out.Annotations = map[string]string{platformv1.SharedWithAnnotation: *d.SharedWith}
	}
	return out
}

// configMap makes an immutable ConfigMap whose name holds a hash of what is in it: other content is
// another object, and a Revision that refers to one keeps what it started with.
func (m Module) configMap(prefix, component, kind string, files map[string][]byte) *corev1.ConfigMap {
	hash, data := sha256.New(), map[string]string{}
	for i, name := range slices.Sorted(maps.Keys(files)) {
		if i > 0 {
			_, _ = fmt.Fprintf(hash, "\x00%s\x00", name) // a hash takes everything; text has no zero bytes
		}
		_, _ = hash.Write(files[name])
		data[name] = string(files[name])
	}
	yes := true
	return &corev1.ConfigMap{
		TypeMeta:   metav1.TypeMeta{APIVersion: "v1", Kind: "ConfigMap"},
		ObjectMeta: m.meta(prefix+"-"+hex.EncodeToString(hash.Sum(nil))[:10], component, kind),
		Immutable:  &yes,
		Data:       data,
	}
}

// MakeWorker makes the ConfigMap with the worker's files; all components of a module share it.
func MakeWorker(m Module) *corev1.ConfigMap {
	return m.configMap("unip-worker", m.Namespace, "module", m.Worker)
}
