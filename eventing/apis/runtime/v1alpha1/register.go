package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// GroupVersion of the objects with which pipelines run.
var GroupVersion = schema.GroupVersion{Group: "runtime.unified-platform.cs.hse.ru", Version: "v1alpha1"}

var (
	schemeBuilder = runtime.NewSchemeBuilder(func(s *runtime.Scheme) error {
		s.AddKnownTypes(GroupVersion, &Pipeline{}, &PipelineList{}, &PipelineRun{}, &PipelineRunList{},
			&BoxPut{}, &BoxPutList{})
		metav1.AddToGroupVersion(s, GroupVersion)
		return nil
	})
	// AddToScheme registers the types of this package.
	AddToScheme = schemeBuilder.AddToScheme
)
