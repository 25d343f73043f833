package cluster

import (
	"slices"
	"strings"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	"github.com/unip-knative/unip/eventing/label"
)

// s3JobName is the name of the Job's pods in the label app.kubernetes.io/name, and begins that of the
// Job. No Service and no policy of unip's own selects it.
const s3JobName = "unip-s3-check"

const (
	// s3JobLife is how many seconds the Job lives: until its pod starts, and the 5 minutes of all checks.
	s3JobLife = 15 * 60
	// s3JobKept is how many seconds the Job stays whose unip was killed before it deleted it.
	s3JobKept = 10 * 60
)

// s3Job is the Job that has the controller's image try the S3 server of the installation. Its pod is as
// those of the controller: on their nodes, with their settings, their Secret, and whatever an operator
// has added to reach the server. It has no token of Kubernetes, for it asks nothing of it; the account is
// the controller's because the image's pull secrets may be the account's.
func s3Job(d *appsv1.Deployment, bucket string) *batchv1.Job {
	pod := *d.Spec.Template.DeepCopy()
	labels := map[string]string{}
	for key, value := range pod.Labels {
		if d.Spec.Selector == nil || d.Spec.Selector.MatchLabels[key] != value {
			labels[key] = value
		}
	}
	labels[label.Name], labels[label.PartOf] = s3JobName, label.Unip
	pod.ObjectMeta = metav1.ObjectMeta{Labels: labels, Annotations: pod.Annotations}
	s := &pod.Spec
	s.Containers = []corev1.Container{s3Container(s.Containers, bucket)}
	s.RestartPolicy, s.AutomountServiceAccountToken = corev1.RestartPolicyNever, new(bool)
	s.TopologySpreadConstraints = nil
	if s.Affinity != nil { // the other two are of the controller's replicas
		s.Affinity = &corev1.Affinity{NodeAffinity: s.Affinity.NodeAffinity}
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{GenerateName: s3JobName + "-", Namespace: d.Namespace, Labels: map[string]string{
			label.Name: s3JobName, label.PartOf: label.Unip,
		}},
		Spec: batchv1.JobSpec{
			Template: pod, BackoffLimit: ptr.To[int32](0), ActiveDeadlineSeconds: ptr.To[int64](s3JobLife),
			TTLSecondsAfterFinished: ptr.To[int32](s3JobKept),
		},
	}
}

// s3Container is the controller's container with another command line. What a mesh or an overlay has put
// beside it stays away.
func s3Container(all []corev1.Container, bucket string) corev1.Container {
	i := max(slices.IndexFunc(all, func(c corev1.Container) bool { return c.Name == "controller" }), 0)
	c := all[i]
	args := []string{"s3-check", "-o", "json"}
	for _, a := range c.Args {
		if strings.HasPrefix(a, "--config=") || strings.HasPrefix(a, "--s3-credentials=") {
			args = append(args, a)
		}
	}
	if bucket != "" {
		args = append(args, "--bucket="+bucket)
	}
	c.Name, c.Args = "s3-check", args
	c.Ports, c.LivenessProbe, c.ReadinessProbe, c.StartupProbe, c.Lifecycle = nil, nil, nil, nil, nil
	return c
}
