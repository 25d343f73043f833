package manifest

import (
	"maps"
	"slices"
)

// Group and Version of the platform's manifests.
const (
	Group      = "unified-platform.cs.hse.ru"
	APIVersion = Group + "/v1"
)

// Meta is an object's metadata.
type Meta struct {
	At
	// Name: Required. The name of the object. Becomes: the name of what is made of it. Constraint:
	// a DNS label of at most 63 characters that begins with a letter (pipelines 40); not gateway.
	Name Text `yaml:"name"`
	// Namespace: Required. The module. Becomes: the Namespace. Constraint: the same in all objects;
	// a DNS label.
	Namespace Text `yaml:"namespace"`
	// Labels: Labels. Becomes: labels of what is made of the object: of an MLComponent's pods too,
	// of a box's Secrets, and of a pipeline's runs with the Jobs, pods and Secrets of their stages;
	// those of APIComponents of the gateway. Where unip has one of its own, that stays (a note).
	// Constraint: as Kubernetes has them; none below kubernetes.io, k8s.io, knative.dev or the
	// platform's groups, but app.kubernetes.io/….
	Labels map[string]Text `yaml:"labels"`
	// Annotations: Annotations. Becomes: those with the prefix knative.unified-platform.cs.hse.ru/
	// are settings, see below; others nothing (a note).
	Annotations map[string]Text `yaml:"annotations"`
}

// Header is what all objects have.
type Header struct {
	At
	Kind string
	Meta Meta
}

// Head is the header of any kind.
func (h *Header) Head() *Header { return h }

// DataBox is storage: a bucket of the module's own, or a reference to another module's dataset.
type DataBox struct {
	Header
	Spec DataBoxSpec
}

// DataBoxSpec has exactly one of its fields.
type DataBoxSpec struct {
	At
	// S3DefaultStorage: A bucket of the module's own. Becomes: the box's bucket. Constraint:
	// exactly one of the two fields.
	S3DefaultStorage *Storage `yaml:"s3DefaultStorage"`
	// DatasetReference: Another module's dataset, to be read only. Becomes: sessions that read it.
	// Constraint: the DatasetComponent, or where there is none the DataBox, of that name must be
	// shared with this namespace.
	DatasetReference *Reference `yaml:"datasetReference"`
}

// Storage is a plain storage box.
type Storage struct {
	At
	// Capacity: How much it may hold. Default: 1G. Becomes: the capacity of the DataBox; what does
	// not fit is refused (`box-full`, `BoxFull`). Constraint: a positive Kubernetes quantity of whole
	// bytes.
	Capacity *Quantity `yaml:"capacity"`
}

// Reference points at a dataset.
type Reference struct {
	At
	// DatasetComponentRef: Required. The DatasetComponent meant, or the DataBox where there is none of
	// that name.
	DatasetComponentRef *NamespacedName `yaml:"datasetComponentRef"`
}

// NamespacedName names an object of another namespace.
type NamespacedName struct {
	At
	// Name: Required. Its name.
	Name Text `yaml:"name"`
	// Namespace: Required. Its namespace.
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
	// Image: Required. The author's image. Becomes: the container function.
	Image *Image `yaml:"image"`
	// ServicePort: The port of the service. Default: 8002. Becomes: the port of the container
	// server. Constraint: 1024 to 65535, none that Knative or unip has (9464).
	ServicePort *int `yaml:"servicePort"`
	// Env: Environment variables. Becomes: env of the container function.
	Env []Env `yaml:"env"`
	// EnvFrom: Environment variables from objects. Becomes: envFrom of the container function.
	EnvFrom []EnvFrom `yaml:"envFrom"`
	// MLService: Required. What is called, and with which model.
	MLService *MLService `yaml:"mlService"`
	// ConnectedBoxes: Boxes whose files the function has, and with the model and callers' files.
	// Becomes: a volume mount of the container function for each, with the files of the box when the
	// function is imported; of storage boxes, sessions of the container server for FILE inputs and
	// outputs too, the first that is not readOnly is the usual one. Constraint: mountPaths beside one
	// another.
	ConnectedBoxes []ConnectedBox `yaml:"connectedBoxes"`
	// ResourceLimits: Limits by resource. Default: the installation's. Becomes: limits of the
	// container function, and requests beside them. Constraint: Kubernetes resource names and
	// quantities; memory 6Mi at least, ephemeral-storage 1Mi.
	ResourceLimits map[string]Quantity `yaml:"resourceLimits"`
}

