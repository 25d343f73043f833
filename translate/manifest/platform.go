package manifest

import (
	"reflect"

	"gopkg.in/yaml.v3"
)

// Kind is one of the platform's kinds.
type Kind struct {
	Name string
	// Text is what an object of it is and becomes; "" when it becomes nothing, or what one sentence
	// says.
	Text string
	// Spec is the type of its spec; nil: any fields.
	Spec reflect.Type
	read func(d *decoderOf, n, kind *yaml.Node, m *Module)
}

// Kinds are all of them, in the order of the documentation.
var Kinds = []Kind{
	{
		"DataBox",
		"Storage: a bucket of the module's own, or a read-only reference to another module's. Becomes a `DataBox` " +
			"custom resource; the controller makes the bucket, its notifications and its credentials.",
		reflect.TypeFor[DataBoxSpec](), (*decoderOf).dataBox,
	},
	{
		"MLComponent", "A Python function served synchronously. Becomes a Knative Service that scales to zero " +
			"(cluster-local) and its ServiceAccount; all components share one immutable ConfigMap with the worker.",
		reflect.TypeFor[MLComponentSpec](), (*decoderOf).mlComponent,
	},
	{
		"ExperimentPipeline",
		"Containers in stages that hand files to each other. Becomes a `Pipeline` custom resource, " +
			"one Trigger for its chain and one for each on-upload rule, and for a schedule a PingSource; the module gets a Broker.",
		reflect.TypeFor[ExperimentPipelineSpec](), (*decoderOf).pipeline,
	},
	{
		"APIComponent",
		"The HTTP API of files, of runs, of one component or of one pipeline. All of a module's become one " +
			"Knative Service `gateway` with an immutable ConfigMap of its routes.",
		reflect.TypeFor[APIComponentSpec](), (*decoderOf).apiComponent,
	},
	{Name: "Secret", read: (*decoderOf).secret},
	{Name: "Repository", read: (*decoderOf).joins},
	{Name: "PlatformApp", read: (*decoderOf).joins},
	{Name: "DatasetComponent", read: (*decoderOf).datasetComponent},
}

func (d *decoderOf) dataBox(n, kind *yaml.Node, m *Module) {
	o := &DataBox{}
	if d.object(n, kind, &o.Header, &o.Spec, m) {
		m.Boxes = append(m.Boxes, o)
	}
}

func (d *decoderOf) mlComponent(n, kind *yaml.Node, m *Module) {
	o := &MLComponent{}
	if d.object(n, kind, &o.Header, &o.Spec, m) {
		m.Components = append(m.Components, o)
	}
}

func (d *decoderOf) apiComponent(n, kind *yaml.Node, m *Module) {
	o := &APIComponent{}
	if d.object(n, kind, &o.Header, &o.Spec, m) {
		m.APIs = append(m.APIs, o)
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

func (d *decoderOf) joins(n, kind *yaml.Node, _ *Module) {
	d.found.Notef(d.at(n), "%s has no effect here: it joins a module to the platform's own repository and registry",
		kind.Value)
}

func (d *decoderOf) datasetComponent(n, _ *yaml.Node, _ *Module) {
	d.found.Notef(d.at(n), "DatasetComponent has no effect here: to share a dataset, annotate its DataBox with %s",
		SharedWith.Name)
}
