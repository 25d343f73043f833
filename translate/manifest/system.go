package manifest

import "gopkg.in/yaml.v3"

// The system kinds join a module to the platform. What the platform says of their fields is known
// in part only, so that a field which unip does not know is kept, and a note names it.

// AutoscalerAPIVersion is that of the platform's autoscaler.
const AutoscalerAPIVersion = "autoscaler." + Group + "/v1alpha1"

// Rest are the fields of an object that unip does not know.
type Rest map[string]*yaml.Node

// Secret is the platform's. Its fields may stand at the top as well, as those of a core Secret do.
type Secret struct {
	Header
	Spec SecretSpec
}

// SecretSpec has values by their keys.
type SecretSpec struct {
	At
	// Data: Values in base64, by key. Becomes: data of a core Secret; without any value there is no
	// object, and a note that it must exist.
	Data map[string]string `yaml:"data"`
	// StringData: Values as they are, by key. Becomes: data of the same Secret.
	StringData map[string]string `yaml:"stringData"`
	// Type: The type of the Secret. Default: Opaque. Becomes: type. Constraint: not a
	// ServiceAccount's token, none of unip's own.
	Type string `yaml:"type"`
	Rest Rest
}

// Repository is where the module's source is.
type Repository struct {
	Header
	Spec RepositorySpec
}

// RepositorySpec has the fields that unip knows; their form is unip's own.
type RepositorySpec struct {
	At
	Rest Rest
}

// PlatformApp is the application that the module is to the platform.
type PlatformApp struct {
	Header
	Spec PlatformAppSpec
}

// PlatformAppSpec has the fields that unip knows; their form is unip's own.
type PlatformAppSpec struct {
	At
	Rest Rest
}

// DatasetComponent is a dataset that a data module shares.
type DatasetComponent struct {
	Header
	Spec DatasetComponentSpec
}

// DatasetComponentSpec has the fields that unip knows; their form is unip's own.
type DatasetComponentSpec struct {
	At
	Rest Rest
}

// ScalingConfig is a rule of the platform's autoscaler.
type ScalingConfig struct {
	Header
	Spec ScalingConfigSpec
}

// ScalingConfigSpec is what the autoscaler knows.
type ScalingConfigSpec struct {
	At
	Rest Rest
}
