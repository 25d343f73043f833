// Package label has the labels that unip gives to all that it makes, and says which ones a module's
// author may give to what is made of a manifest.
package label

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
)

// Labels that unip gives to all that it makes, and finds it by. They are those that Kubernetes
// recommends (kubernetes.io, "Recommended Labels").
const (
	Name      = "app.kubernetes.io/name"
	Instance  = "app.kubernetes.io/instance"
	PartOf    = "app.kubernetes.io/part-of"
	Component = "app.kubernetes.io/component"
	ManagedBy = "app.kubernetes.io/managed-by"
	// Unip is the value of ManagedBy on what is a module's, and of PartOf on what is the installation's.
	Unip = "unip"
)

// Version is one that unip sets where the module's Repository says the revision.
const Version = "app.kubernetes.io/version"

var own = []string{Name, Instance, PartOf, Component, ManagedBy}

// IsOwn reports a label that unip gives to all that it makes: it stays as unip sets it.
func IsOwn(key string) bool { return slices.Contains(own, key) }

// reserved are the domains below which a label means something to a cluster. What stands at or
// below one is not the author's to say.
var reserved = []string{"kubernetes.io", "k8s.io", "knative.dev", platformv1.GroupVersion.Group}

// ofJobs are labels without a domain that Kubernetes gives to the pods of Jobs. It refuses a Job whose
// pods have another value.
var ofJobs = []string{"job-name", "controller-uid"}

// Wrong says what is wrong about an author's label; "" when nothing is.
func Wrong(key, value string) string {
	if why := validation.IsQualifiedName(key); len(why) > 0 {
		return "no name of a label: " + why[0]
	}
	if slices.Contains(ofJobs, key) {
		return "Kubernetes itself gives this label to the pods of Jobs"
	}
	domain, _, ok := strings.Cut(key, "/")
	within := func(d string) bool { return domain == d || strings.HasSuffix(domain, "."+d) }
	if ok && domain != "app.kubernetes.io" && slices.ContainsFunc(reserved, within) {
		return "labels of this domain steer the cluster, and are not a module's; app.kubernetes.io/… is free"
	}
	if why := validation.IsValidLabelValue(value); len(why) > 0 {
		return why[0]
	}
	return ""
}

// Carried are the labels of an object that may have been made by hand, and that what is made of it
// carries. unip's own are left out; the error names those that are wrong.
func Carried(all map[string]string) (map[string]string, error) {
	out := map[string]string{}
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(all)) {
		if why := Wrong(key, all[key]); why != "" {
			errs = append(errs, fmt.Errorf("labels: %s: %s", key, why))
			continue
		}
		if !IsOwn(key) {
			out[key] = all[key]
		}
	}
	return out, errors.Join(errs...)
}
