package translate

import (
	"cmp"
	"slices"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"

	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/internal/parallel"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/resources"
	"github.com/unip-knative/unip/translate/validate"
)

// Options of a translation.
type Options struct {
	Config installation.Config
	Images resources.Images
	// Worker are the files of the worker, worker.py and what it reads.
	Worker map[string][]byte
	// NoNamespace leaves the Namespace object out.
	NoNamespace bool
	// Lenient turns unknown fields into warnings.
	Lenient bool
	// AllowForeign carries objects of other groups through wherever they go: into other namespaces,
	// and cluster-wide ones.
	AllowForeign bool
}

// Object is what is applied to a cluster.
type Object interface {
	metav1.Object
	runtime.Object
}

// object is one generated object with the place of the manifest that it comes from.
type object struct {
	Object
	from manifest.Position
	kind string
	rank int
}

// Translate translates a module. When the findings hold an error, there are no objects.
func Translate(files []manifest.File, o Options) ([]Object, manifest.Diagnostics) {
	m, found := manifest.Read(files)
	if o.Lenient {
		found.Lenient()
	}
	c := &checker{found: &found, config: o.Config, module: m, allowForeign: o.AllowForeign}
	c.check()
	var made []object
	if !found.Failed() {
		made = c.make(o)
		c.collisions(made)
		var rules validate.Rules
		problems := make([][]validate.Problem, len(made))
		_ = parallel.Do(len(made), func(i int) error { // nothing here fails
			problems[i] = rules.Object(made[i].Object)
			return nil
		})
		for i, x := range made {
			for _, problem := range problems[i] {
				at := x.from
				if s := c.parts[x.GetName()]; s != nil && x.kind == "Service" && s.Position == x.from {
					at = origin(s, problem.Path)
				}
				found.Errorf(at, "%s %s: %s", x.kind, x.GetName(), problem.Message)
			}
		}
	}
	if !found.Failed() {
		c.noteCarried()
	}
	found.Sort()
	if found.Failed() {
		return nil, found
	}
	slices.SortStableFunc(made, func(a, b object) int {
		return cmp.Or(cmp.Compare(a.rank, b.rank), cmp.Compare(a.GetNamespace(), b.GetNamespace()), cmp.Compare(a.kind, b.kind), cmp.Compare(a.GetName(), b.GetName()))
	})
	out := make([]Object, len(made))
	for i, x := range made {
		out[i] = x.Object
	}
	return out, found
}

// order is that of application: what others refer to comes first, and the controller's Role before
// what it works on; but after the Secrets, for the RoleBinding makes it look for the module's key.
// Kinds that are not here come last.
var order = []string{"Namespace", "NetworkPolicy", "ServiceAccount", "Secret", "Role", "RoleBinding", "ConfigMap", "DataBox", "Broker", "Pipeline", "Trigger", "PingSource"}

func rank(kind string) int {
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	return len(order)
}

// pods are the kinds of pods that the module has.
func (c *checker) pods() (kinds []string) {
	if len(c.module.Components) > 0 {
		kinds = append(kinds, "mlcomponent")
	}
	if len(c.module.APIs) > 0 {
		kinds = append(kinds, "gateway")
	}
	if len(c.module.Pipelines) > 0 {
		kinds = append(kinds, "stage")
	}
	return kinds
}

// make makes all objects of a module that has been checked.
func (c *checker) make(o Options) []object {
	m := resources.Module{Namespace: c.namespace, Config: o.Config, Images: o.Images, Worker: o.Worker}
	var all []object
	add := func(from manifest.Position, x Object) {
		kind := x.GetObjectKind().GroupVersionKind().Kind
		all = append(all, object{x, from, kind, rank(kind)})
	}
	first := c.first
	if c.namespace != "" && !o.NoNamespace {
		add(first, resources.MakeNamespace(m))
	}
	for _, s := range c.module.Secrets {
		if s.Data != nil || s.StringData != nil {
			add(s.Position, resources.MakeSecret(m, s))
		}
	}
	var components []resources.Component
	for _, x := range c.module.Components {
		components = append(components, c.component(x))
	}
	routes := c.routes()
	storage := c.storage(routes)
	sessions := resources.Sessions(components, storage)
	for _, b := range c.module.Boxes {
		add(b.Position, resources.MakeDataBox(m, b, sessions[b.Meta.Name.Value]))
	}
	key := len(c.module.Components)+len(c.module.APIs) > 0
	if key {
		add(first, resources.MakeModuleKey(m))
	}
	if key || len(c.module.Boxes)+len(c.module.Pipelines) > 0 {
		role, binding := resources.MakeControllerRole(m, key)
		add(first, role)
		add(first, binding)
	}
	if o.Config.NetworkPolicies.Enabled {
		for _, kind := range c.pods() {
			add(first, resources.MakeNetworkPolicy(m, kind))
		}
	}
	var worker *corev1.ConfigMap
	for i, x := range c.module.Components {
		if worker == nil {
			worker = resources.MakeWorker(m)
			add(first, worker)
		}
		component := components[i]
		add(x.Position, resources.MakeServiceAccount(m, component.Name, "mlcomponent"))
		add(x.Position, resources.MakeComponent(m, component, worker))
	}
	if len(c.module.APIs) > 0 {
		from := c.module.APIs[0].Position
		config := resources.MakeRoutes(m, routes, storage)
		add(from, resources.MakeGatewayAccount(m, len(storage.Pipelines) > 0))
		add(from, config)
		add(from, resources.MakeGateway(m, routes, storage, config))
		if len(storage.Pipelines) > 0 {
			role, binding := resources.MakeGatewayRole(m)
			add(from, role)
			add(from, binding)
		}
	}
	for i, x := range c.module.Pipelines {
		if i == 0 {
			add(first, resources.MakeBroker(m))
		}
		name, spec := x.Meta.Name.Value, c.pipelineSpec(m, x)
		add(x.Position, resources.MakePipeline(m, name, spec))
		add(x.Position, resources.MakeChainTrigger(m, name, spec.Schedule != ""))
		for j, r := range spec.OnUpload {
			add(x.Position, resources.MakeUploadTrigger(m, name, j, r))
		}
		if spec.Schedule != "" {
			add(x.Position, resources.MakePingSource(m, name, spec))
		}
	}
	for _, f := range c.module.Foreign {
		add(f.Position, &unstructured.Unstructured{Object: f.Object})
	}
	return all
}
