package translate

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"
	"knative.dev/serving/pkg/apis/autoscaling"

	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/names"
	"github.com/unip-knative/unip/translate/resources"
)

const (
	defaultPort = 8002
	// maxTimeout is Knative's default max-revision-timeout-seconds.
	maxTimeout = 600
	// defaultTarget is how many calls at a time a pod should have before another one is started: workers answer one after the other.
	defaultTarget = "10"
)

var (
	// pythonName is package.module:function, or with dots only.
	pythonName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*([:.][A-Za-z_][A-Za-z0-9_]*)+$`)
	// reservedEnv are names that Knative or unip gives a meaning of its own.
	reservedEnv = regexp.MustCompile(`^(PORT|K_SERVICE|K_CONFIGURATION|K_REVISION|K_SINK|UNIP_.*)$`)
	// reservedPorts are queue-proxy's.
	reservedPorts = []int{8008, 8012, 8013, 8022, 9090, 9091}
)

func (c *checker) mlComponent(x *manifest.MLComponent) {
	s := &x.Spec
	if s.Image == nil || s.Image.ExistingImageName.Value == "" {
		c.found.Errorf(s.Field("image"), "spec.image.existingImageName is missing")
	} else if image := s.Image.ExistingImageName; strings.ContainsAny(image.Value, " \t\n") || strings.HasPrefix(image.Value, "ko://") {
		c.found.Errorf(image.At, "spec.image.existingImageName: %q is not the name of an image", image.Value)
	}
	if s.ServicePort != nil {
		if p := *s.ServicePort; p < 1 || p > 65535 {
			c.found.Errorf(s.Field("servicePort"), "spec.servicePort: %d is not a port", p)
		} else if slices.Contains(reservedPorts, p) {
			c.found.Errorf(s.Field("servicePort"), "spec.servicePort: %d is one of Knative's own ports", p)
		} else if p < 1024 {
			c.found.Errorf(s.Field("servicePort"), "spec.servicePort: %d is below 1024, where a container without root cannot listen", p)
		}
	}
	c.env(s)
	c.mlService(x)
	for _, b := range s.ConnectedBoxes {
		c.connected(b)
		if s.MLService != nil && b.Name.Value != s.MLService.ModelBox.Value {
			c.found.Notef(b.Position, "connectedBoxes: %s has no effect yet: only the model is brought into the container", b.Name.Value)
		}
	}
	for name, q := range s.ResourceLimits {
		if !strings.Contains(name, "/") && !slices.Contains([]string{"cpu", "memory", "ephemeral-storage"}, name) {
			c.found.Errorf(q.At, "spec.resourceLimits: there is no resource %q; cpu, memory, ephemeral-storage, or a name with a domain like nvidia.com/gpu", name)
		}
		if n, err := resource.ParseQuantity(q.Value); err != nil || n.Sign() < 0 {
			c.found.Errorf(q.At, "spec.resourceLimits.%s: %q is not a quantity; write \"500m\", 2Gi or the like", name, q.Value)
		}
	}
	c.annotations(x)
}

func (c *checker) env(s *manifest.MLComponentSpec) {
	seen := map[string]bool{}
	for _, e := range s.Env {
		name := e.Name.Value
		switch {
		case name == "":
			c.found.Errorf(e.Position, "spec.env: an entry has no name")
		case len(validation.IsEnvVarName(name)) > 0:
			c.found.Errorf(e.Name.At, "spec.env: %q is not the name of an environment variable", name)
		case reservedEnv.MatchString(name):
			c.found.Errorf(e.Name.At, "spec.env: %s is a name that Knative or unip sets itself", name)
		case seen[name]:
			c.found.Errorf(e.Name.At, "spec.env: %s is there twice", name)
		}
		seen[name] = true
	}
	for _, e := range s.EnvFrom {
		ref := e.SecretRef
		if (e.SecretRef == nil) == (e.ConfigMapRef == nil) {
			c.found.Errorf(e.Position, "spec.envFrom: an entry needs secretRef or configMapRef, one of them")
			continue
		}
		if ref == nil {
			ref = e.ConfigMapRef
		}
		name := ref.Name.Value
		switch {
		case name == "":
			c.found.Errorf(ref.Position, "spec.envFrom: the reference has no name")
		case name == names.ModuleKey || strings.Contains(name, ".databox.") || strings.HasPrefix(name, "unip-"):
			c.found.Errorf(ref.Name.At, "spec.envFrom: %s is unip's own and not for the module's code", name)
		case e.SecretRef != nil && c.secrets[name] == nil:
			c.found.Notef(ref.Name.At, "Secret %s is not among the manifests: it must exist in namespace %s", name, c.namespace)
		}
	}
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

func (c *checker) connected(b manifest.ConnectedBox) {
	box, ok := c.boxes[b.Name.Value]
	switch {
	case b.Name.Value == "":
		c.found.Errorf(b.Position, "spec.connectedBoxes: an entry has no name")
		return
	case !ok:
		if c.module.Lacks("DataBox", b.Name.Value, ok) {
			c.found.Errorf(b.Name.At, "spec.connectedBoxes: there is no DataBox %q%s", b.Name.Value, c.near(b.Name.Value))
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
func (c *checker) number(x *manifest.MLComponent, annotation string, fallback, least, most int) int {
	v, ok := x.Meta.Annotations[annotation]
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
	least, most := c.number(x, manifest.MinScale, 0, 0, 1000), c.number(x, manifest.MaxScale, 0, 0, 1000)
	if most > 0 && least > most {
		c.found.Errorf(x.Meta.Annotations[manifest.MinScale].At, "metadata.annotations: %s %d is more than %s %d", manifest.MinScale, least, manifest.MaxScale, most)
	}
	c.number(x, manifest.Concurrency, 0, 1, 1000)
	c.number(x, manifest.Workers, 1, 1, 64)
	c.timeout(x)
	if v, ok := x.Meta.Annotations[manifest.ScaleDownDelay]; ok {
		if d, err := time.ParseDuration(v.Value); err != nil || d < 0 || d > time.Hour || d%time.Second != 0 {
			c.found.Errorf(v.At, "metadata.annotations: %s: %q is not a duration of whole seconds up to 1h", manifest.ScaleDownDelay, v.Value)
		}
	}
}

// timeout is the component's, in seconds; written as a duration (90s, 5m) or a number.
func (c *checker) timeout(x *manifest.MLComponent) int {
	v, ok := x.Meta.Annotations[manifest.Timeout]
	if !ok {
		return c.config.Defaults.TimeoutSeconds
	}
	d, err := time.ParseDuration(v.Value)
	if n, e := strconv.Atoi(v.Value); e == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err != nil || d < time.Second || d > maxTimeout*time.Second || d%time.Second != 0 {
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
		Model: c.model(x), Limits: map[string]string{}, TimeoutSeconds: c.timeout(x),
		Workers: c.number(x, manifest.Workers, 1, 1, 64), Concurrency: c.number(x, manifest.Concurrency, 0, 1, 1000),
		Scaling: map[string]string{autoscaling.TargetAnnotationKey: defaultTarget},
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
	for _, e := range s.Env {
		// Kubelet expands $(NAME) in values, and $$ is its way to write a dollar; the platform knows neither, so a dollar stays a dollar.
		out.Env = append(out.Env, corev1.EnvVar{Name: e.Name.Value, Value: strings.ReplaceAll(e.Value.Value, "$", "$$")})
	}
	for _, e := range s.EnvFrom {
		from := corev1.EnvFromSource{Prefix: e.Prefix}
		if r := e.SecretRef; r != nil {
			from.SecretRef = &corev1.SecretEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: r.Name.Value}, Optional: optional(r)}
		} else {
			from.ConfigMapRef = &corev1.ConfigMapEnvSource{LocalObjectReference: corev1.LocalObjectReference{Name: e.ConfigMapRef.Name.Value}, Optional: optional(e.ConfigMapRef)}
		}
		out.EnvFrom = append(out.EnvFrom, from)
	}
	for name, q := range s.ResourceLimits {
		out.Limits[name] = q.Value
	}
	return out
}

func optional(r *manifest.NameRef) *bool {
	if !r.Optional {
		return nil
	}
	yes := true
	return &yes
}

// apis checks the module's APIComponents.
func (c *checker) apis() {
	paths := map[string]manifest.Position{}
	for _, a := range c.module.APIs {
		s := a.Spec
		c.apiForm(a)
		if s.Published == nil {
			c.found.Errorf(s.Position, "APIComponent %s: spec.published is missing: true or false", a.Meta.Name.Value)
		}
		if s.RestfulAPI == nil {
			c.found.Errorf(s.Position, "APIComponent %s: spec.restfulApi is missing", a.Meta.Name.Value)
			continue
		}
		c.apiAuth(a)
		if s.MLComponent == nil {
			continue
		}
		if s.Has("apiSpec") {
			c.found.Notef(s.Key("apiSpec"), "spec.apiSpec has no effect for an mlComponent: its specification comes from the function's docstring")
		}
		p := s.RestfulAPI.Path
		if err := checkPath(p.Value); err != nil {
			at := s.RestfulAPI.Field("path")
			c.found.Errorf(at, "spec.restfulApi.path: %v", err)
			continue
		}
		key := strings.Trim(p.Value, "/")
		if before, twice := paths[key]; twice {
			c.found.Errorf(p.At, "spec.restfulApi.path: %q is served by another API already, at %s", p.Value, before)
		}
		paths[key] = p.At
	}
}

var segment = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9._~-]*[A-Za-z0-9])?$`)

