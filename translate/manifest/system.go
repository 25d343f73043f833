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
	// URL: The address of the source. Becomes: the annotation
	// knative.unified-platform.cs.hse.ru/repository of all objects. Constraint: an address, without
	// a password or a token in it.
	URL Text `yaml:"url"`
	// Revision: The revision that the module was made of. Becomes: the annotation
	// knative.unified-platform.cs.hse.ru/revision and, where it can be one, the label
	// app.kubernetes.io/version of all objects, not of their pods.
	Revision Text `yaml:"revision"`
	// ImagePullSecrets: Secrets of the module with which its images are pulled. Becomes:
	// imagePullSecrets of the pods of components and stages. Constraint: none that unip makes.
	ImagePullSecrets []Ref `yaml:"imagePullSecrets"`
	Rest             Rest
}

// PlatformApp is the application that the module is to the platform.
type PlatformApp struct {
	Header
	Spec PlatformAppSpec
}

// PlatformAppSpec has the fields that unip knows; their form is unip's own.
type PlatformAppSpec struct {
	At
	// PackageRegistries: Package registries that the components' packageRegistryName may name.
	PackageRegistries []PackageRegistry `yaml:"packageRegistries"`
	Rest              Rest
}

// PackageRegistry is a registry of Python packages.
type PackageRegistry struct {
	At
	// ExternalName: Required. Its name for the components. Becomes: no warning where a component's
	// packageRegistryName is this one.
	ExternalName Text `yaml:"externalName"`
	Rest         Rest
}

// DatasetComponent is a dataset of a data module: a folder of one of its boxes, that other modules may
// read.
type DatasetComponent struct {
	Header
	Spec DatasetComponentSpec
}

// DatasetComponentSpec has the fields that unip knows; their form is unip's own.
type DatasetComponentSpec struct {
	At
	// Box: Required. The box that it is a part of. Constraint: a storage box of the manifests.
	Box Text `yaml:"box"`
	// Path: The folder in the developer's area of the box. Default: all of that area. Constraint:
	// clean; not users/ or below it.
	Path Text `yaml:"path"`
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
	// Target: Required. What is scaled. Becomes: whose instances these are; another target than an
	// MLComponent of the module is a note.
	Target *ScalingTarget `yaml:"target"`
	// States: Numbers of instances, of which the lowest and the highest count.
	States []ScalingState `yaml:"states"`
	// PrometheusMetrics: Metrics for transitions. Becomes: nothing (a note).
	PrometheusMetrics *yaml.Node `yaml:"prometheusMetrics"`
	// ScalingOptions: Options.
	ScalingOptions *ScalingOptions `yaml:"scalingOptions"`
	Rest           Rest
}

// ScalingTarget names what is scaled.
type ScalingTarget struct {
	At
	// Kind: Its kind. Default: deployment. Constraint: deployment, service or MLComponent, else it
	// is another target.
	Kind Text `yaml:"kind"`
	// Name: Required. Its name. Constraint: that of an MLComponent, or the name and -deployment.
	Name Text `yaml:"name"`
	// Namespace: Its namespace. Default: that of the ScalingConfig. Constraint: another one than
	// the module's is another target.
	Namespace Text `yaml:"namespace"`
	Rest      Rest
}

// ScalingState is a number of instances.
type ScalingState struct {
	At
	// Replicas: Required. How many instances. Becomes: min-scale the lowest of them, max-scale the
	// highest, at most the installation's; an annotation of the component wins. Constraint: 0 to
	// 1000.
	Replicas *int `yaml:"replicas"`
	// Transitions: When another state comes. Becomes: nothing (a note): Knative scales by the calls
	// that there are at a time.
	Transitions *yaml.Node `yaml:"transitions"`
	Rest        Rest
}

// ScalingOptions are those of the autoscaler.
type ScalingOptions struct {
	At
	// Cooldown: How long a state stays. Becomes: scale-down-delay, at most 1h; an annotation of the
	// component wins.
	Cooldown *Duration `yaml:"cooldown"`
	// HibernationEnabled: Whether an idle component sleeps. Default: when a state has no instance.
	// Becomes: with true min-scale 0, with false at least 1; an annotation of the component wins.
	HibernationEnabled *bool `yaml:"hibernationEnabled"`
	// CPUTimeWindow: How long a metric is looked at. Becomes: nothing (a note).
	CPUTimeWindow *int `yaml:"cpuTimeWindow"`
	// MemoryTimeWindow: How long a metric is looked at. Becomes: nothing (a note).
	MemoryTimeWindow *int `yaml:"memoryTimeWindow"`
	Rest             Rest
}
