package module

import (
	"slices"

	"k8s.io/apimachinery/pkg/api/resource"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/folder"
	"github.com/unip-knative/unip/eventing/quantity"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/translate/manifest"
)

// Box is storage: a bucket of the module's own, or a reference to another module's.
type Box struct {
	manifest.Position
	Name   string
	Labels map[string]string
	// Spec without the sessions of it, which depend on what the pods hold.
	Spec platformv1.DataBoxSpec
	// SharedWith are globs of namespaces that may refer to it; nil: none.
	SharedWith *string
	// Developers are the whole identities of who may write into its developer's area by the files API.
	Developers []string
}

func decideBox(s *scope, x *manifest.DataBox) Box {
	out := Box{Position: x.Position, Name: x.Meta.Name.Value, Labels: labels(s, &x.Meta)}
	if globs, ok := manifest.SharedWith.Of(&x.Meta, s.Diagnostics); ok {
		out.SharedWith = &globs
	}
	out.Developers = decideDevelopers(s, x)
	storage, dataset := x.Spec.Has("s3DefaultStorage"), x.Spec.DatasetReference != nil
	switch {
	case storage && dataset:
		s.Errorf(x.Spec.Key("datasetReference"),
			"DataBox %s: s3DefaultStorage and datasetReference exclude each other", out.Name)
	case storage:
		out.Spec.S3DefaultStorage = &platformv1.S3DefaultStorage{Capacity: capacity(s, x.Spec.S3DefaultStorage)}
	case dataset:
		out.Spec.DatasetReference = datasetReference(s, x.Spec.DatasetReference)
	default:
		s.Errorf(x.Spec.Position, "DataBox %s: one of s3DefaultStorage and datasetReference is needed", out.Name)
	}
	return out
}

// decideDevelopers decides who may write weights: somebody whom the files API can prove, for it is
// there that they call.
func decideDevelopers(s *scope, x *manifest.DataBox) []string {
	all, set := manifest.Developers.Of(&x.Meta, s.Diagnostics)
	if !set {
		return nil
	}
	at, where := x.Meta.Annotations[manifest.Developers.Name].At, "metadata.annotations: "+manifest.Developers.Name
	i := slices.IndexFunc(s.read.APIs, func(a *manifest.APIComponent) bool { return a.Spec.Has(routes.KindFiles) })
	switch {
	case x.Spec.DatasetReference != nil:
		s.Errorf(at, "%s: %s is a dataset of another module, which can only be read", where, x.Meta.Name.Value)
		return nil
	case i < 0:
		s.Warnf(at, "%s: the module has no API with files, by which developers call", where)
		return nil
	}
	auth := authOf(s.read.APIs[i])
	if auth == nil || !auth.Has("basic") && !auth.Has("oidc") {
		s.Errorf(at, "%s: the API %s has no auth, so that nobody can prove to be a developer", where,
			s.read.APIs[i].Meta.Name.Value)
		return nil
	}
	for _, d := range all {
		secret, basic := users.SecretOf(d)
		switch {
		case basic && (auth.Basic == nil || auth.Basic.Credentials.Value != secret):
			s.Warnf(at, "%s: %s cannot log in: the API %s looks at another Secret", where, d, s.read.APIs[i].Meta.Name.Value)
		case !basic && !auth.Has("oidc"):
			s.Warnf(at, "%s: %s cannot log in: the API %s takes no tokens", where, d, s.read.APIs[i].Meta.Name.Value)
		}
	}
	return all
}

func authOf(a *manifest.APIComponent) *manifest.Auth {
	if a.Spec.RestfulAPI == nil {
		return nil
	}
	return a.Spec.RestfulAPI.Auth
}

// small is a capacity whose unit was most likely forgotten.
var small = resource.MustParse("1Mi")

// capacity of a storage box; "s3DefaultStorage:" with nothing behind it has all defaults.
func capacity(found *scope, x *manifest.Storage) *resource.Quantity {
	text := platformv1.DefaultCapacity
	if x != nil && x.Capacity != nil {
		text = x.Capacity.Value
	}
	q, err := quantity.Size(text)
	if err != nil {
		found.Errorf(x.Capacity.At, "spec.s3DefaultStorage.capacity: %v", err)
	} else if q.Cmp(small) < 0 {
		found.Warnf(x.Capacity.At, "spec.s3DefaultStorage.capacity: %q is %d bytes: hardly a file fits in; write 1G or "+
			"the like", text, q.Value())
	}
	return &q
}

func datasetReference(found *scope, x *manifest.Reference) *platformv1.DatasetReference {
	r := x.DatasetComponentRef
	if r == nil || r.Name.Value == "" || r.Namespace.Value == "" {
		found.Errorf(x.Position, "spec.datasetReference: datasetComponentRef needs name and namespace")
		return nil
	}
	return &platformv1.DatasetReference{
		DatasetComponentRef: platformv1.NamespacedName{Name: r.Name.Value, Namespace: r.Namespace.Value},
	}
}

// isDataset and isStorage tell what a box of the manifests is.
func isDataset(x *manifest.DataBox) bool { return x.Spec.DatasetReference != nil }
func isStorage(x *manifest.DataBox) bool { return x.Spec.Has("s3DefaultStorage") && !isDataset(x) }

// checkConnected checks an entry of connectedBoxes.
func checkConnected(s *scope, b manifest.ConnectedBox) {
	const where = "spec.connectedBoxes"
	box, mount := s.boxes[b.Name.Value], manifest.Text{}
	switch {
	case b.Name.Value == "":
		s.Errorf(b.Position, "%s: an entry has no name", where)
		return
	case s.lacksBox(where, b.Name), box == nil:
		return
	case (b.MountS3Box == nil) == (b.MountDataset == nil):
		s.Errorf(b.Position, "%s: %s needs mountS3Box or mountDataset, one of them", where, b.Name.Value)
		return
	case b.MountS3Box != nil:
		mount = b.MountS3Box.MountPath
		if isDataset(box) {
			s.Errorf(b.Key("mountS3Box"), "%s: %s is a reference to a dataset: mountDataset", where, b.Name.Value)
		}
	default:
		mount = b.MountDataset.MountPath
		if !isDataset(box) {
			s.Errorf(b.Key("mountDataset"), "%s: %s is a storage box: mountS3Box", where, b.Name.Value)
		}
	}
	if err := folder.Check(mount.Value); err != nil {
		at := mount.At
		if at.File == "" {
			at = b.Position
		}
		s.Errorf(at, "%s: mountPath: %v", where, err)
	}
}
