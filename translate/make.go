package translate

import (
	"slices"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
	"github.com/unip-knative/unip/translate/resources"
)

// object is one generated object with the place of the manifest that it comes from.
type object struct {
	Object
	from manifest.Position
	kind string
	rank int
	// component is what a Knative Service was made of, except the gateway's.
	component *module.Component
}

// order is that of application: what others refer to comes first, and the controller's Role before
// what it works on; but after the Secrets, for the RoleBinding makes it look for the module's key.
// Kinds that are not here come last.
var order = []string{
	"Namespace", "NetworkPolicy", "ServiceAccount", "Secret", "Role", "RoleBinding", "ConfigMap", "DataBox",
	"DatasetComponent", "Broker",
	"Pipeline",
	"Trigger", "PingSource",
}

func rank(kind string) int {
	if i := slices.Index(order, kind); i >= 0 {
		return i
	}
	return len(order)
}

// maker gathers the objects of a module.
type maker struct {
	*module.Module
	shared  resources.Module
	objects []object
}

func (k *maker) add(from manifest.Position, all ...Object) {
	for _, x := range all {
		kind := x.GetObjectKind().GroupVersionKind().Kind
		k.objects = append(k.objects, object{Object: x, from: from, kind: kind, rank: rank(kind)})
	}
}

// carried adds objects that carry labels of a manifest.
func (k *maker) carried(from manifest.Position, labels map[string]string, all ...Object) {
	for _, x := range all {
		resources.Carry(x, labels)
	}
	k.add(from, all...)
}

// makeAll makes all objects of a module.
func makeAll(m *module.Module, o Options) []object {
	k := &maker{Module: m, shared: resources.Module{Namespace: m.Namespace, Config: o.Config, Images: o.Images,
		Worker: o.Worker}}
	if m.Namespace != "" && !o.NoNamespace {
		k.add(m.At, resources.MakeNamespace(k.shared))
	}
	for _, s := range m.Secrets {
		if s.Data != nil {
			k.carried(s.Position, s.Labels, resources.MakeSecret(k.shared, s))
		}
	}
	sessions := resources.Sessions(m.Components, m.Storage)
	for _, b := range m.Boxes {
		k.carried(b.Position, b.Labels, resources.MakeDataBox(k.shared, b, sessions[b.Name]))
	}
	for _, d := range m.Datasets {
		k.carried(d.Position, d.Labels, resources.MakeDataset(k.shared, d))
	}
	k.module()
	k.components()
	if len(m.APIs) > 0 {
		k.gateway(m.APIs[0].Position)
	}
	k.pipelines()
	for _, x := range k.objects {
		resources.Describe(x, m.Source)
	}
	for i := range m.Foreign {
		k.add(m.Foreign[i].Position, &m.Foreign[i].Object)
	}
	return k.objects
}

// module makes what a module has once.
func (k *maker) module() {
	key := len(k.Components)+len(k.APIs) > 0
	if key {
		k.add(k.At, resources.MakeModuleKey(k.shared))
	}
	if key || len(k.Boxes)+len(k.Pipelines) > 0 {
		role, binding := resources.MakeControllerRole(k.shared, key)
		k.add(k.At, role, binding)
	}
	if k.shared.Config.NetworkPolicies.Enabled {
		for _, kind := range k.pods() {
			k.add(k.At, resources.MakeNetworkPolicy(k.shared, kind))
		}
	}
	if len(k.Pipelines) > 0 {
		k.add(k.At, resources.MakeBroker(k.shared))
	}
}

// pods are the kinds of pods that the module has.
func (k *maker) pods() (kinds []string) {
	if len(k.Components) > 0 {
		kinds = append(kinds, "mlcomponent")
	}
	if len(k.APIs) > 0 {
		kinds = append(kinds, "gateway")
	}
	if len(k.Pipelines) > 0 {
		kinds = append(kinds, "stage")
	}
	return kinds
}

func (k *maker) components() {
	if len(k.Components) == 0 {
		return
	}
	worker := resources.MakeWorker(k.shared)
	k.add(k.At, worker)
	for i := range k.Components {
		c := &k.Components[i]
		service := resources.MakeComponent(k.shared, *c, worker)
		resources.Publish(service, k.Routes())
		k.carried(c.Position, c.Labels, resources.MakeServiceAccount(k.shared, c.Name, "mlcomponent"), service)
		k.objects[len(k.objects)-1].component = c
	}
}

func (k *maker) gateway(from manifest.Position) {
	apis, role := k.Routes(), len(k.Storage.Pipelines)+len(k.Storage.Developers) > 0
	file := k.RoutesFile()
	file.Site = k.shared.Config.Host
	routes := resources.MakeRoutes(k.shared, file)
	k.carried(from, k.Labels, resources.MakeGatewayAccount(k.shared, role), routes,
		resources.MakeGateway(k.shared, apis, k.Storage, routes))
	if role {
		role, binding := resources.MakeGatewayRole(k.shared, k.Storage)
		k.carried(from, k.Labels, role, binding)
	}
}

func (k *maker) pipelines() {
	for _, p := range k.Pipelines {
		k.carried(p.Position, p.Labels,
			resources.MakePipeline(k.shared, p.Name, p.Spec),
			resources.MakeChainTrigger(k.shared, p.Name, p.Spec.Schedule != ""))
		for i, r := range p.Spec.OnUpload {
			k.carried(p.Position, p.Labels, resources.MakeUploadTrigger(k.shared, p.Name, i, r))
		}
		if p.Spec.Schedule != "" {
			k.carried(p.Position, p.Labels, resources.MakePingSource(k.shared, p.Name, p.Spec))
		}
	}
}

// identity is what the API server tells objects apart by.
type identity struct {
	schema.GroupKind
	namespace, name string
}

// checkCollisions finds objects of other groups that would be written in the place of a generated
// one, or of each other.
func checkCollisions(found *manifest.Diagnostics, made []object) {
	seen := map[identity]object{}
	for _, foreigners := range []bool{false, true} { // generated objects come first
		for _, x := range made {
			if _, is := x.Object.(*unstructured.Unstructured); is != foreigners {
				continue
			}
			id := identity{x.GetObjectKind().GroupVersionKind().GroupKind(), x.GetNamespace(), x.GetName()}
			before, taken := seen[id]
			switch _, twice := before.Object.(*unstructured.Unstructured); {
			case taken && twice:
				found.Errorf(x.from, "%s %s is there twice; first at %s", x.kind, id.name, before.from)
			case taken:
				found.Errorf(x.from, "%s %s: the name is one of unip's own in this module", x.kind, id.name)
			default:
				seen[id] = x
			}
		}
	}
}