// reservedPaths are first segments that other APIs of a module have.
var reservedPaths = []string{"files", "pipelines", "healthz", "readyz"}

func checkPath(p string) error {
	if strings.Trim(p, "/") == "" {
		return fmt.Errorf("a path is needed: the part of the URL after the namespace")
	}
	parts := strings.Split(strings.Trim(p, "/"), "/")
	for _, s := range parts {
		if !segment.MatchString(s) {
			return fmt.Errorf("%q: segments are letters, digits and . _ ~ -", p)
		}
	}
	if slices.Contains(reservedPaths, parts[0]) {
		return fmt.Errorf("%q begins with a word that the module's other APIs have", p)
	}
	return nil
}

// apiForm checks that an API publishes exactly one thing, which exists.
func (c *checker) apiForm(a *manifest.APIComponent) {
	s := a.Spec
	var forms []string
	for _, f := range []string{"files", "pipelines", "mlComponent", "experimentPipeline"} {
		if s.Has(f) {
			forms = append(forms, f)
		}
	}
	switch {
	case len(forms) == 0:
		c.found.Errorf(s.Position, "APIComponent %s: one of files, pipelines, mlComponent and experimentPipeline is needed", a.Meta.Name.Value)
	case len(forms) > 1:
		c.found.Errorf(s.Key(forms[1]), "APIComponent %s: %s exclude each other", a.Meta.Name.Value, strings.Join(forms, " and "))
	case forms[0] != "mlComponent":
		c.found.Errorf(s.Key(forms[0]), "APIComponent %s: %s is not supported yet", a.Meta.Name.Value, forms[0])
	case s.MLComponent == nil || s.MLComponent.Name.Value == "":
		c.found.Errorf(s.Field("mlComponent"), "spec.mlComponent.name is missing")
	case c.module.Lacks("MLComponent", s.MLComponent.Name.Value, c.parts[s.MLComponent.Name.Value] != nil):
		c.found.Errorf(s.MLComponent.Name.At, "spec.mlComponent.name: there is no MLComponent %q", s.MLComponent.Name.Value)
	}
}