// Image names an image that exists.
type Image struct {
	At
	// ExistingImageName: Required. The image, with its registry. Becomes: image. Constraint: an
	// image reference without blanks.
	ExistingImageName Text `yaml:"existingImageName"`
}

// Env is one environment variable.
type Env struct {
	At
	// Name: Required. The variable. Constraint: an environment variable's name; not PORT,
	// K_SERVICE, K_CONFIGURATION, K_REVISION, K_SINK or UNIP_…; each once.
	Name Text `yaml:"name"`
	// Value: Its value, a string. Constraint: numbers and booleans must be quoted.
	Value Text `yaml:"value"`
	// ValueFrom: Where its value is, in place of value.
	ValueFrom *EnvSource `yaml:"valueFrom"`
}

// EnvSource is a key of a Secret or of a ConfigMap: exactly one of them.
type EnvSource struct {
	At
	// SecretKeyRef: A key of a Secret of the module. Becomes: secretKeyRef. Constraint: none that
	// unip makes.
	SecretKeyRef *KeyRef `yaml:"secretKeyRef"`
	// ConfigMapKeyRef: A key of a ConfigMap of the module. Becomes: configMapKeyRef. Constraint:
	// none that unip makes.
	ConfigMapKeyRef *KeyRef `yaml:"configMapKeyRef"`
}

// KeyRef names a key of an object of the module.
type KeyRef struct {
	At
	// Name: Required. The object's name.
	Name Text `yaml:"name"`
	// Key: Required. The key in it.
	Key Text `yaml:"key"`
	// Optional: Whether it may be missing; the variable is then not set. Default: false.
	Optional bool `yaml:"optional"`
}

// EnvFrom takes all keys of a Secret or a ConfigMap as environment variables.
type EnvFrom struct {
	At
	// Prefix: Stands before each key.
	Prefix string `yaml:"prefix"`
	// SecretRef: A Secret of the module. Constraint: none that unip makes.
	SecretRef *NameRef `yaml:"secretRef"`
	// ConfigMapRef: A ConfigMap of the module. Constraint: none that unip makes.
	ConfigMapRef *NameRef `yaml:"configMapRef"`
}

// NameRef names an object of the module.
type NameRef struct {
	At
	// Name: Required. Its name.
	Name Text `yaml:"name"`
	// Optional: Whether it may be missing. Default: false.
	Optional bool `yaml:"optional"`
}

// MLService says what is called, and with which model.
type MLService struct {
	At
	// PackageRegistryName: A package registry. Becomes: nothing (a note): packages belong into the
	// image. Constraint: the externalName of a PlatformApp's registry, else there is a warning.
	PackageRegistryName Text `yaml:"packageRegistryName"`
	// PublicPackageRegistryName: A public package registry. Becomes: nothing (a note).
	PublicPackageRegistryName Text `yaml:"publicPackageRegistryName"`
	// Inference: Required. The function. Becomes: --inference of the worker, which puts the folder of
	// the file, or the working folder, first on sys.path. Constraint: package.module:function,
	// package.module.function, or a file of the container: /folder/file.py:function, or
	// file.py:function from the working folder.
	Inference Text `yaml:"inference"`
	// ModelLoader: A function that is called once with the model's path; its result is the argument
	// model. Default: the path itself. Becomes: --model-loader. Constraint: the form of inference;
	// needs modelPath.
	ModelLoader Text `yaml:"modelLoader"`
	// ModelBox: The DataBox of the model. Constraint: a DataBox of the manifests.
	ModelBox Text `yaml:"modelBox"`
	// ModelPath: The model's path in the container; its object is found by connectedBoxes, else it
	// is the path below the box. Becomes: --model-object and --model-file. Constraint: an absolute,
	// clean path; with modelBox; its object not the whole box and not users/ or below it.
	ModelPath Text `yaml:"modelPath"`
}

// ConnectedBox says where a box's objects are in the container.
type ConnectedBox struct {
	At
	// Name: Required. The DataBox. Constraint: one of the manifests.
	Name Text `yaml:"name"`
	// MountS3Box: For a storage box. Constraint: exactly one of the two.
	MountS3Box *MountS3Box `yaml:"mountS3Box"`
	// MountDataset: For a dataset.
	MountDataset *MountDataset `yaml:"mountDataset"`
}

