package translate

import (
	"path"
	"regexp"
	"slices"
	"strconv"
	"time"

	"knative.dev/serving/pkg/apis/autoscaling"

	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/resources"
)

const (
	defaultPort = 8002
	// metricsPort is where the container server answers Prometheus.
	metricsPort = 9464
	// defaultTarget is how many calls at a time a pod should have before another one is started: workers answer one after the other.
	defaultTarget = "10"
)

var (
	// pythonName is package.module:function, or with dots only.
	pythonName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*([:.][A-Za-z_][A-Za-z0-9_]*)+$`)
	// reservedPorts are queue-proxy's.
	reservedPorts = []int{8008, 8012, 8013, 8022, 9090, 9091}
)

func (c *checker) mlComponent(x *manifest.MLComponent) {
	s := &x.Spec
	c.image("spec", s.Field("image"), s.Image)
	if s.ServicePort != nil {
		if p := *s.ServicePort; p < 1 || p > 65535 {
			c.found.Errorf(s.Field("servicePort"), "spec.servicePort: %d is not a port", p)
		} else if slices.Contains(reservedPorts, p) {
			c.found.Errorf(s.Field("servicePort"), "spec.servicePort: %d is one of Knative's own ports", p)
		} else if p == metricsPort {
			c.found.Errorf(s.Field("servicePort"), "spec.servicePort: %d is where unip's server answers Prometheus; choose another one", p)
		} else if p < 1024 {
			c.found.Errorf(s.Field("servicePort"), "spec.servicePort: %d is below 1024, where a container without root cannot listen", p)
		}
	}
	c.env("spec", s.Env, s.EnvFrom)
	c.mlService(x)
	for _, b := range s.ConnectedBoxes {
		c.connected(b)
		c.noteMount(s, b)
	}
	c.limits("spec", s.ResourceLimits)
	c.annotations(x)
}

func (c *checker) mlService(x *manifest.MLComponent) {
	s := x.Spec.MLService
	if s == nil {
		c.found.Errorf(x.Spec.Position, "spec.mlService is missing: it says which function is served")
		return
	}
	for _, f := range []manifest.Text{s.PackageRegistryName, s.PublicPackageRegistryName} {
		if f.Value != "" {
			c.found.Notef(f.At, "the package registry %s has no effect here: nothing is installed into the image", f.Value)
		}
	}
	if s.Inference.Value == "" {
		c.found.Errorf(s.Field("inference"), "spec.mlService.inference is missing: write package.module:function")
	}
	for field, f := range map[string]manifest.Text{"inference": s.Inference, "modelLoader": s.ModelLoader} {
		if f.Value != "" && !pythonName.MatchString(f.Value) {
			c.found.Errorf(f.At, "spec.mlService.%s: %q is not of the form package.module:function", field, f.Value)
		}
	}
	c.model(x)
}

// noteMount says what of an entry that the model does not lie in has no effect.
func (c *checker) noteMount(s *manifest.MLComponentSpec, b manifest.ConnectedBox) {
	switch {
	case s.MLService == nil || b.Name.Value == s.MLService.ModelBox.Value:
	case b.MountDataset != nil:
		c.found.Notef(b.Position, "connectedBoxes: %s has no effect yet: of datasets, only a model is brought into the container", b.Name.Value)
	case b.MountS3Box != nil:
		c.found.Notef(b.Position, "connectedBoxes: the paths of %s have no effect: callers' files come when a FILE input names them, each call's into a folder of its own", b.Name.Value)
	}
}

// fileBoxes are the boxes whose users' files a component reads, and unless it says readOnly writes: its storage boxes, in the order of connectedBoxes.
func (c *checker) fileBoxes(s manifest.MLComponentSpec) []resources.FileBox {
	var all []resources.FileBox
	for _, b := range s.ConnectedBoxes {
		if b.MountS3Box == nil {
			continue
		}
		i := slices.IndexFunc(all, func(x resources.FileBox) bool { return x.Name == b.Name.Value })
		if i < 0 {
			all = append(all, resources.FileBox{Name: b.Name.Value, ReadOnly: b.MountS3Box.ReadOnly})
		} else if !b.MountS3Box.ReadOnly {
			all[i].ReadOnly = false
		}
	}
	return all
}

func (c *checker) connected(b manifest.ConnectedBox) {
	box, ok := c.boxes[b.Name.Value]
	switch {
	case b.Name.Value == "":
		c.found.Errorf(b.Position, "spec.connectedBoxes: an entry has no name")
		return
	case !ok:
		if c.module.Lacks("DataBox", b.Name.Value, ok) {
			c.found.Errorf(b.Name.At, "spec.connectedBoxes: there is no DataBox %q%s", b.Name.Value, c.near())
		}
		return
	case (b.MountS3Box == nil) == (b.MountDataset == nil):
		c.found.Errorf(b.Position, "spec.connectedBoxes: %s needs mountS3Box or mountDataset, one of them", b.Name.Value)
		return
	}
	mount := manifest.Text{}
	if b.MountS3Box != nil {
		mount = b.MountS3Box.MountPath
		if box.Spec.DatasetReference != nil {
			c.found.Errorf(b.Key("mountS3Box"), "spec.connectedBoxes: %s is a reference to a dataset: mountDataset", b.Name.Value)
		}
	} else {
		mount = b.MountDataset.MountPath
		if box.Spec.DatasetReference == nil {
			c.found.Errorf(b.Key("mountDataset"), "spec.connectedBoxes: %s is a storage box: mountS3Box", b.Name.Value)
		}
	}
	if !path.IsAbs(mount.Value) {
		p := mount.At
		if p.File == "" {
			p = b.Position
		}
		c.found.Errorf(p, "spec.connectedBoxes: mountPath %q is not an absolute path", mount.Value)
	}
}

// annotations checks all of them; component reads them again.
func (c *checker) annotations(x *manifest.MLComponent) {
	least, _ := manifest.MinScale.Of(&x.Meta, c.found)
	most, _ := manifest.MaxScale.Of(&x.Meta, c.found)
	if most > 0 && least > most {
		c.found.Errorf(x.Meta.Annotations[manifest.MinScale.Name].At, "metadata.annotations: %s %d is more than %s %d", manifest.MinScale.Name, least, manifest.MaxScale.Name, most)
	}
	manifest.Concurrency.Of(&x.Meta, c.found)
	manifest.Workers.Of(&x.Meta, c.found)
	manifest.ScaleDownDelay.Of(&x.Meta, c.found)
	c.timeout(x)
	if c.anonymous(x) {
		c.found.Notef(x.Meta.Annotations[manifest.AnonymousCalls.Name].At, "%s answers any pod of the cluster, which then has no user", x.Meta.Name.Value)
	}
}

// anonymous says whether the component answers calls that the gateway has not signed.
func (c *checker) anonymous(x *manifest.MLComponent) bool {
	v, _ := manifest.AnonymousCalls.Of(&x.Meta, c.found)
	return v == manifest.Allow
}

// timeout is the component's, in seconds.
func (c *checker) timeout(x *manifest.MLComponent) int {
	if d, ok := manifest.Timeout.Of(&x.Meta, c.found); ok {
		return int(d / time.Second)
	}
	return c.config.Defaults.TimeoutSeconds
}

// component decides everything about an MLComponent that has been checked.
func (c *checker) component(x *manifest.MLComponent) resources.Component {
	s := x.Spec
	out := resources.Component{
		Name: x.Meta.Name.Value, Image: s.Image.ExistingImageName.Value, Port: defaultPort,
		Inference: s.MLService.Inference.Value, Loader: s.MLService.ModelLoader.Value,
		Env: envOf(s.Env), EnvFrom: envFromOf(s.EnvFrom),
		Model: c.model(x), Boxes: c.fileBoxes(s), Limits: limitsOf(s.ResourceLimits), TimeoutSeconds: c.timeout(x),
		Anonymous: c.anonymous(x),
		Scaling:   map[string]string{autoscaling.TargetAnnotationKey: defaultTarget},
	}
	out.Workers, _ = manifest.Workers.Of(&x.Meta, c.found)
	out.Concurrency, _ = manifest.Concurrency.Of(&x.Meta, c.found)
	if s.ServicePort != nil {
		out.Port = *s.ServicePort
	}
	if out.Concurrency > 0 {
		delete(out.Scaling, autoscaling.TargetAnnotationKey)
	}
	for annotation, key := range map[string]string{
		manifest.MinScale.Name: autoscaling.MinScaleAnnotationKey, manifest.MaxScale.Name: autoscaling.MaxScaleAnnotationKey, manifest.ScaleDownDelay.Name: autoscaling.ScaleDownDelayAnnotationKey,
	} {
		if v, ok := x.Meta.Annotations[annotation]; ok {
			out.Scaling[key] = v.Value
		}
	}
	if _, ok := x.Meta.Annotations[manifest.MaxScale.Name]; !ok && c.config.Defaults.MaxScale > 0 {
		// Who wants more instances always than the most by default gets them.
		least, _ := manifest.MinScale.Of(&x.Meta, c.found)
		most := max(c.config.Defaults.MaxScale, least)
		out.Scaling[autoscaling.MaxScaleAnnotationKey] = strconv.Itoa(most)
	}
	return out
}
