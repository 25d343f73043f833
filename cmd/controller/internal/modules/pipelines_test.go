//go:build integration

package modules

import (
	"net/http"
	"testing"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/controllertest"
	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	"github.com/unip-knative/unip/eventing/names"
)

// The session of log readers belongs to all Pipelines of a module: it goes with the last of them,
// and is left alone while it is well.
func TestLogSessionIsOfAllPipelines(t *testing.T) {
	t.Parallel()
	_, c, _, src := controllertest.Servers(t)
	l := Pipelines{
		Client: c, Live: c, Settings: src, Transport: http.DefaultTransport,
		Starts: &starts.Maker{Client: c, Live: c, Settings: src, Transport: http.DefaultTransport},
	}
	secret := &corev1.Secret{}
	look := func(name string) {
		t.Helper()
		key := client.ObjectKey{Namespace: "default", Name: name}
		_, err := l.Reconcile(t.Context(), reconcile.Request{NamespacedName: key})
		must(t, err)
		must(t, c.Get(t.Context(), client.ObjectKey{Namespace: "default", Name: names.RunLogs}, secret))
	}
	for _, name := range []string{"first", "second"} {
		p := controllertest.OneStage(name, "", "model")
		p.Namespace = "default"
		must(t, c.Create(t.Context(), p))
		look(name)
	}
	if n := len(secret.OwnerReferences); n != 2 || metav1.GetControllerOf(secret) != nil {
		t.Errorf("owners %+v", secret.OwnerReferences)
	}
	before := secret.ResourceVersion
	for _, name := range []string{"first", "second", "first"} {
		if look(name); secret.ResourceVersion != before {
			t.Errorf("a look at %s has written a session that was well", name)
		}
	}
}