// MountS3Box maps a path of a storage box to one of the container.
type MountS3Box struct {
	At
	// S3Path: The folder in the box whose files lie at mountPath. Default: the box's root, without
	// users/. Becomes: of an MLComponent, its files when the function is imported, and where what calls
	// write is stored; the way from modelPath to the model's object; users mounts nothing (a note), it
	// is for FILE values. Of a pipeline, the folder that is at mountPath, where users/<path> is that
	// folder of the caller. Constraint: clean; of an MLComponent, not below users/.
	S3Path Text `yaml:"s3Path"`
	// MountPath: Required. The folder in the container. Becomes: mountPath of a volume mount of the
	// container function. Constraint: an absolute, clean path; none of the system's, not the
	// function's own folder.
	MountPath Text `yaml:"mountPath"`
	// ReadOnly: Whether it is only read. Default: false. Becomes: a read-only mount, read sessions;
	// files that a function returns go elsewhere.
	ReadOnly bool `yaml:"readOnly"`
}

// MountDataset maps a dataset to a path of the container.
type MountDataset struct {
	At
	// MountPath: Required. The folder in the container. Becomes: a read-only volume mount of the
	// container function, with the dataset's files. Constraint: as of mountS3Box.
	MountPath Text `yaml:"mountPath"`
}

// APIComponent publishes something of the module over HTTP: exactly one of files, pipelines,
// mlComponent, experimentPipeline.
type APIComponent struct {
	Header
	Spec APIComponentSpec
}

// APIComponentSpec says what and how.
type APIComponentSpec struct {
	At
	// Published: Required. Whether it is reachable. Becomes: a route of the gateway, or none.
	Published *bool `yaml:"published"`
	// Files: The API of files. Constraint: exactly one of files, pipelines, mlComponent,
	// experimentPipeline; at most one APIComponent with files.
	Files *Section `yaml:"files"`
	// Pipelines: The API of runs of all pipelines.
	Pipelines *Section `yaml:"pipelines"`
	// MLComponent: The API of one MLComponent. Constraint: one of the manifests.
	MLComponent *Ref `yaml:"mlComponent"`
	// ExperimentPipeline: The API of one pipeline. Constraint: one of the manifests.
	ExperimentPipeline *Ref `yaml:"experimentPipeline"`
	// RestfulAPI: How it is reached and who may call. Constraint: without auth it is open to
	// everybody, which a note says.
	RestfulAPI *RestfulAPI `yaml:"restfulApi"`
	// APISpec: The variables a caller gives and gets. Constraint: with experimentPipeline only.
	APISpec *APISpec `yaml:"apiSpec"`
}

// Section is there or not; it has no fields.
type Section struct{ At }

// Ref names one object or variable.
type Ref struct {
	At
	// Name: Required. Its name.
	Name Text `yaml:"name"`
}

// APISpec says which variables of a pipeline a caller gives and gets.
type APISpec struct {
	At
	// Inputs: Variables that a caller gives. Constraint: variables of the pipeline or its
	// continuation that no stage writes.
	Inputs []APIVariable `yaml:"inputs"`
	// Outputs: Variables that a caller gets. Constraint: variables that a stage writes.
	Outputs []APIVariable `yaml:"outputs"`
}

// APIVariable is one of them.
type APIVariable struct {
	At
	// Name: Required. The variable.
	Name Text `yaml:"name"`
	// Description: For the OpenAPI document.
	Description string `yaml:"description"`
	// Required: Whether a call must name it: the file or folder of an input, the folder that an
	// output goes to. Default: true for inputs, false for outputs. Becomes: 400 for a call without
	// it, and required in the OpenAPI document; for outputs, this is unip's own reading.
	Required *bool `yaml:"required"`
	// Type: What it may hold.
	Type *VariableType `yaml:"type"`
}

// VariableType says what a variable may hold.
type VariableType struct {
	At
	// Datatypes: FILE for a file, FOLDER for a folder; the words are unip's reading. Default: both.
	// Becomes: 400 for a call that names the other; the OpenAPI document. Constraint: FILE, FOLDER.
	Datatypes []string `yaml:"datatypes"`
	// ContentTypes: Media types, image/* for all of a kind. Default: all. Becomes: 400 for a call that
	// names files of other types, of inputs; a run by an upload of one fails; the OpenAPI document.
	// Constraint: type/subtype in lower case.
	ContentTypes []string `yaml:"content_types"`
}

// RestfulAPI is how an API is reached.
type RestfulAPI struct {
	At
	// Path: The path below the module. Default: files, pipelines; required for the two others.
	// Becomes: /<namespace>/<path>/. Constraint: does not begin with files, pipelines, healthz or
	// readyz; each once.
	Path Text `yaml:"path"`
	// Auth: Who may call. Default: everybody.
	Auth *Auth `yaml:"auth"`
	// IdentityPassThrough: Whether the code behind the API may know who calls. Default: false.
	// Becomes: the argument user of a function, else None; UNIP_USER of a pipeline's stages, also in
	// runs that uploads start when all APIs of the pipeline say so. Constraint: nothing for files and
	// pipelines (a note); may stand in restfulApi, auth, basic or oidc, and says the same everywhere.
	IdentityPassThrough *bool `yaml:"identityPassThrough"`
}

