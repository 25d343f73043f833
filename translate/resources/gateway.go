package resources

import (
	"fmt"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/serving/pkg/apis/autoscaling"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"

	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/routes"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/module"
)

// MakeRoutes makes the ConfigMap with the module's published APIs.
func MakeRoutes(m Module, file routes.File) *corev1.ConfigMap {
	return m.configMap("unip-gateway", names.Gateway, "gateway", map[string][]byte{"routes.json": file.Encode()})
}

const gatewayPort = 8080

// MakeGateway makes the Knative Service that serves all APIs of a module. Users' passwords are
// mounted as files from the Secrets that the APIs name; a Secret that does not exist (yet) lets
// nobody in.
func MakeGateway(m Module, apis []routes.API, storage module.Storage, config *corev1.ConfigMap) *servingv1.Service {
	optional := true
	longest := routes.ColdStart
	volumes := []corev1.Volume{
		{Name: "routes", VolumeSource: corev1.VolumeSource{
			ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: config.Name}}}},
		{Name: "key", VolumeSource: keyVolume()},
		{Name: "pod", VolumeSource: podInfo()},
	}
	mounts := []corev1.VolumeMount{
		{Name: "routes", MountPath: "/unip/routes", ReadOnly: true},
		{Name: "key", MountPath: keyDir, ReadOnly: true},
		{Name: "pod", MountPath: "/unip/pod", ReadOnly: true},
	}
	args := []string{
		"--routes=/unip/routes/routes.json", "--auth=/unip/auth", "--key=" + keyDir + "/" + names.ModuleKeyData,
		"--cluster-domain=" + m.Config.ClusterDomain,
	}
	if m.Config.Limits.BodyMiB != installation.UsualBody {
		args = append(args, maxBody(m))
	}
	if n := m.Config.Limits.UploadLinks; n != installation.UsualUploadLinks {
		args = append(args, fmt.Sprintf("--upload-links=%d", n))
	}
	if t := m.Config.Tracing; t.Endpoint != "" {
		args = append(args, "--trace-sampling-rate="+rate(t))
	}
	mount := func(volume, path string, source corev1.VolumeSource) {
		volumes = append(volumes, corev1.Volume{Name: volume, VolumeSource: source})
		mounts = append(mounts, corev1.VolumeMount{Name: volume, MountPath: path, ReadOnly: true})
	}
	for _, box := range storage.Boxes {
		var sessions []sessionFile
		for _, s := range gatewaySessions(storage, box) {
			sessions = append(sessions, sessionFile{box, s, s.Use + ".json"})
		}
		mount(boxVolume(box), "/unip/boxes/"+box, sessionVolume(sessions...))
	}
	if len(storage.Boxes) > 0 {
		args = append(args, "--boxes=/unip/boxes", "--s3-public-endpoint="+m.Config.S3.PublicEndpoint)
	}
	if len(storage.Pipelines) > 0 {
		mount("run-logs", "/unip/runs",
			corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: names.RunLogs, Optional: &optional}})
		args = append(args, "--runs=/unip/runs")
		longest = routes.MaxTimeout // streams of logs
	}
	mounted := map[string]bool{}
	for _, a := range apis {
		longest = max(longest, a.Longest())
		if a.Auth == nil || a.Auth.Basic == nil || mounted[a.Auth.Basic.Credentials] {
			continue
		}
		secret := a.Auth.Basic.Credentials
		mounted[secret] = true
		volume := names.Shorten(names.MaxLabel, "auth", strings.ReplaceAll(secret, ".", "-"), names.Hash(secret))
		mount(volume, "/unip/auth/"+secret, corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: secret,
			Optional: &optional}})
	}
	timeout := int64(longest.Seconds())
	scale := map[string]string{autoscaling.MinScaleAnnotationKey: "0"}
	if most := m.Config.Gateway.MaxScale; most > 0 {
		scale[autoscaling.MaxScaleAnnotationKey] = strconv.Itoa(most)
	}
	return &servingv1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "serving.knative.dev/v1", Kind: "Service"},
		ObjectMeta: m.meta(names.Gateway, names.Gateway, "gateway"),
		Spec: servingv1.ServiceSpec{
			ConfigurationSpec: servingv1.ConfigurationSpec{Template: servingv1.RevisionTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: m.labels(names.Gateway, "gateway"), Annotations: scale},
				Spec: servingv1.RevisionSpec{
					TimeoutSeconds:              &timeout,
					ResponseStartTimeoutSeconds: &timeout,
					PodSpec: corev1.PodSpec{
						ServiceAccountName: names.Gateway,
						Containers: []corev1.Container{{
							Name:  "gateway",
							Image: m.Images.Gateway,
							Args:  args,
							Ports: []corev1.ContainerPort{{Name: "http1", ContainerPort: gatewayPort}},
							ReadinessProbe: &corev1.Probe{
								ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz"}}},
							Resources:       ownResources("25m", "32Mi", "256Mi"),
							SecurityContext: ownSecurity(),
							VolumeMounts:    mounts,
						}},
						Volumes: volumes,
					},
				},
			}}},
	}
}

// podInfo tells the gateway its namespace. As an argument it would be wrong in a module that is
// moved to another one.
func podInfo() corev1.VolumeSource {
	return corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{Sources: []corev1.VolumeProjection{{
		DownwardAPI: &corev1.DownwardAPIProjection{Items: []corev1.DownwardAPIVolumeFile{
			{Path: "namespace", FieldRef: &corev1.ObjectFieldSelector{FieldPath: "metadata.namespace"}},
		}},
	}}}}
}
