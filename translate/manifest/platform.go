package manifest

import (
	"cmp"
	"reflect"

	"gopkg.in/yaml.v3"
)

// Kind is one of the platform's kinds.
type Kind struct {
	Name string
	// APIVersion of its objects; "" is that of the platform.
	APIVersion string
	// Text is what an object of it is and becomes.
	Text string
	// Spec is the type of its spec.
	Spec reflect.Type
	read func(d *decoderOf, n, kind *yaml.Node, m *Module)
}

// Kinds are all of them, in the order of the documentation.
var Kinds = []Kind{
	{
		Name: "DataBox",
		Text: "Storage: a bucket of the module's own, or a read-only reference to another module's. Becomes a `DataBox` " +
			"custom resource; the controller makes the bucket, its notifications and its credentials.",
		Spec: reflect.TypeFor[DataBoxSpec](),
		read: into(func(m *Module) *[]*DataBox { return &m.Boxes },
			func(o *DataBox) any { return &o.Spec }),
	},
	{
		Name: "MLComponent",
		Text: "A Python function served synchronously. Becomes a Knative Service that scales to zero " +
			"(cluster-local) and its ServiceAccount; all components share one immutable ConfigMap with the worker.",
		Spec: reflect.TypeFor[MLComponentSpec](),
		read: into(func(m *Module) *[]*MLComponent { return &m.Components },
			func(o *MLComponent) any { return &o.Spec }),
	},
	{
		Name: "ExperimentPipeline",
		Text: "Containers in stages that hand files to each other. Becomes a `Pipeline` custom resource, " +
			"one Trigger for its chain and one for each on-upload rule, and for a schedule a PingSource; the module gets a Broker.",
		Spec: reflect.TypeFor[ExperimentPipelineSpec](), read: (*decoderOf).pipeline,
	},
	{
		Name: "APIComponent",
		Text: "The HTTP API of files, of runs, of one component or of one pipeline. All of a module's become one " +
			"Knative Service `gateway` with an immutable ConfigMap of its routes.",
		Spec: reflect.TypeFor[APIComponentSpec](),
		read: into(func(m *Module) *[]*APIComponent { return &m.APIs },
			func(o *APIComponent) any { return &o.Spec }),
	},
	{
		Name: "Secret",
		Text: "Values that others must not see. Becomes a core Secret. The fields may also stand at the top, as those " +
			"of a core Secret do, each at one of the two places.",
		Spec: reflect.TypeFor[SecretSpec](), read: (*decoderOf).secret,
	},
	{
		Name: "Repository",
		Text: "Where the module's source is. No object is made of it. The platform's own fields are not known: those " +
			"here are unip's, and others are kept and noted.",
		Spec: reflect.TypeFor[RepositorySpec](),
		read: into(func(m *Module) *[]*Repository { return &m.Repositories },
			func(o *Repository) any { return &o.Spec }),
	},
	{
		Name: "PlatformApp",
		Text: "The application that the module is to the platform. No object is made of it. The platform's own fields " +
			"are not known: those here are unip's, and others are kept and noted.",
		Spec: reflect.TypeFor[PlatformAppSpec](),
		read: into(func(m *Module) *[]*PlatformApp { return &m.Apps },
			func(o *PlatformApp) any { return &o.Spec }),
	},
	{
		Name: "DatasetComponent",
		Text: "A dataset of a data module: a folder of one of its boxes, which other modules may read. Becomes a " +
			"`DatasetComponent` custom resource. The platform's own fields are not known: those here are unip's, and " +
			"others are kept and noted.",
		Spec: reflect.TypeFor[DatasetComponentSpec](),
		read: into(func(m *Module) *[]*DatasetComponent { return &m.Datasets },
			func(o *DatasetComponent) any { return &o.Spec }),
	},
	{
		Name: "ScalingConfig", APIVersion: AutoscalerAPIVersion,
		Text: "A rule of the platform's autoscaler, whose work Knative does here. No object is made of it. It may be in " +
			"another namespace than the module (a note), as the autoscaler takes it: its target's namespace counts.",
		Spec: reflect.TypeFor[ScalingConfigSpec](),
		read: into(func(m *Module) *[]*ScalingConfig { return &m.Scalings },
			func(o *ScalingConfig) any { return &o.Spec }),
	},
}

// Version is the apiVersion of a kind's objects.
func (k Kind) Version() string { return cmp.Or(k.APIVersion, APIVersion) }

// into reads the objects of a kind into their list, when all of an object can be read.
func into[T any, P interface {
	*T
	Head() *Header
}](list func(*Module) *[]*T, spec func(P) any) func(d *decoderOf, n, kind *yaml.Node, m *Module) {
	return func(d *decoderOf, n, kind *yaml.Node, m *Module) {
		o := P(new(T))
		if d.object(n, kind, o.Head(), spec(o), m) {
			*list(m) = append(*list(m), (*T)(o))
		}
	}
}

func (d *decoderOf) pipeline(n, kind *yaml.Node, m *Module) {
	o := &ExperimentPipeline{}
	ok := d.object(n, kind, &o.Header, &o.Spec, m)
	if rules, has := o.Meta.Annotations[OnUpload.Name]; has {
		ok = d.embedded(rules, "metadata.annotations: "+OnUpload.Name, &o.Uploads) && ok
	}
	if !ok {
		m.Unread[kind.Value+"/"+o.Meta.Name.Value] = true
		return
	}
	m.Pipelines = append(m.Pipelines, o)
}
