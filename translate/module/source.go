package module

import (
	"net/url"
	"regexp"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/manifest"
)

// Source is where a module's code comes from, as its Repository says.
type Source struct {
	URL, Revision string
	// Version is the revision as a label's value; "" when it cannot be one.
	Version string
	// PullSecrets are the Secrets with which the module's images are pulled.
	PullSecrets []corev1.LocalObjectReference
}

// maxSource bounds an address and a revision, which all objects carry.
const maxSource = 1024

// decideSource decides the Repositories. A module has one source: with several of them that of the
// first by name, while the images may come from all.
func decideSource(s *scope) Source {
	all := slices.Clone(s.read.Repositories)
	slices.SortStableFunc(all, func(a, b *manifest.Repository) int {
		return strings.Compare(a.Meta.Name.Value, b.Meta.Name.Value)
	})
	var out Source
	for i, x := range all {
		url, revision := x.Spec.URL, x.Spec.Revision
		checkURL(s, url)
		if len(revision.Value) > maxSource || databox.HasControl(revision.Value) {
			s.Errorf(revision.At, "spec.revision: longer than %d bytes, or not plain text", maxSource)
		}
		switch {
		case i == 0:
			out.URL, out.Revision = url.Value, revision.Value
			if len(validation.IsValidLabelValue(out.Revision)) == 0 {
				out.Version = out.Revision
			} else {
				s.Notef(revision.At, "spec.revision: %q cannot be a label's value, so it is an annotation only", revision.Value)
			}
		case url.Value != "" || revision.Value != "":
			s.Notef(x.Position, "Repository %s: the module's objects name one source, that of Repository %s", x.Meta.Name.Value,
				all[0].Meta.Name.Value)
		}
		for _, r := range x.Spec.ImagePullSecrets {
			if ref := (corev1.LocalObjectReference{Name: pullSecret(s, r)}); !slices.Contains(out.PullSecrets, ref) {
				out.PullSecrets = append(out.PullSecrets, ref)
			}
		}
	}
	return out
}

// checkURL checks an address that everybody who may look at an object will read.
func checkURL(found *scope, t manifest.Text) {
	if t.Value == "" {
		return
	}
	u, err := url.Parse(t.Value)
	withScheme := err == nil && u.Scheme != "" && u.Host != ""
	switch {
	case len(t.Value) > maxSource, databox.HasControl(t.Value), !withScheme && !scpAddress.MatchString(t.Value):
		found.Errorf(t.At, "spec.url: not an address like https://git.example/ann/leaves or git@git.example:ann/leaves")
	case withScheme && mayHoldSecret(u):
		found.Errorf(t.At, "spec.url: a password or token stands in it, and all objects would show it: leave it out")
	}
}

// scpAddress is host:path with a user before it, as git has it. It has no place for a password: what
// looks like one is an address whose scheme is missing.
var scpAddress = regexp.MustCompile(`^([A-Za-z0-9._-]+@)?[A-Za-z0-9][A-Za-z0-9.-]*:[^:@?#]+$`)

// mayHoldSecret reports a password or a token in an address. A name alone before an https address is
// one, and a query is where tokens stand as well.
func mayHoldSecret(u *url.URL) bool {
	web := u.Scheme == "https" || u.Scheme == "http"
	_, password := u.User.Password()
	return password || web && u.User != nil || u.RawQuery != "" || u.Fragment != ""
}

func pullSecret(s *scope, r manifest.Ref) string {
	name := r.Name.Value
	switch {
	case name == "":
		s.Errorf(r.Position, "spec.imagePullSecrets: an entry has no name")
	case names.Managed(name):
		s.Errorf(r.Name.At, "spec.imagePullSecrets: %s is unip's own and not for the module's images", name)
	case len(validation.IsDNS1123Subdomain(name)) > 0:
		s.Errorf(r.Name.At, "spec.imagePullSecrets: %q is not the name of a Secret", name)
	default:
		s.noteMissing("Secret", r.Name)
	}
	return name
}

// registries are the names of package registries that the module's PlatformApps declare.
func registries(s *scope) map[string]bool {
	out := map[string]bool{}
	for _, x := range s.read.Apps {
		for _, r := range x.Spec.PackageRegistries {
			if r.ExternalName.Value == "" {
				s.Errorf(r.Position, "spec.packageRegistries: an entry has no externalName")
			}
			out[r.ExternalName.Value] = true
		}
	}
	return out
}
