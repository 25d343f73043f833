package v1

import (
	"encoding/json"
	"maps"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// DatasetComponent is a folder of a storage box of its module, or all of it, that other modules may
// read as a dataset: those that SharedWithAnnotation on it names.
//
// +kubebuilder:object:root=true
// +kubebuilder:resource:shortName=dset,categories=unip
// +kubebuilder:printcolumn:name="Box",type=string,JSONPath=`.spec.box`
// +kubebuilder:printcolumn:name="Path",type=string,JSONPath=`.spec.path`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type DatasetComponent struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec DatasetComponentSpec `json:"spec"`
}

// DatasetComponentSpec says what the dataset is. The form is unip's own; fields that it does not know
// are kept.
//
// +kubebuilder:pruning:PreserveUnknownFields
type DatasetComponentSpec struct {
	// Box is a storage box of the same namespace.
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`
	Box string `json:"box"`
	// Path is a folder in the developer's area of the box, with or without a "/" at its end; "" is
	// all of that area.
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Path string `json:"path,omitempty"`
	// Rest are the other fields.
	Rest map[string]json.RawMessage `json:"-"`
}

// MarshalJSON writes the other fields beside those that are known.
func (s DatasetComponentSpec) MarshalJSON() ([]byte, error) {
	type known DatasetComponentSpec
	b, err := json.Marshal(known(s))
	if err != nil || len(s.Rest) == 0 {
		return b, err
	}
	all := maps.Clone(s.Rest)
	if err := json.Unmarshal(b, &all); err != nil {
		return nil, err
	}
	return json.Marshal(all)
}

// UnmarshalJSON keeps the other fields.
func (s *DatasetComponentSpec) UnmarshalJSON(b []byte) error {
	type known DatasetComponentSpec
	var k known
	if err := json.Unmarshal(b, &k); err != nil {
		return err
	}
	if err := json.Unmarshal(b, &k.Rest); err != nil {
		return err
	}
	delete(k.Rest, "box")
	delete(k.Rest, "path")
	if len(k.Rest) == 0 {
		k.Rest = nil
	}
	*s = DatasetComponentSpec(k)
	return nil
}

// DatasetComponentList is a list of datasets.
//
// +kubebuilder:object:root=true
type DatasetComponentList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DatasetComponent `json:"items"`
}
