package resources

import (
	"fmt"
	"path"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"knative.dev/serving/pkg/apis/autoscaling"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"

	"github.com/unip-knative/unip/eventing/component"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/manifest"
	"github.com/unip-knative/unip/translate/module"
)

// modelFolder is the folder that is mounted in the user's container: the model's own, or the one it
// lies in; where that is a mount or the image's, one beside it, to which a link leads.
func modelFolder(m *module.Model) string {
	switch {
	case m.Inside || m.Linked:
		return modelDir
	case strings.HasSuffix(m.Path, "/"):
		return path.Clean(m.Path)
	}
	return path.Dir(m.Path)
}

// modelPlace is where the model lies in the user's container, behind a link or not.
func modelPlace(m *module.Model) string {
	if strings.HasSuffix(m.Path, "/") {
		return modelFolder(m)
	}
	return path.Join(modelFolder(m), path.Base(m.Path))
}

// modelPath is what the function is told of where its model lies. A link that the worker makes is
// for code that names the path itself: it is not there when the image's user may not make it.
func modelPath(m *module.Model) string {
	if m.Linked {
		return modelPlace(m)
	}
	return path.Clean(m.Path)
}

// modelFile is where the model goes in the server's container, which mounts the same volume.
func modelFile(m *module.Model) string {
	if strings.HasSuffix(m.Path, "/") {
		return modelDir
	}
	return path.Join(modelDir, path.Base(m.Path))
}

// Places inside the pod. They are part of no manifest and may change with a release.
const (
	runDir     = "/unip/run"
	modelDir   = "/unip/model"
	nextDir    = "/unip/next" // for every other version of a model
	sessionDir = "/unip/session"
	keyDir     = "/unip/key"
	workerDir  = "/unip/worker"
	filesDir   = "/unip/files"
	boxesDir   = "/unip/boxes"
	podDir     = "/unip/pod"
	mountsDir  = "/unip/mounts"
	mountedDir = "/unip/mount-sessions"
	socket     = runDir + "/worker.sock"
)

// MakeComponent makes the Knative Service of an MLComponent: container `server`, ours, with the
// port, the S3 session and the module's key; container `function`, the user's image running
// worker.py, with neither. They share a folder for the socket, and the model's and that of the
// callers' files, which the user's container can only read.
func MakeComponent(m Module, c module.Component, worker *corev1.ConfigMap) *servingv1.Service {
	meta := m.meta(c.Name, c.Name, "mlcomponent")
	meta.Labels["networking.knative.dev/visibility"] = "cluster-local"
	timeout := int64(c.TimeoutSeconds)
	spec := servingv1.RevisionSpec{
		TimeoutSeconds: &timeout,
		// An answer begins when the function has ended: Knative's default of 300 s would cut longer
		// ones off.
		ResponseStartTimeoutSeconds: &timeout,
		PodSpec: corev1.PodSpec{
			ServiceAccountName: c.Name,
			ImagePullSecrets:   c.PullSecrets,
			// Containers start one after the other, and the function's takes the longest: Python
			// starts while the server's container is made.
			Containers: []corev1.Container{makeFunction(m, c), makeServer(m, c)},
			Volumes: []corev1.Volume{
				{Name: "run", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
				{Name: "worker", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
					LocalObjectReference: corev1.LocalObjectReference{Name: worker.Name},
				}}},
				{Name: "key", VolumeSource: keyVolume()},
			},
		},
	}
	if c.Concurrency > 0 {
		limit := int64(c.Concurrency)
		spec.ContainerConcurrency = &limit
	}
	if c.Model != nil {
		size := *resource.NewQuantity(component.ModelSpace, resource.BinarySI)
		spec.Volumes = append(spec.Volumes,
			corev1.Volume{Name: "model",
				VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}},
			corev1.Volume{Name: "session", VolumeSource: sessionVolume(sessionFile{c.Model.Box, modelSession(c.Model),
				"model.json"})})
		if c.Model.Updates != manifest.Off {
			spec.Volumes = append(spec.Volumes, corev1.Volume{Name: "next",
				VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}})
		}
	}
	spec.Volumes = append(spec.Volumes, fileVolumes(c)...)
	spec.Volumes = append(spec.Volumes, mountVolumes(m, c)...)
	return &servingv1.Service{
		TypeMeta:   metav1.TypeMeta{APIVersion: "serving.knative.dev/v1", Kind: "Service"},
		ObjectMeta: meta,
		Spec: servingv1.ServiceSpec{
			ConfigurationSpec: servingv1.ConfigurationSpec{Template: servingv1.RevisionTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: m.labels(c.Name, "mlcomponent"), Annotations: scaling(c.Scaling)},
				Spec:       spec,
			}}},
	}
}

