package translate

import (
	"fmt"
	"path"
	"regexp"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/resources"
)

// checker finds what is wrong between the manifests of a module.
type checker struct {
	found     *manifest.Diagnostics
	config    installation.Config
	module    *manifest.Module
	namespace string
	first     manifest.Position // of the module's first object
	boxes     map[string]*manifest.DataBox
	parts     map[string]*manifest.MLComponent
	pipelines map[string]*manifest.ExperimentPipeline
	secrets   map[string]*manifest.Secret
	// allowForeign carries objects of other groups wherever they go.
	allowForeign bool
	issuer       string            // of the first API with auth.oidc
	issuerAt     manifest.Position // where it stands
}

func (c *checker) check() {
	c.namespaces()
	c.boxes, c.parts, c.secrets = index(c, c.module.Boxes, header), index(c, c.module.Components, header), index(c, c.module.Secrets, header)
	c.pipelines = index(c, c.module.Pipelines, header)
	index(c, c.module.APIs, header)
	for _, b := range c.module.Boxes {
		c.dataBox(b)
	}
	for _, s := range c.module.Secrets {
		c.secret(s)
	}
	for _, x := range c.module.Components {
		c.mlComponent(x)
	}
	for _, x := range c.module.Pipelines {
		c.pipeline(x)
	}
	for _, x := range c.module.Pipelines { // what joins pipelines, when each has been looked at
		c.continued(x)
		c.uploads(x)
		c.scheduled(x)
	}
	c.apis()
	c.basicUsers()
	c.sharedBoxes()
	c.given()
	c.foreignObjects()
}

type headed interface {
	*manifest.DataBox | *manifest.MLComponent | *manifest.ExperimentPipeline | *manifest.Secret | *manifest.APIComponent
}

// header is the header of any of the kinds.
func header[T headed](x T) *manifest.Header {
	switch x := any(x).(type) {
	case *manifest.DataBox:
		return &x.Header
	case *manifest.MLComponent:
		return &x.Header
	case *manifest.ExperimentPipeline:
		return &x.Header
	case *manifest.Secret:
		return &x.Header
	case *manifest.APIComponent:
		return &x.Header
	}
	return nil
}

// index finds objects by name; a second one of a name is an error, and so is a name that Kubernetes or unip does not allow.
func index[T headed](c *checker, all []T, header func(T) *manifest.Header) map[string]T {
	m := map[string]T{}
	for _, x := range all {
		h := header(x)
		name := h.Meta.Name
		if before, twice := m[name.Value]; twice {
			c.found.Errorf(name.At, "%s %s is there twice; first at %s", h.Kind, name.Value, header(before).Position)
			continue
		}
		m[name.Value] = x
		c.name(h)
	}
	return m
}

// own reports names of Secrets that unip itself makes.
func own(name string) bool {
	return name == names.ModuleKey || name == names.RunLogs || (names.Managed(name) && !strings.HasPrefix(name, "unip-"))
}

// maxService is the longest name of a Knative Service whose Revisions ("-00001") and their Deployments ("-deployment") still are labels of DNS.
const maxService = 44

func (c *checker) name(h *manifest.Header) {
	name := h.Meta.Name
	var wrong []string
	switch h.Kind {
	case "MLComponent":
		wrong = validation.IsDNS1035Label(name.Value)
		if len(wrong) == 0 && len(name.Value) > maxService {
			wrong = []string{fmt.Sprintf("must be no more than %d characters, for Knative appends to it", maxService)}
		}
		if name.Value == names.Gateway {
			wrong = []string{"is the name of the module's own gateway"}
		}
	case "ExperimentPipeline":
		wrong = validation.IsDNS1035Label(name.Value)
		if len(wrong) == 0 && len(name.Value) > maxPipeline {
			wrong = []string{fmt.Sprintf("must be no more than %d characters", maxPipeline)}
		}
	case "Secret":
		wrong = validation.IsDNS1123Subdomain(name.Value)
		if own(name.Value) {
			wrong = []string{"is a name that unip keeps for its own Secrets"}
		}
	default:
		wrong = validation.IsDNS1123Label(name.Value)
	}
	for _, w := range wrong {
		c.found.Errorf(name.At, "metadata.name: %q %s", name.Value, w)
	}
}

