package validate

import (
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"

	"github.com/unip-knative/unip/translate/installation"
)

func service(change func(s *servingv1.Service, c *corev1.Container)) *servingv1.Service {
	s := &servingv1.Service{ObjectMeta: metav1.ObjectMeta{Name: "digits", Namespace: "ns",
		Labels: map[string]string{"app": "x"}}}
	t := &s.Spec.Template
	t.Labels = map[string]string{"app": "x"}
	t.Spec.ServiceAccountName = "digits"
	t.Spec.Containers = []corev1.Container{{Name: "a", Image: "a/b:c", Args: []string{"--x"},
		Env: []corev1.EnvVar{{Name: "A", Value: "1"}}, Ports: []corev1.ContainerPort{{ContainerPort: 8080}}}}
	change(s, &t.Spec.Containers[0])
	return s
}

// What one Service is forgiven by being like another is never something that Knative looks at: its
// own verdict is the same with and without.
func TestEssenceKeepsTheVerdict(t *testing.T) {
	t.Parallel()
	var rules Rules
	for name, change := range map[string]func(s *servingv1.Service, c *corev1.Container){
		"fine":     nil,
		"no image": func(_ *servingv1.Service, c *corev1.Container) { c.Image = "" },
		"two ports": func(_ *servingv1.Service, c *corev1.Container) {
			c.Ports = append(c.Ports, corev1.ContainerPort{ContainerPort: 1})
		},
		"reserved port":      func(_ *servingv1.Service, c *corev1.Container) { c.Ports[0].ContainerPort = 8022 },
		"reserved variable":  func(_ *servingv1.Service, c *corev1.Container) { c.Env[0].Name = "K_SERVICE" },
		"reserved container": func(_ *servingv1.Service, c *corev1.Container) { c.Name = "queue-proxy" },
		"stdin":              func(_ *servingv1.Service, c *corev1.Container) { c.Stdin = true },
		"node selector": func(s *servingv1.Service, _ *corev1.Container) {
			s.Spec.Template.Spec.NodeSelector = map[string]string{"a": "b"}
		},
		"timeout": func(s *servingv1.Service, _ *corev1.Container) {
			s.Spec.Template.Spec.TimeoutSeconds = new(int64(601))
		},
		"scale": func(s *servingv1.Service, _ *corev1.Container) {
			s.Spec.Template.Annotations = map[string]string{"autoscaling.knative.dev/min-scale": "-1"}
		},
		"scale out of place": func(s *servingv1.Service, _ *corev1.Container) {
			s.Annotations = map[string]string{"autoscaling.knative.dev/min-scale": "1"}
		},
		"mount without name": func(_ *servingv1.Service, c *corev1.Container) {
			c.VolumeMounts = []corev1.VolumeMount{{Name: "v", MountPath: "/v"}}
		},
		"other account": func(s *servingv1.Service, _ *corev1.Container) {
			s.Spec.Template.Spec.ServiceAccountName = "Not_A_Name"
		},
		"long argument": func(_ *servingv1.Service, c *corev1.Container) { c.Args = []string{"", "\x00", "--y"} },
		"odd variable":  func(_ *servingv1.Service, c *corev1.Container) { c.Env[0].Value = "$(A)\n" },
		"odd label": func(s *servingv1.Service, _ *corev1.Container) {
			s.Labels["app"], s.Spec.Template.Labels["app"] = "y", "z"
		},
		"variable from field": func(_ *servingv1.Service, c *corev1.Container) {
			c.Env[0] = corev1.EnvVar{Name: "A",
				ValueFrom: &corev1.EnvVarSource{FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.name"}}}
		},
	} {
		if change == nil {
			change = func(*servingv1.Service, *corev1.Container) {}
		}
		s := service(change)
		before := s.DeepCopy()
		want := check(s.DeepCopy())
		for range 2 {
			if got := rules.Object(s); !slices.Equal(got, want) {
				t.Errorf("%s: %q, Knative says %q", name, got, want)
			}
		}
		if !equality.Semantic.DeepEqual(before, s) {
			t.Errorf("%s: the object was changed", name)
		}
		bad := !slices.Contains([]string{"fine", "long argument", "odd variable", "odd label"}, name)
		if (len(want) > 0) != bad {
			t.Errorf("%s: Knative says %q", name, want)
		}
	}
}

// Knative as it is shipped lets a container drop capabilities, and add none: users' containers name
// what they drop.
func TestCapabilities(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		capabilities corev1.Capabilities
		refused      bool
	}{
		"some dropped": {corev1.Capabilities{Drop: installation.UnusedCapabilities()}, false},
		"all dropped":  {corev1.Capabilities{Drop: []corev1.Capability{"ALL"}}, false},
		"dropped, some added": {corev1.Capabilities{Drop: []corev1.Capability{"ALL"},
			Add: installation.UserCapabilities()}, true},
		"one of the net added": {corev1.Capabilities{Add: []corev1.Capability{"NET_RAW"}}, true},
	} {
		s := service(func(_ *servingv1.Service, c *corev1.Container) {
			c.SecurityContext = &corev1.SecurityContext{Capabilities: &tc.capabilities}
		})
		var rules Rules
		if problems := rules.Object(s); (len(problems) > 0) != tc.refused {
			t.Errorf("%s: %v", name, problems)
		}
	}
}