func (c *checker) apiAuth(a *manifest.APIComponent) {
	auth := a.Spec.RestfulAPI.Auth
	switch {
	case auth == nil || (auth.Basic == nil && auth.OIDC == nil):
		c.found.Notef(a.Spec.RestfulAPI.Position, "APIComponent %s has no auth: everybody may call it", a.Meta.Name.Value)
	case auth.OIDC != nil:
		c.found.Errorf(auth.Key("oidc"), "spec.restfulApi.auth.oidc is not supported yet")
	case auth.Basic.Credentials.Value == "":
		c.found.Errorf(auth.Basic.Position, "spec.restfulApi.auth.basic.credentials is missing: the name of a Secret with one key per user")
	case strings.HasPrefix(auth.Basic.Credentials.Value, "unip-") || strings.Contains(auth.Basic.Credentials.Value, ".databox."):
		c.found.Errorf(auth.Basic.Credentials.At, "spec.restfulApi.auth.basic.credentials: %s is unip's own", auth.Basic.Credentials.Value)
	case len(validation.IsDNS1123Subdomain(auth.Basic.Credentials.Value)) > 0:
		c.found.Errorf(auth.Basic.Credentials.At, "spec.restfulApi.auth.basic.credentials: %q is not the name of a Secret", auth.Basic.Credentials.Value)
	case c.secrets[auth.Basic.Credentials.Value] == nil:
		c.found.Notef(auth.Basic.Credentials.At, "Secret %s is not among the manifests: it must exist in namespace %s", auth.Basic.Credentials.Value, c.namespace)
	}
}

// routes are the published APIs.
func (c *checker) routes() []resources.Route {
	var all []resources.Route
	for _, a := range c.module.APIs {
		s := a.Spec
		if !*s.Published {
			continue
		}
		r := resources.Route{
			Name: a.Meta.Name.Value, Kind: "mlComponent", Path: strings.Trim(s.RestfulAPI.Path.Value, "/"), Target: s.MLComponent.Name.Value,
			TimeoutSeconds:      c.timeout(c.parts[s.MLComponent.Name.Value]),
			IdentityPassThrough: passThrough(s.RestfulAPI),
		}
		if auth := s.RestfulAPI.Auth; auth != nil && auth.Basic != nil {
			r.Auth = &resources.RouteAuth{Basic: &resources.RouteBasic{Credentials: auth.Basic.Credentials.Value}}
		}
		all = append(all, r)
	}
	return all
}

// passThrough finds identityPassThrough at any of the three places where manifests have it.
func passThrough(r *manifest.RestfulAPI) bool {
	for _, p := range []*bool{r.IdentityPassThrough, authPass(r.Auth), basicPass(r.Auth)} {
		if p != nil {
			return *p
		}
	}
	return false
}

func authPass(a *manifest.Auth) *bool {
	if a == nil {
		return nil
	}
	return a.IdentityPassThrough
}

func basicPass(a *manifest.Auth) *bool {
	if a == nil || a.Basic == nil {
		return nil
	}
	return a.Basic.IdentityPassThrough
}
