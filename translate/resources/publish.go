package resources

import (
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"

	"github.com/unip-knative/unip/eventing/router"
	"github.com/unip-knative/unip/eventing/routes"
)

// Publish says on the Service of a component at which paths it is called, for the router, which
// wakes it then. It stands on the Service alone: of other paths there is no new Revision.
func Publish(s *servingv1.Service, apis []routes.API) {
	paths := map[string][]string{}
	for _, a := range apis {
		if a.Kind != routes.KindMLComponent || a.Target != s.Name {
			continue
		}
		key := router.Paths
		if a.Auth == nil {
			key = router.OpenPaths
		}
		paths[key] = append(paths[key], a.Path)
	}
	for key, all := range paths {
		slices.Sort(all)
		metav1.SetMetaDataAnnotation(&s.ObjectMeta, key, strings.Join(all, " "))
	}
}
