package cluster

import (
	"testing"

	corev1 "k8s.io/api/core/v1"
)

// The log of a pod that a controller of an earlier release has made is still read.
func TestFunctionOfPodsOfBeforeAndNow(t *testing.T) {
	t.Parallel()
	for _, want := range []string{"function", "stage"} {
		p := &corev1.Pod{}
		p.Spec.InitContainers = []corev1.Container{{Name: "fetch"}, {Name: want}}
		p.Spec.Containers = []corev1.Container{{Name: "publish"}}
		if got := functionOf(p); got != want {
			t.Errorf("%s, not %s", got, want)
		}
	}
}