// Auth says who may call.
type Auth struct {
	At
	// Basic: HTTP Basic.
	Basic *Basic `yaml:"basic"`
	// OIDC: OpenID Connect, alone or beside basic. Constraint: {} takes all from the installation;
	// one issuer in a module.
	OIDC *OIDC `yaml:"oidc"`
	// IdentityPassThrough: As above.
	IdentityPassThrough *bool `yaml:"identityPassThrough"`
}

// Basic is HTTP's Basic authentication.
type Basic struct {
	At
	// Credentials: Required. The Secret with one key per user, or htpasswd. Becomes: a volume of
	// the gateway. Constraint: none that unip makes; no user anonymous, none with a colon, a slash
	// or a control character in the name.
	Credentials Text `yaml:"credentials"`
	// IdentityPassThrough: As above.
	IdentityPassThrough *bool `yaml:"identityPassThrough"`
}

// OIDC is OpenID Connect: callers send a token of the issuer's, made for the client.
type OIDC struct {
	At
	// Issuer: Whose tokens are good. Default: the installation's. Constraint: an https URL, as the
	// provider spells it; http for a host in the cluster only (.svc).
	Issuer Text `yaml:"issuer"`
	// ClientID: The client that a token must be made for: in aud, or as azp. Default: the
	// installation's.
	ClientID Text `yaml:"clientId"`
	// Users: Who may call of those with a good token, as whole identities such as oidc:ann. Default:
	// who is in groups; everybody when there are none. Becomes: 403 not-allowed for all others.
	// Constraint: 1 to 1000, each once.
	Users []Text `yaml:"users"`
	// Groups: Groups of the issuer whose members may call, as the token spells them. Default: none.
	// Becomes: likewise. Constraint: 1 to 1000, each once.
	Groups []Text `yaml:"groups"`
	// GroupsClaim: The claim with the list of a user's groups, by its name or its way through objects
	// (realm_access.roles); one that is no list of texts is no group. Default: groups. Constraint: with groups.
	GroupsClaim Text `yaml:"groupsClaim"`
	// IdentityPassThrough: As above.
	IdentityPassThrough *bool `yaml:"identityPassThrough"`
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
	// Repositories, Apps and the others of the system kinds.
	Repositories []*Repository
	Apps         []*PlatformApp
	Datasets     []*DatasetComponent
	Scalings     []*ScalingConfig
	Foreign      []*Foreign
	// Unread are the objects that are there but could not be read, by kind/name: what refers to one
	// is not wrong for that.
	Unread map[string]bool
}

// Lacks reports that no object of the kind and name is among the manifests, not even one that could
// not be read.
func (m *Module) Lacks(kind, name string, read bool) bool { return !read && !m.Unread[kind+"/"+name] }

// Heads are the headers of all objects of the platform, in the order of their places.
func (m *Module) Heads() []*Header {
	all := slices.Concat(heads(m.Boxes), heads(m.Components), heads(m.Pipelines), heads(m.APIs), heads(m.Secrets),
		heads(m.Repositories), heads(m.Apps), heads(m.Datasets), heads(m.Scalings))
	slices.SortStableFunc(all, func(a, b *Header) int { return a.Position.Compare(b.Position) })
	return all
}

func heads[T interface{ Head() *Header }](objects []T) []*Header {
	all := make([]*Header, len(objects))
	for i, x := range objects {
		all[i] = x.Head()
	}
	return all
}

// add appends what another module holds.
func (m *Module) add(o *Module) {
	m.Boxes, m.Components, m.Pipelines = append(m.Boxes, o.Boxes...), append(m.Components, o.Components...),
		append(m.Pipelines, o.Pipelines...)
	m.APIs, m.Secrets, m.Foreign = append(m.APIs, o.APIs...), append(m.Secrets, o.Secrets...),
		append(m.Foreign, o.Foreign...)
	m.Repositories, m.Apps = append(m.Repositories, o.Repositories...), append(m.Apps, o.Apps...)
	m.Datasets, m.Scalings = append(m.Datasets, o.Datasets...), append(m.Scalings, o.Scalings...)
	maps.Copy(m.Unread, o.Unread)
}
