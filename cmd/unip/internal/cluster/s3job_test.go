package cluster

import (
	"os"
	"slices"
	"strings"
	"testing"

	appsv1 "k8s.io/api/apps/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"sigs.k8s.io/yaml"
)

// deployment is the controller's, of config/.
func deployment(t *testing.T) *appsv1.Deployment {
	t.Helper()
	b, err := os.ReadFile("../../../../config/400-controller.yaml")
	if err != nil {
		t.Fatal(err)
	}
	first, _, _ := strings.Cut(string(b), "\n---\n")
	d := &appsv1.Deployment{}
	if err := yaml.UnmarshalStrict([]byte(first), d); err != nil {
		t.Fatal(err)
	}
	return d
}

// The Job's pod has what the controller's has to reach the S3 server, and nothing else of it.
func TestS3Job(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*appsv1.Deployment)
		bucket string
		holds  func(corev1.PodSpec, corev1.Container) bool
	}{
		"the installation's own files": {holds: func(s corev1.PodSpec, c corev1.Container) bool {
			return slices.Equal(c.Args, []string{"s3-check", "-o", "json", "--config=/etc/unip/config/unip.yaml",
				"--s3-credentials=/etc/unip/s3"}) && len(c.VolumeMounts) == 2 && len(s.Volumes) == 2
		}},
		"a bucket": {bucket: "files", holds: func(_ corev1.PodSpec, c corev1.Container) bool {
			return slices.Contains(c.Args, "--bucket=files")
		}},
		"limits, and Pod Security": {holds: func(s corev1.PodSpec, c corev1.Container) bool {
			return *s.SecurityContext.RunAsNonRoot && !*c.SecurityContext.AllowPrivilegeEscalation &&
				*c.SecurityContext.ReadOnlyRootFilesystem && !c.Resources.Limits.Memory().IsZero()
		}},
		"nobody calls it": {holds: func(_ corev1.PodSpec, c corev1.Container) bool {
			return c.Ports == nil && c.ReadinessProbe == nil && c.LivenessProbe == nil
		}},
		"what an overlay needs": {
			change: func(d *appsv1.Deployment) {
				s := &d.Spec.Template.Spec
				s.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
				s.NodeSelector = map[string]string{"zone": "a"}
				s.Affinity = &corev1.Affinity{NodeAffinity: &corev1.NodeAffinity{},
					PodAntiAffinity: &corev1.PodAntiAffinity{}}
				s.Containers[0].Env = append(s.Containers[0].Env, corev1.EnvVar{Name: "SSL_CERT_DIR", Value: "/ca"})
				s.Containers = append([]corev1.Container{{Name: "mesh"}}, s.Containers...)
			},
			holds: func(s corev1.PodSpec, c corev1.Container) bool {
				return s.ImagePullSecrets[0].Name == "registry" && s.NodeSelector["zone"] == "a" &&
					s.Affinity.NodeAffinity != nil && s.Affinity.PodAntiAffinity == nil &&
					c.Env[len(c.Env)-1].Name == "SSL_CERT_DIR" && c.Name == "s3-check"
			},
		},
	} {
		d := deployment(t)
		if c.change != nil {
			c.change(d)
		}
		before := d.DeepCopy()
		job := s3Job(d, c.bucket)
		pod := job.Spec.Template
		if s := pod.Spec; len(s.Containers) != 1 || !c.holds(s, s.Containers[0]) ||
			s.RestartPolicy != corev1.RestartPolicyNever {
			t.Errorf("%s: %+v", name, s)
		}
		if s := pod.Spec; s.AutomountServiceAccountToken == nil || *s.AutomountServiceAccountToken {
			t.Errorf("%s: the pod gets a token", name)
		}
		if *job.Spec.BackoffLimit != 0 || *job.Spec.ActiveDeadlineSeconds == 0 || job.Namespace != "unip-system" ||
			*job.Spec.TTLSecondsAfterFinished == 0 || job.GenerateName != "unip-s3-check-" {
			t.Errorf("%s: %+v", name, job)
		}
		if !equality.Semantic.DeepEqual(d, before) {
			t.Errorf("%s: the Deployment was changed", name)
		}
	}
}

// Services, policies and the budget of the controller select pods by the Deployment's labels.
func TestS3JobIsNoReplica(t *testing.T) {
	t.Parallel()
	d := deployment(t)
	d.Spec.Selector.MatchLabels["of"] = "overlay"
	d.Spec.Template.Labels["of"] = "overlay"
	d.Spec.Template.Labels["sidecar.istio.io/inject"] = "false"
	labels := s3Job(d, "").Spec.Template.Labels
	for key, value := range d.Spec.Selector.MatchLabels {
		if labels[key] == value {
			t.Errorf("%s: %s", key, value)
		}
	}
	if labels["sidecar.istio.io/inject"] != "false" || labels["app.kubernetes.io/name"] != "unip-s3-check" {
		t.Error(labels)
	}
}