// namespaces checks that all objects are of one namespace: the module's name and the first segment of its URLs.
func (c *checker) namespaces() {
	var all []*manifest.Header
	for _, x := range c.module.Boxes {
		all = append(all, &x.Header)
	}
	for _, x := range c.module.Components {
		all = append(all, &x.Header)
	}
	for _, x := range c.module.Pipelines {
		all = append(all, &x.Header)
	}
	for _, x := range c.module.Secrets {
		all = append(all, &x.Header)
	}
	for _, x := range c.module.APIs {
		all = append(all, &x.Header)
	}
	slices.SortFunc(all, func(a, b *manifest.Header) int { return comparePositions(a.Position, b.Position) })
	for _, h := range all {
		ns := h.Meta.Namespace
		if c.namespace == "" {
			c.namespace, c.first = ns.Value, h.Position
			for _, w := range validation.IsDNS1123Label(ns.Value) {
				c.found.Errorf(ns.At, "metadata.namespace: %q %s", ns.Value, w)
			}
			if c.clusters(ns.Value) {
				c.found.Errorf(ns.At, "metadata.namespace: %s is a namespace of the cluster itself, and no module's", ns.Value)
			}
		}
		if ns.Value != c.namespace {
			c.found.Errorf(ns.At, "metadata.namespace: %q differs from %q of %s; a module is one namespace", ns.Value, c.namespace, c.first)
		}
		if h.Meta.Has("labels") {
			c.found.Notef(h.Meta.Key("labels"), "metadata.labels have no effect: generated objects carry Kubernetes' recommended labels")
		}
	}
}

// clusters reports namespaces that are Kubernetes', Knative's, the ingress's or unip's own: a module
// there would set their Pod Security level, and its objects could take the place of theirs.
func (c *checker) clusters(ns string) bool {
	return strings.HasPrefix(ns, "kube-") || strings.HasPrefix(ns, "knative-") || ns == names.SystemNamespace ||
		slices.Contains(c.config.NetworkPolicies.IngressNamespaces, ns)
}

func comparePositions(a, b manifest.Position) int {
	if a.File != b.File {
		return strings.Compare(a.File, b.File)
	}
	return (a.Line-b.Line)*10_000 + a.Column - b.Column
}

func (c *checker) dataBox(b *manifest.DataBox) {
	s, r := b.Spec.S3DefaultStorage, b.Spec.DatasetReference
	switch hasStorage := b.Spec.Has("s3DefaultStorage"); {
	case hasStorage && r != nil:
		c.found.Errorf(b.Spec.Key("datasetReference"), "DataBox %s: s3DefaultStorage and datasetReference exclude each other", b.Meta.Name.Value)
		return
	case !hasStorage && r == nil:
		c.found.Errorf(b.Spec.Position, "DataBox %s: one of s3DefaultStorage and datasetReference is needed", b.Meta.Name.Value)
		return
	case hasStorage && s == nil:
		b.Spec.S3DefaultStorage = &manifest.Storage{} // "s3DefaultStorage:" with nothing behind it: all defaults
	}
	if s != nil && s.Capacity != nil {
		if q, err := resource.ParseQuantity(s.Capacity.Value); err != nil || q.Sign() <= 0 {
			c.found.Errorf(s.Capacity.At, "spec.s3DefaultStorage.capacity: %q is not a size; write 1G, 500Mi or the like", s.Capacity.Value)
		}
	}
	if r != nil && (r.DatasetComponentRef == nil || r.DatasetComponentRef.Name.Value == "" || r.DatasetComponentRef.Namespace.Value == "") {
		c.found.Errorf(r.Position, "spec.datasetReference: datasetComponentRef needs name and namespace")
	}
}

func (c *checker) secret(s *manifest.Secret) {
	if ownType(s.Type) {
		c.found.Errorf(s.Position, "Secret %s: the type %s is a ServiceAccount's token or unip's own; a module's Secret is Opaque", s.Meta.Name.Value, s.Type)
	}
	if s.Data == nil && s.StringData == nil {
		c.found.Notef(s.Position, "Secret %s has no data here: a Secret of that name must exist in namespace %s", s.Meta.Name.Value, c.namespace)
	}
	for k, v := range s.Data {
		if _, err := resources.DecodeBase64(v); err != nil {
			c.found.Errorf(s.Position, "Secret %s: data.%s is not base64; plain text belongs in stringData", s.Meta.Name.Value, k)
		}
	}
	for _, m := range []map[string]string{s.Data, s.StringData} {
		for k := range m {
			for _, w := range validation.IsConfigMapKey(k) {
				c.found.Errorf(s.Position, "Secret %s: key %q: %s", s.Meta.Name.Value, k, w)
			}
		}
	}
}

