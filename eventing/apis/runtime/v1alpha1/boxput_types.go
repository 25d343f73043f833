package v1alpha1

import metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

// BoxPut asks for a link that writes one object into the developer's area of a box, for a developer
// whom the DataBox names. The module's gateway makes it, when it has proved who calls, and the
// controller answers: a gateway makes no sessions, and may do nothing else with boxes.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:printcolumn:name="Box",type=string,JSONPath=`.spec.box`
// +kubebuilder:printcolumn:name="Developer",type=string,JSONPath=`.spec.developer`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.reason`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
type BoxPut struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   BoxPutSpec   `json:"spec"`
	Status BoxPutStatus `json:"status,omitempty"`
}

// BoxPutSpec is the request.
//
// +kubebuilder:validation:XValidation:rule="self == oldSelf",message="a request cannot be changed: make another one"
type BoxPutSpec struct {
	// Box is the DataBox in the same namespace.
	// +kubebuilder:validation:MaxLength=63
	Box string `json:"box"`
	// Request is what is asked for, as package put writes it; the object is named by its hash.
	// +kubebuilder:validation:MaxLength=4096
	Request string `json:"request"`
	// Developer is the whole identity of who asks.
	// +kubebuilder:validation:MaxLength=1024
	Developer string `json:"developer"`
}

// BoxPutStatus is the answer.
type BoxPutStatus struct {
	// Link writes the object. It is sealed to the one-time key in the request.
	// +optional
	Link []byte `json:"link,omitempty"`
	// Reason is in one word why there is no link, Message in a sentence.
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
	// Expires is when the link ends.
	// +optional
	Expires *metav1.Time `json:"expires,omitempty"`
}

// BoxPutList is a list of requests.
//
// +kubebuilder:object:root=true
type BoxPutList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []BoxPut `json:"items"`
}