// scaling are the annotations of the autoscaler.
func scaling(s module.Scaling) map[string]string {
	all := map[string]string{autoscaling.MinScaleAnnotationKey: "0"}
	for key, value := range map[string]string{
		autoscaling.MinScaleAnnotationKey: s.Least, autoscaling.MaxScaleAnnotationKey: s.Most,
		autoscaling.ScaleDownDelayAnnotationKey: s.Delay, autoscaling.TargetAnnotationKey: s.Target,
	} {
		if value != "" {
			all[key] = value
		}
	}
	return all
}

// boxVolume is the name of the volume with a box's sessions.
func boxVolume(box string) string {
	return names.Shorten(names.MaxLabel, "box", box, names.Hash(box))
}

// fileVolumes are for the files of a component's callers: the folder for them, the sessions of the
// boxes, and the module's namespace, which stands in URLs of files.
func fileVolumes(c module.Component) []corev1.Volume {
	if len(c.Boxes) == 0 {
		return nil
	}
	size := *resource.NewQuantity(component.FilesVolume, resource.BinarySI)
	all := []corev1.Volume{
		{Name: "files", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size}}},
		{Name: "pod", VolumeSource: podInfo()},
	}
	for _, b := range c.Boxes {
		all = append(all, corev1.Volume{Name: boxVolume(b.Name),
			VolumeSource: sessionVolume(sessionFile{b.Name, fileSession(b), databox.SessionKey})})
	}
	return all
}

// addFiles gives the server what it needs for the files of callers.
func addFiles(s *corev1.Container, c module.Component) {
	if len(c.Boxes) == 0 {
		return
	}
	s.Args = append(s.Args, "--name="+c.Name, "--files="+filesDir, "--boxes="+boxesDir)
	s.VolumeMounts = append(s.VolumeMounts, corev1.VolumeMount{Name: "files", MountPath: filesDir},
		corev1.VolumeMount{Name: "pod", MountPath: podDir, ReadOnly: true})
	for _, b := range c.Boxes {
		flag := "--box=" + b.Name
		if b.ReadOnly {
			flag += ":read"
		}
		s.Args = append(s.Args, flag)
		s.VolumeMounts = append(s.VolumeMounts, corev1.VolumeMount{Name: boxVolume(b.Name),
			MountPath: boxesDir + "/" + b.Name, ReadOnly: true})
	}
}

