package module

import (
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/unip-knative/unip/translate/manifest"
)

// Component is an MLComponent.
type Component struct {
	Places
	Name, Image       string
	Labels            map[string]string
	PullSecrets       []corev1.LocalObjectReference
	Port              int
	Env               []corev1.EnvVar // values as they are written: a dollar is a dollar
	EnvFrom           []corev1.EnvFromSource
	Inference, Loader string // package.module:function, or file.py:function
	Model             *Model // nil: without
	Boxes             []FileBox
	Mounts            []Mount
	Connections       []Connection
	// Kept are the keys of all models in the boxes that calls write to: they write to none of them.
	Kept           map[string][]string
	Resources      corev1.ResourceRequirements
	TimeoutSeconds int
	Workers        int
	Concurrency    int  // hard limit per pod; 0: none
	Anonymous      bool // calls without the gateway's signature are answered
	Scaling        Scaling
}

// Places are where in the manifest the values of a component stand, or the component's own place.
type Places struct {
	manifest.Position
	Image, Port, Resources, Model manifest.Position
	Env, EnvFrom                  []manifest.Position
	Annotations                   map[string]manifest.Text
}

// FileBox is a box whose users' files a component reads, and writes unless it is read-only.
type FileBox struct {
	Name     string
	ReadOnly bool
}

const (
	defaultPort = 8002
	// metricsPort is where the container server answers Prometheus.
	metricsPort = 9464
)

// reservedPorts are queue-proxy's.
var reservedPorts = []int{8008, 8012, 8013, 8022, 9090, 9091}

func decideComponent(s *scope, x *manifest.MLComponent) Component {
	spec, c := &x.Spec, container{s, "spec"}
	out := Component{
		Places: placesOf(x), Name: x.Meta.Name.Value, Labels: labels(s, &x.Meta), PullSecrets: s.source.PullSecrets,
		Image: c.image(spec.Field("image"), spec.Image), Port: servicePort(s, spec),
		Env: c.env(spec.Env), EnvFrom: c.envFrom(spec.EnvFrom),
		Resources: c.limits(spec.ResourceLimits), Connections: connections(spec.ConnectedBoxes),
	}
	if spec.MLService == nil {
		s.Errorf(spec.Position, "spec.mlService is missing: it says which function is served")
	} else {
		out.Inference, out.Loader = functions(s, spec.MLService)
		out.Model = decideModel(s, x)
		decideUpdates(s, x, out.Model)
	}
	for _, b := range spec.ConnectedBoxes {
		checkConnected(s, b)
		out.Boxes = addFileBox(out.Boxes, b)
	}
	out.TimeoutSeconds = timeout(s, &x.Meta)
	out.Workers, _ = manifest.Workers.Of(&x.Meta, s.Diagnostics)
	out.Concurrency, _ = manifest.Concurrency.Of(&x.Meta, s.Diagnostics)
	out.Anonymous = anonymous(s, &x.Meta)
	out.Scaling = scaling(s, &x.Meta, out.Concurrency > 0)
	out.Mounts = componentMounts(s, x, out)
	noteLink(s, x, out.Model)
	return out
}

func placesOf(x *manifest.MLComponent) Places {
	or := func(at manifest.At, field string) manifest.Position {
		if at.Has(field) {
			return at.Field(field)
		}
		return x.Position
	}
	p := Places{
		Position: x.Position, Image: imageAt(x.Position, x.Spec.Image),
		Port:      or(x.Spec.At, "servicePort"),
		Resources: or(x.Spec.At, "resourceLimits"),
		Model:     x.Position, Annotations: x.Meta.Annotations,
	}
	if x.Spec.MLService != nil {
		p.Model = or(x.Spec.MLService.At, "modelPath")
	}
	for _, e := range x.Spec.Env {
		p.Env = append(p.Env, e.Position)
	}
	for _, e := range x.Spec.EnvFrom {
		p.EnvFrom = append(p.EnvFrom, e.Position)
	}
	return p
}

func servicePort(found *scope, spec *manifest.MLComponentSpec) int {
	if spec.ServicePort == nil {
		return defaultPort
	}
	port, at := *spec.ServicePort, spec.Field("servicePort")
	switch {
	case port < 1 || port > 65535:
		found.Errorf(at, "spec.servicePort: %d is not a port", port)
	case slices.Contains(reservedPorts, port):
		found.Errorf(at, "spec.servicePort: %d is one of Knative's own ports", port)
	case port == metricsPort:
		found.Errorf(at, "spec.servicePort: %d is where unip's server answers Prometheus; choose another one", port)
	case port < 1024:
		found.Errorf(at, "spec.servicePort: %d is below 1024, where a container without root cannot listen", port)
	}
	return port
}

// functions are the names of what is called, and of what loads the model.
func functions(found *scope, s *manifest.MLService) (inference, loader string) {
	for _, f := range []manifest.Text{s.PackageRegistryName, s.PublicPackageRegistryName} {
		if f.Value != "" {
			found.Notef(f.At, "the package registry %s has no effect here: nothing is installed into the image",
				f.Value)
		}
	}
	if r := s.PackageRegistryName; r.Value != "" && !found.registries[r.Value] {
		found.Warnf(r.At, "spec.mlService.packageRegistryName: no PlatformApp of the module declares %q "+
			"(spec.packageRegistries: [{externalName: …}])", r.Value)
	}
	if s.Inference.Value == "" {
		found.Errorf(s.Field("inference"), "spec.mlService.inference is missing: write package.module:function")
	}
	for field, f := range map[string]manifest.Text{"inference": s.Inference, "modelLoader": s.ModelLoader} {
		if f.Value != "" {
			checkFunction(found, field, f)
		}
	}
	return s.Inference.Value, s.ModelLoader.Value
}

// addFileBox adds a storage box; one that two entries name is writable when one of them is.
func addFileBox(all []FileBox, b manifest.ConnectedBox) []FileBox {
	if b.MountS3Box == nil {
		return all
	}
	i := slices.IndexFunc(all, func(x FileBox) bool { return x.Name == b.Name.Value })
	if i < 0 {
		return append(all, FileBox{Name: b.Name.Value, ReadOnly: b.MountS3Box.ReadOnly})
	}
	all[i].ReadOnly = all[i].ReadOnly && b.MountS3Box.ReadOnly
	return all
}

// timeout of a call, in seconds: the annotation's or the installation's.
func timeout(s *scope, m *manifest.Meta) int {
	if d, set := manifest.Timeout.Of(m, s.Diagnostics); set {
		return int(d / time.Second)
	}
	return s.config.Defaults.TimeoutSeconds
}

// anonymous says whether calls that the gateway has not signed are answered.
func anonymous(found *scope, m *manifest.Meta) bool {
	v, _ := manifest.AnonymousCalls.Of(m, found.Diagnostics)
	if v == manifest.Allow {
		found.Notef(m.Annotations[manifest.AnonymousCalls.Name].At,
			"%s answers any pod of the cluster, which then has no user",
			m.Name.Value)
	}
	return v == manifest.Allow
}
