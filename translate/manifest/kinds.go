package manifest

import "gopkg.in/yaml.v3"

// Group and Version of the platform's manifests.
const (
	Group      = "unified-platform.cs.hse.ru"
	APIVersion = Group + "/v1"
)

// Meta is an object's metadata.
type Meta struct {
	At
	Name        Text              `yaml:"name"`
	Namespace   Text              `yaml:"namespace"`
	Labels      map[string]string `yaml:"labels"`
	Annotations map[string]Text   `yaml:"annotations"`
}

// Header is what all objects have.
type Header struct {
	At
	Kind string
	Meta Meta
}

// DataBox is storage: a bucket of the module's own, or a reference to another module's dataset.
type DataBox struct {
	Header
	Spec DataBoxSpec
}

// DataBoxSpec has exactly one of its fields.
type DataBoxSpec struct {
	At
	S3DefaultStorage *Storage   `yaml:"s3DefaultStorage"`
	DatasetReference *Reference `yaml:"datasetReference"`
}

// Storage is a plain storage box.
type Storage struct {
	At
	Capacity *Text `yaml:"capacity"` // a Kubernetes quantity; default 1G
}

// Reference points at a dataset.
type Reference struct {
	At
	DatasetComponentRef *NamespacedName `yaml:"datasetComponentRef"`
}

// NamespacedName names an object of another namespace.
type NamespacedName struct {
	At
	Name      Text `yaml:"name"`
	Namespace Text `yaml:"namespace"`
}

// MLComponent is a Python function served synchronously.
type MLComponent struct {
	Header
	Spec MLComponentSpec
}

// MLComponentSpec describes the function, its image and its model.
type MLComponentSpec struct {
	At
	Image          *Image          `yaml:"image"`
	ServicePort    *int            `yaml:"servicePort"` // default 8002
	Env            []Env           `yaml:"env"`
	EnvFrom        []EnvFrom       `yaml:"envFrom"`
	MLService      *MLService      `yaml:"mlService"`
	ConnectedBoxes []ConnectedBox  `yaml:"connectedBoxes"`
	ResourceLimits map[string]Text `yaml:"resourceLimits"`
}

// Image names an image that exists.
type Image struct {
	At
	ExistingImageName Text `yaml:"existingImageName"`
}

// Env is one environment variable.
type Env struct {
	At
	Name  Text `yaml:"name"`
	Value Text `yaml:"value"`
}

// EnvFrom takes all keys of a Secret or a ConfigMap as environment variables.
type EnvFrom struct {
	At
	Prefix       string   `yaml:"prefix"`
	SecretRef    *NameRef `yaml:"secretRef"`
	ConfigMapRef *NameRef `yaml:"configMapRef"`
}

// NameRef names an object of the module.
type NameRef struct {
	At
	Name     Text `yaml:"name"`
	Optional bool `yaml:"optional"`
}

// MLService says what is called, and with which model.
type MLService struct {
	At
	PackageRegistryName       Text `yaml:"packageRegistryName"`
	PublicPackageRegistryName Text `yaml:"publicPackageRegistryName"`
	Inference                 Text `yaml:"inference"`   // package.module:function
	ModelLoader               Text `yaml:"modelLoader"` // the same form; called once with the model's path
	ModelBox                  Text `yaml:"modelBox"`
	ModelPath                 Text `yaml:"modelPath"` // in the container
}

// ConnectedBox says where a box's objects are in the container.
type ConnectedBox struct {
	At
	Name         Text          `yaml:"name"`
	MountS3Box   *MountS3Box   `yaml:"mountS3Box"`
	MountDataset *MountDataset `yaml:"mountDataset"`
}

// MountS3Box maps a path of a storage box to one of the container.
type MountS3Box struct {
	At
	S3Path    Text `yaml:"s3Path"`
	MountPath Text `yaml:"mountPath"`
	ReadOnly  bool `yaml:"readOnly"`
}

// MountDataset maps a dataset to a path of the container.
type MountDataset struct {
	At
	MountPath Text `yaml:"mountPath"`
}

// APIComponent publishes something of the module over HTTP: exactly one of files, pipelines, mlComponent, experimentPipeline.
type APIComponent struct {
	Header
	Spec APIComponentSpec
}

// APIComponentSpec says what and how.
type APIComponentSpec struct {
	At
	Published          *bool       `yaml:"published"`
	Files              *Section    `yaml:"files"`
	Pipelines          *Section    `yaml:"pipelines"`
	MLComponent        *Ref        `yaml:"mlComponent"`
	ExperimentPipeline *Ref        `yaml:"experimentPipeline"`
	RestfulAPI         *RestfulAPI `yaml:"restfulApi"`
	APISpec            *APISpec    `yaml:"apiSpec"`
}

// Section is there or not; it has no fields.
type Section struct{ At }

// Ref names one object or variable.
type Ref struct {
	At
	Name Text `yaml:"name"`
}

// APISpec says which variables of a pipeline a caller gives and gets.
type APISpec struct {
	At
	Inputs  []APIVariable `yaml:"inputs"`
	Outputs []APIVariable `yaml:"outputs"`
}

// APIVariable is one of them.
type APIVariable struct {
	At
	Name        Text          `yaml:"name"`
	Description string        `yaml:"description"`
	Required    *bool         `yaml:"required"` // default true
	Type        *VariableType `yaml:"type"`
}

// VariableType says what a variable may hold.
type VariableType struct {
	At
	Datatypes    []string `yaml:"datatypes"`
	ContentTypes []string `yaml:"content_types"`
}

// RestfulAPI is how an API is reached.
type RestfulAPI struct {
	At
	Path                Text  `yaml:"path"`
	Auth                *Auth `yaml:"auth"`
	IdentityPassThrough *bool `yaml:"identityPassThrough"`
}

// Auth says who may call.
type Auth struct {
	At
	Basic               *Basic     `yaml:"basic"`
	OIDC                *yaml.Node `yaml:"oidc"`
	IdentityPassThrough *bool      `yaml:"identityPassThrough"`
}

// Basic is HTTP's Basic authentication.
type Basic struct {
	At
	Credentials         Text  `yaml:"credentials"` // name of a Secret: one key per user
	IdentityPassThrough *bool `yaml:"identityPassThrough"`
}

// Secret is the platform's; data may stand at the top or below spec.
type Secret struct {
	Header
	Data       map[string]string
	StringData map[string]string
	Type       string // default Opaque
}

// Foreign is an object of another group, carried through.
type Foreign struct {
	Header
	APIVersion string
	Object     map[string]any
}

// Module is all that was read.
type Module struct {
	Boxes      []*DataBox
	Components []*MLComponent
	Pipelines  []*ExperimentPipeline
	APIs       []*APIComponent
	Secrets    []*Secret
	Foreign    []*Foreign
	// Unread are the objects that are there but could not be read, by kind/name: what refers to one is not wrong for that.
	Unread map[string]bool
}

// Lacks reports that no object of the kind and name is among the manifests, not even one that could not be read.
func (m *Module) Lacks(kind, name string, read bool) bool { return !read && !m.Unread[kind+"/"+name] }