// systemFolders must not be hidden by the model's mount.
var systemFolders = regexp.MustCompile(`^/(|bin|boot|dev|etc|lib|lib32|lib64|libx32|proc|root|run|sbin|sys|tmp|unip|usr|var)(/.*)?$`)

// model finds the object of a component's model and where it goes.
func (c *checker) model(x *manifest.MLComponent) *resources.Model {
	s := x.Spec.MLService
	boxName, p := s.ModelBox, s.ModelPath
	if boxName.Value == "" && p.Value == "" {
		if s.ModelLoader.Value != "" {
			c.found.Errorf(s.ModelLoader.At, "spec.mlService.modelLoader: there is no model to load without modelBox and modelPath")
		}
		return nil
	}
	if boxName.Value == "" || p.Value == "" {
		c.found.Errorf(s.Position, "spec.mlService: modelBox and modelPath belong together")
		return nil
	}
	if _, ok := c.boxes[boxName.Value]; c.module.Lacks("DataBox", boxName.Value, ok) {
		c.found.Errorf(boxName.At, "spec.mlService.modelBox: there is no DataBox %q%s", boxName.Value, c.near())
	}
	clean := path.Clean(p.Value)
	folder := path.Dir(clean)
	if strings.HasSuffix(p.Value, "/") {
		folder = clean
	}
	switch {
	case !path.IsAbs(p.Value) || (clean != p.Value && clean+"/" != p.Value):
		c.found.Errorf(p.At, "spec.mlService.modelPath: %q is not a clean absolute path", p.Value)
		return nil
	case systemFolders.MatchString(folder):
		c.found.Errorf(p.At, "spec.mlService.modelPath: the model's folder %s would hide the image's own; choose one of its own, like /models/%s", folder, path.Base(clean))
		return nil
	}
	key, entry := objectOf(x, boxName.Value, p.Value)
	at := p.At
	if entry != nil && entry.Has("s3Path") {
		at = entry.S3Path.At
		if err := databox.CheckObjectPath(strings.Trim(entry.S3Path.Value, "/")); err != nil && strings.Trim(entry.S3Path.Value, "/") != "" {
			c.found.Errorf(at, "spec.connectedBoxes: s3Path %q, where the model lies: %v", entry.S3Path.Value, err)
			return nil
		}
	}
	if err := databox.CheckDeveloperPath(key); err != nil {
		c.found.Errorf(at, "spec.mlService: the model is the object %q of box %s: %v; give it a path of its own, like models/v1/", key, boxName.Value, err)
		return nil
	}
	return &resources.Model{Box: boxName.Value, Object: key, Path: p.Value}
}

// objectOf maps a path of the container to a key of the box: by the longest entry of connectedBoxes for
// that box whose mountPath is a prefix of it, which is given too, else the path itself.
func objectOf(x *manifest.MLComponent, box, p string) (string, *manifest.MountS3Box) {
	key, longest := strings.TrimPrefix(p, "/"), -1
	var entry *manifest.MountS3Box
	for _, b := range x.Spec.ConnectedBoxes {
		if b.Name.Value != box || b.MountS3Box == nil {
			continue
		}
		mount := strings.TrimSuffix(b.MountS3Box.MountPath.Value, "/") + "/"
		if rest, ok := strings.CutPrefix(p, mount); ok && len(mount) > longest {
			longest, entry = len(mount), b.MountS3Box
			key = strings.TrimPrefix(path.Join(b.MountS3Box.S3Path.Value, rest), "/")
			if strings.HasSuffix(p, "/") {
				key += "/"
			}
		}
	}
	return key, entry
}

// near names the boxes that there are.
func (c *checker) near() string {
	if len(c.boxes) == 0 {
		return ""
	}
	var all []string
	for n := range c.boxes {
		all = append(all, n)
	}
	slices.Sort(all)
	return "; there are " + strings.Join(all, ", ")
}

// box finds a box that a field names.
func (c *checker) box(where string, name manifest.Text) *manifest.DataBox {
	b, ok := c.boxes[name.Value]
	if c.module.Lacks("DataBox", name.Value, ok) {
		c.found.Errorf(name.At, "%s: there is no DataBox %q%s", where, name.Value, c.near())
	}
	return b
}
