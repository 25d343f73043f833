package v1

import (
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// SharedWithAnnotation on a storage box or a DatasetComponent names the namespaces that may refer to
// it: globs, separated by commas or blanks.
const SharedWithAnnotation = "knative.unified-platform.cs.hse.ru/shared-with"

// DevelopersAnnotation on a storage box names those who may write into its developer's area through the
// module's file API: whole identities (users.Developers).
const DevelopersAnnotation = "knative.unified-platform.cs.hse.ru/developers"

// DefaultCapacity is the space of a storage box that names none.
const DefaultCapacity = "1G"

// Capacity is the space of a storage box in bytes, also when it names none.
func (b *DataBox) Capacity() int64 {
	if s := b.Spec.S3DefaultStorage; s != nil && s.Capacity != nil {
		return s.Capacity.Value()
	}
	q := resource.MustParse(DefaultCapacity)
	return q.Value()
}

// DataBox is a named place in S3 of one module: a bucket of its own, or a reference to a dataset of
// another module.
//
// +kubebuilder:object:root=true
// +kubebuilder:subresource:status
// +kubebuilder:resource:shortName=dbox,categories=unip
// +kubebuilder:printcolumn:name="Ready",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].status`
// +kubebuilder:printcolumn:name="Reason",type=string,JSONPath=`.status.conditions[?(@.type=="Ready")].reason`
// +kubebuilder:printcolumn:name="Bucket",type=string,JSONPath=`.status.bucket`
// +kubebuilder:printcolumn:name="Capacity",type=string,JSONPath=`.spec.s3DefaultStorage.capacity`
// +kubebuilder:printcolumn:name="Used",type=string,JSONPath=`.status.used`
// +kubebuilder:printcolumn:name="Age",type=date,JSONPath=`.metadata.creationTimestamp`
// +kubebuilder:validation:XValidation:rule="self.metadata.name.matches('^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$')",message="a box's name has 1 to 63 of a-z, 0-9 and '-', and no '-' at its ends"
type DataBox struct {
	metav1.TypeMeta   `json:",inline"`
	metav1.ObjectMeta `json:"metadata,omitempty"`

	Spec   DataBoxSpec   `json:"spec"`
	Status DataBoxStatus `json:"status,omitempty"`
}

// DataBoxSpec says where the box's objects are: exactly one of its first two fields is set.
//
// +kubebuilder:validation:XValidation:rule="has(self.s3DefaultStorage) != has(self.datasetReference)",message="exactly one of s3DefaultStorage and datasetReference must be set"
// +kubebuilder:validation:XValidation:rule="has(self.s3DefaultStorage) == has(oldSelf.s3DefaultStorage)",message="a box cannot change between storage and reference: make another box"
type DataBoxSpec struct {
	// S3DefaultStorage gives the box a bucket of its own in the installation's S3.
	// +optional
	S3DefaultStorage *S3DefaultStorage `json:"s3DefaultStorage,omitempty"`
	// DatasetReference makes the box a read-only view of another module's dataset: the
	// DatasetComponent of that name, or where there is none the storage box.
	// +optional
	DatasetReference *DatasetReference `json:"datasetReference,omitempty"`
	// Sessions are what the module's pods hold of the box: the controller makes one Secret for
	// each, and no other. Written by unip translate.
	// +kubebuilder:validation:MaxItems=64
	// +listType=atomic
	// +optional
	Sessions []Session `json:"sessions,omitempty"`
	// Labels of those Secrets. unip's own win; those that steer a cluster are refused.
	// +optional
	Labels map[string]string `json:"labels,omitempty"`
}

// Session is a use of a box, and with it what the session's holder may do.
//
// +kubebuilder:validation:XValidation:rule="(self.use in ['model', 'mount', 'mount-write']) == has(self.object)",message="object belongs to model, mount and mount-write, and to no other use"
type Session struct {
	// Use: files (the file API lists and deletes), put-links and get-links (it signs links), calls
	// and calls-read (FILE inputs and outputs of calls), model (one object or folder), mount and
	// mount-write (a folder that a component mounts, and what its calls write there). A dataset has
	// files, get-links, model and mount.
	// +kubebuilder:validation:Enum=files;put-links;get-links;calls;calls-read;model;mount;mount-write
	Use string `json:"use"`
	// Object is the key of a model; ending in "/" it is the prefix of a folder. What is mounted is
	// always a folder; "/" alone is all that is not users'.
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	// +optional
	Object string `json:"object,omitempty"`
}

// S3DefaultStorage is a plain storage box.
type S3DefaultStorage struct {
	// Capacity is the space given to the box, as a Kubernetes quantity. Default 1G.
	// +kubebuilder:default="1G"
	// +optional
	Capacity *resource.Quantity `json:"capacity,omitempty"`
}

// DatasetReference points at a dataset of another module.
type DatasetReference struct {
	DatasetComponentRef NamespacedName `json:"datasetComponentRef"`
}

// NamespacedName names an object of another namespace.
type NamespacedName struct {
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`
	Name string `json:"name"`
	// +kubebuilder:validation:Pattern=`^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$`
	Namespace string `json:"namespace"`
}

// Condition types and reasons of a DataBox.
const (
	// ConditionReady is True when the bucket exists, is this namespace's, and valid credentials lie
	// in the Secrets of its sessions.
	ConditionReady = "Ready"

	ReasonReady            = "Ready"
	ReasonStorageError     = "StorageError"     // S3 refused or did not answer; tried again
	ReasonBucketNotOurs    = "BucketNotOurs"    // a bucket of that name belongs to somebody else
	ReasonCredentialsError = "CredentialsError" // the session could not be made
	ReasonNotShared        = "NotShared"        // the dataset's owner does not share it with this namespace
	// the module's Role for the controller is missing: its manifests must be applied again
	ReasonApplyAgain = "ApplyAgain"
	ReasonDeleting   = "Deleting" // the box was deleted, and its objects are going
)

// NoUploadLinks stands in the message of a box that is Ready all the same, while the S3 server lets
// through what strangers try with upload links, so that none are given.
const NoUploadLinks = "no upload links are given"

// UploadsUntold stands in the message of a box that is Ready all the same, while the S3 server refuses
// to tell of its uploads.
const UploadsUntold = "uploads start no pipeline by being told"

// DataBoxStatus is what the controller has seen and made.
type DataBoxStatus struct {
	// ObservedGeneration is the generation of the spec that the conditions speak of.
	// +optional
	ObservedGeneration int64 `json:"observedGeneration,omitempty"`
	// Conditions: Ready.
	// +optional
	// +listType=map
	// +listMapKey=type
	Conditions []metav1.Condition `json:"conditions,omitempty"`
	// Bucket is the S3 bucket that holds the box's objects.
	// +optional
	Bucket string `json:"bucket,omitempty"`
	// NamespaceUID is the UID of the namespace for which the bucket of a storage box was claimed.
	// +optional
	NamespaceUID types.UID `json:"namespaceUID,omitempty"`
	// Used is the space that the objects of a storage box take, in bytes; a little behind.
	// +optional
	Used *resource.Quantity `json:"used,omitempty"`
	// CredentialsExpire is when the first of the sessions in the box's Secrets ends; they are
	// renewed before half of their life is over.
	// +optional
	CredentialsExpire *metav1.Time `json:"credentialsExpire,omitempty"`
	// Puts answer authors who have asked, by an annotation, to write an object into the developer's
	// area (unip files put FILE BOX:/PATH).
	// +optional
	// +listType=map
	// +listMapKey=request
	// +kubebuilder:validation:MaxItems=32
	Puts []Put `json:"puts,omitempty"`
}

// Put is the answer to one request: a sealed link, or the reason for which there is none.
type Put struct {
	// Request is the hash of the request, by which its annotation is named.
	// +kubebuilder:validation:MaxLength=63
	Request string `json:"request"`
	// Link writes the object. It is sealed to the one-time key in the request.
	// +optional
	Link []byte `json:"link,omitempty"`
	// Reason is in one word why there is no link, Message in a sentence.
	// +optional
	Reason string `json:"reason,omitempty"`
	// +optional
	Message string `json:"message,omitempty"`
	// Expires is when the request and its answer are taken away.
	Expires metav1.Time `json:"expires"`
}

// DataBoxList is a list of boxes.
//
// +kubebuilder:object:root=true
type DataBoxList struct {
	metav1.TypeMeta `json:",inline"`
	metav1.ListMeta `json:"metadata,omitempty"`
	Items           []DataBox `json:"items"`
}
