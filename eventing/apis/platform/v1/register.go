package v1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion is the group and version of the platform's manifests.
var GroupVersion = schema.GroupVersion{Group: "unified-platform.cs.hse.ru", Version: "v1"}

var (
	schemeBuilder = runtime.NewSchemeBuilder(func(s *runtime.Scheme) error {
		s.AddKnownTypes(GroupVersion, &DataBox{}, &DataBoxList{}, &DatasetComponent{}, &DatasetComponentList{})
		metav1.AddToGroupVersion(s, GroupVersion)
		return nil
	})
	// AddToScheme registers the types of this package.
	AddToScheme = schemeBuilder.AddToScheme
)
