package modulerole_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/unip-knative/unip/cmd/controller/internal/modulerole"
)

// What RBAC itself says is tried on an API server in cmd/controller.
func TestMissingIsNoOtherRefusal(t *testing.T) {
	t.Parallel()
	secrets := schema.GroupResource{Resource: "secrets"}
	rbac := apierrors.NewForbidden(secrets, "x",
		errors.New(
			`User "system:serviceaccount:unip-system:unip-controller" cannot get resource "secrets" in API group "" in the namespace "pu-a"`))
	for name, c := range map[string]struct {
		err  error
		want bool
	}{
		"RBAC":    {rbac, true},
		"wrapped": {fmt.Errorf("reading the Secret: %w", rbac), true},
		"nothing": {nil, false},
		"a quota": {apierrors.NewForbidden(secrets, "x",
			errors.New("exceeded quota: q, requested: secrets=1, used: secrets=2, limited: secrets=2")), false},
		"admission": {apierrors.NewForbidden(secrets, "x",
			errors.New("ValidatingAdmissionPolicy 'p' denied request: you cannot")), false},
		"not found":    {apierrors.NewNotFound(secrets, "x"), false},
		"other errors": {errors.New(`User "x" cannot get resource "secrets"`), false},
		"its namespace": {apierrors.NewForbidden(secrets, "x",
			errors.New("unable to create new content in namespace pu-a because it is being terminated")), false},
	} {
		if got := modulerole.Missing(c.err); got != c.want {
			t.Errorf("%s: %t", name, got)
		}
	}
	if m := modulerole.Message("pu-a"); !strings.Contains(m, "unip apply -f") ||
		!strings.Contains(m, "ko apply -f -") || !strings.Contains(m, "pu-a") {
		t.Errorf("the message has no cure: %q", m)
	}
}
