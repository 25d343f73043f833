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
	// maxTimeout is Knative's default max-revision-timeout-seconds.
	maxTimeout = 600
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

// number reads an annotation that is a whole number within bounds; absent it is fallback.
func (c *checker) number(m *manifest.Meta, annotation string, fallback, least, most int) int {
	v, ok := m.Annotations[annotation]
	if !ok {
		return fallback
	}
	n, err := strconv.Atoi(v.Value)
	if err != nil || n < least || n > most {
		c.found.Errorf(v.At, "metadata.annotations: %s: %q is not a whole number from %d to %d", annotation, v.Value, least, most)
		return fallback
	}
	return n
}

// annotations checks all of them; component reads them again.
func (c *checker) annotations(x *manifest.MLComponent) {
	least, most := c.number(&x.Meta, manifest.MinScale, 0, 0, 1000), c.number(&x.Meta, manifest.MaxScale, 0, 0, 1000)
	if most > 0 && least > most {
		c.found.Errorf(x.Meta.Annotations[manifest.MinScale].At, "metadata.annotations: %s %d is more than %s %d", manifest.MinScale, least, manifest.MaxScale, most)
	}
	c.number(&x.Meta, manifest.Concurrency, 0, 1, 1000)
	c.number(&x.Meta, manifest.Workers, 1, 1, 64)
	c.timeout(x)
	if c.anonymous(x) {
		c.found.Notef(x.Meta.Annotations[manifest.AnonymousCalls].At, "%s answers any pod of the cluster, which then has no user", x.Meta.Name.Value)
	}
	if v, ok := x.Meta.Annotations[manifest.ScaleDownDelay]; ok {
		if d, err := time.ParseDuration(v.Value); err != nil || d < 0 || d > time.Hour || d%time.Second != 0 {
			c.found.Errorf(v.At, "metadata.annotations: %s: %q is not a duration of whole seconds up to 1h", manifest.ScaleDownDelay, v.Value)
		}
	}
}

// anonymous says whether the component answers calls that the gateway has not signed.
func (c *checker) anonymous(x *manifest.MLComponent) bool {
	v, ok := x.Meta.Annotations[manifest.AnonymousCalls]
	if ok && v.Value != allow && v.Value != refuse {
		c.found.Errorf(v.At, "metadata.annotations: %s: %q is neither %s nor %s", manifest.AnonymousCalls, v.Value, allow, refuse)
	}
	return v.Value == allow
}

// The values of anonymous-calls.
const (
	allow  = "Allow"
	refuse = "Refuse"
)

// timeout is the component's, in seconds; written as a duration (90s, 5m) or a number.
func (c *checker) timeout(x *manifest.MLComponent) int {
	v, ok := x.Meta.Annotations[manifest.Timeout]
	if !ok {
		return c.config.Defaults.TimeoutSeconds
	}
	d, err := manifest.ParseDuration(v.Value)
	if err != nil || d < time.Second || d > maxTimeout*time.Second {
		c.found.Errorf(v.At, "metadata.annotations: %s: %q is not a time from 1s to %ds, Knative's maximum", manifest.Timeout, v.Value, maxTimeout)
		return c.config.Defaults.TimeoutSeconds
	}
	return int(d / time.Second)
}

// component decides everything about an MLComponent that has been checked.
func (c *checker) component(x *manifest.MLComponent) resources.Component {
	s := x.Spec
	out := resources.Component{
		Name: x.Meta.Name.Value, Image: s.Image.ExistingImageName.Value, Port: defaultPort,
		Inference: s.MLService.Inference.Value, Loader: s.MLService.ModelLoader.Value,
		Env: envOf(s.Env), EnvFrom: envFromOf(s.EnvFrom),
		Model: c.model(x), Boxes: c.fileBoxes(s), Limits: limitsOf(s.ResourceLimits), TimeoutSeconds: c.timeout(x),
		Workers: c.number(&x.Meta, manifest.Workers, 1, 1, 64), Concurrency: c.number(&x.Meta, manifest.Concurrency, 0, 1, 1000),
		Anonymous: c.anonymous(x),
		Scaling:   map[string]string{autoscaling.TargetAnnotationKey: defaultTarget},
	}
	if s.ServicePort != nil {
		out.Port = *s.ServicePort
	}
	if out.Concurrency > 0 {
		delete(out.Scaling, autoscaling.TargetAnnotationKey)
	}
	for annotation, key := range map[string]string{
		manifest.MinScale: autoscaling.MinScaleAnnotationKey, manifest.MaxScale: autoscaling.MaxScaleAnnotationKey, manifest.ScaleDownDelay: autoscaling.ScaleDownDelayAnnotationKey,
	} {
		if v, ok := x.Meta.Annotations[annotation]; ok {
			out.Scaling[key] = v.Value
		}
	}
	if _, ok := x.Meta.Annotations[manifest.MaxScale]; !ok && c.config.Defaults.MaxScale > 0 {
		// Who wants more instances always than the most by default gets them.
		most := max(c.config.Defaults.MaxScale, c.number(&x.Meta, manifest.MinScale, 0, 0, 1000))
		out.Scaling[autoscaling.MaxScaleAnnotationKey] = strconv.Itoa(most)
	}
	return out
}