func makeServer(m Module, c module.Component) corev1.Container {
	s := corev1.Container{
		Name:  component.ServerContainer,
		Image: m.Images.Inference,
		Args: []string{
			fmt.Sprintf("--port=%d", c.Port),
			"--socket=" + socket,
			"--key=" + keyDir + "/" + names.ModuleKeyData,
			fmt.Sprintf("--workers=%d", c.Workers),
			fmt.Sprintf("--timeout=%ds", c.TimeoutSeconds),
		},
		Ports: []corev1.ContainerPort{{Name: "http1", ContainerPort: int32(c.Port)}},
		ReadinessProbe: &corev1.Probe{
			ProbeHandler: corev1.ProbeHandler{HTTPGet: &corev1.HTTPGetAction{Path: "/readyz"}}},
		Resources:       ownResources("25m", "64Mi", "512Mi"),
		SecurityContext: ownSecurity(),
		VolumeMounts: []corev1.VolumeMount{{Name: "run", MountPath: runDir},
			{Name: "key", MountPath: keyDir, ReadOnly: true}},
	}
	if c.Model != nil {
		s.Args = append(s.Args,
			"--session="+sessionDir+"/model.json",
			"--model-object="+Literal(c.Model.Object),
			"--model-file="+Literal(modelFile(c.Model)),
			"--model-path="+Literal(modelPath(c.Model)),
		)
		s.VolumeMounts = append(s.VolumeMounts,
			corev1.VolumeMount{Name: "model", MountPath: modelDir},
			corev1.VolumeMount{Name: "session", MountPath: sessionDir, ReadOnly: true})
		if c.Model.Updates != manifest.Off {
			s.VolumeMounts = append(s.VolumeMounts, corev1.VolumeMount{Name: "next", MountPath: nextDir})
		}
		if c.Model.Updates != manifest.Swap {
			s.Args = append(s.Args, "--model-updates="+c.Model.Updates)
		}
	}
	addFiles(&s, c)
	addMounts(&s, m, c)
	if c.Anonymous {
		s.Args = append(s.Args, "--anonymous-calls")
	}
	if n := m.Config.Limits.BodyMiB; n != installation.UsualBody {
		s.Args = append(s.Args, maxBody(m))
		if n > installation.UsualBody { // the server holds the bodies of several calls: four of the largest
			s.Resources = ownResources("25m", "64Mi", fmt.Sprintf("%dMi", 256+4*n))
		}
	}
	if t := m.Config.Tracing; t.Endpoint != "" {
		s.Env = []corev1.EnvVar{
			{Name: "OTEL_EXPORTER_OTLP_ENDPOINT", Value: t.Endpoint},
			{Name: "OTEL_TRACES_SAMPLER", Value: "parentbased_traceidratio"},
			{Name: "OTEL_TRACES_SAMPLER_ARG", Value: rate(t)},
		}
	}
	return s
}

func rate(t installation.Tracing) string { return strconv.FormatFloat(t.SamplingRate, 'f', -1, 64) }

// maxBody tells server and gateway of another largest body than they know of.
func maxBody(m Module) string { return fmt.Sprintf("--max-body=%d", m.Config.Limits.BodyMiB<<20) }

func makeFunction(m Module, c module.Component) corev1.Container {
	f := corev1.Container{
		Name:    component.FunctionContainer,
		Image:   c.Image,
		Command: []string{"python3", workerDir + "/worker.py"},
		Args: []string{"--socket=" + socket, "--inference=" + Literal(c.Inference),
			fmt.Sprintf("--workers=%d", c.Workers)},
		Env:                      literalEnv(c.Env),
		EnvFrom:                  c.EnvFrom,
		Resources:                c.Resources,
		SecurityContext:          security(m.Config.Security),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts: []corev1.VolumeMount{{Name: "run", MountPath: runDir},
			{Name: "worker", MountPath: workerDir, ReadOnly: true}},
	}
	if c.Loader != "" {
		f.Args = append(f.Args, "--model-loader="+Literal(c.Loader))
	}
	if c.Model != nil {
		folder := modelFolder(c.Model)
		f.VolumeMounts = append(f.VolumeMounts, corev1.VolumeMount{Name: "model", MountPath: folder, ReadOnly: true})
		switch {
		case c.Model.Linked:
			f.Args = append(f.Args, "--model-link="+Literal(c.Model.Path), "--model-file="+Literal(modelPlace(c.Model)))
		case folder != modelDir:
			f.Args = append(f.Args, "--model-folder="+Literal(folder))
		}
		if c.Model.Updates != manifest.Off {
			f.VolumeMounts = append(f.VolumeMounts,
				corev1.VolumeMount{Name: "next", MountPath: nextDir, ReadOnly: true})
		}
	}
	if len(c.Boxes) > 0 {
		f.VolumeMounts = append(f.VolumeMounts, corev1.VolumeMount{Name: "files", MountPath: filesDir, ReadOnly: true})
	}
	if len(c.Mounts) > 0 {
		f.VolumeMounts = append(f.VolumeMounts, mounted(c)...)
		f.Args = append(f.Args, "--mounts="+Literal(mountPaths(c)))
	}
	return f
}
