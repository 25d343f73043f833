//go:build e2e

package attack

import (
	"net/http"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox/put"
)

// Who may only view a namespace writes no weights, and no user writes them whom the box does not name.
func TestViewersPutNoWeights(t *testing.T) {
	t.Parallel()
	w := enter(t)
	const viewer = "victor"
	if _, err := cluster.Kubectl(t.Context(), "-n", namespace, "create", "rolebinding", viewer, "--clusterrole=view",
		"--user="+viewer); err != nil && !strings.Contains(err.Error(), "already exists") {
		t.Fatal(err)
	}
	cfg, err := ctrl.GetConfig()
	if err != nil {
		t.Fatal(err)
	}
	cfg.Impersonate.UserName, cfg.Impersonate.Groups = viewer, []string{"system:authenticated"}
	c, err := client.New(cfg, client.Options{Scheme: cluster.Scheme()})
	if err != nil {
		t.Fatal(err)
	}
	asked, err := put.Ask("models/forged", 1, true)
	if err != nil {
		t.Fatal(err)
	}
	box := &platformv1.DataBox{}
	if err := w.Get(t.Context(), client.ObjectKey{Namespace: namespace, Name: "userdata"}, box); err != nil {
		t.Fatal(err)
	}
	before := box.DeepCopy()
	box.Annotations = map[string]string{asked.Name: asked.Value}
	if err := c.Patch(t.Context(), box, client.MergeFrom(before)); !apierrors.IsForbidden(err) {
		t.Errorf("a viewer asks for a link: %v", err)
	}
	paths := []string{"models/secret", "users/bob/file_groups/in/secret.csv", "%2e%2e/x", ""}
	tried(t, 1+2*len(paths))
	for _, path := range paths {
		for _, user := range []string{"ann", "bob"} {
			a := w.call(t, http.MethodPut, user, "files/userdata:/"+path+"?size=1&overwrite=true", nil)
			check(t, user+" "+path, a.Status, string(a.Body), 400, 403, 404)
		}
	}
}
