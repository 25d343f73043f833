package validate

import (
	"fmt"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/validation"
	"k8s.io/apimachinery/pkg/api/validation/path"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
)

type label struct{ key, value string }

// unseen is an object's metadata without the labels that have been found right before: those of a
// module's objects are nearly all the same, and their rules are slow.
type unseen struct {
	metav1.Object
	labels map[string]string
}

func (u unseen) GetLabels() map[string]string { return u.labels }

// kubernetes says what the API server would refuse of any object's metadata, by its own rules, and
// of the size of Secrets and ConfigMaps. Its rules for the rest of its kinds are no library.
func (r *Rules) kubernetes(o runtime.Object) []Problem {
	m, ok := o.(metav1.Object)
	if !ok {
		return nil
	}
	name := path.ValidatePathSegmentName // what all kinds have in common
	kind := o.GetObjectKind().GroupVersionKind()
	core := kind.Group == "" && (kind.Kind == "Secret" || kind.Kind == "ConfigMap")
	if core {
		name = validation.NameIsDNSSubdomain
	}
	labels := map[string]string{}
	for key, value := range m.GetLabels() {
		if _, right := r.labels.Load(label{key, value}); !right {
			labels[key] = value
		}
	}
	found := validation.ValidateObjectMetaAccessor(unseen{m, labels}, m.GetNamespace() != "", name,
		field.NewPath("metadata"))
	if len(found) == 0 {
		for key, value := range labels {
			r.labels.Store(label{key, value}, nil)
		}
	}
	var problems []Problem
	for _, e := range found {
		problems = append(problems, Problem{Path: e.Field, Message: e.Error()})
	}
	if n := size(o); core && n > corev1.MaxSecretSize { // ConfigMaps have the same limit
		problems = append(problems, Problem{Path: "data",
			Message: fmt.Sprintf("its data has %d bytes; a %s holds %d at most", n, kind.Kind, corev1.MaxSecretSize)})
	}
	return problems
}

// size is how much the values of a Secret or a ConfigMap take, in bytes; of objects that are
// carried through, in the form in which they are written.
func size(o runtime.Object) (n int) {
	switch x := o.(type) {
	case *corev1.Secret:
		for _, v := range x.Data {
			n += len(v)
		}
		for _, v := range x.StringData {
			n += len(v)
		}
	case *corev1.ConfigMap:
		for _, v := range x.Data {
			n += len(v)
		}
	case *unstructured.Unstructured:
		for _, key := range []string{"data", "stringData"} {
			values, _ := x.Object[key].(map[string]any)
			for _, v := range values {
				s, _ := v.(string)
				n += len(s)
			}
		}
	}
	return n
}
