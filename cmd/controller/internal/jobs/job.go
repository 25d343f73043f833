package jobs

import (
	"fmt"
	"maps"
	"path"
	"slices"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/folder"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/eventing/users"
	"github.com/unip-knative/unip/translate/installation"
)

const (
	// transferAllowance is how many seconds a pod may live beyond the stage's own timeout and the
	// patience of fetch and publish, for bringing files in and out and for pulling images. The
	// stage's timeout itself is kept by the reconciler.
	transferAllowance = 3600
	// sessionDir is where fetch and publish see their sessions.
	sessionDir = "/unip/session"
	// dataVolume has the stage's files, coverVolume what lies at mountPaths beside them: nothing.
	dataVolume, coverVolume = "data", "mounts"
	// anyUser is an unprivileged one. It need not be in the image.
	anyUser = 65532
)

// traceParentEnv is where OpenTelemetry looks for the span that a program goes on with.
const traceParentEnv = "TRACEPARENT"

// Config is what all Jobs have in common.
type Config struct {
	// Image of fetch and publish.
	Image    string
	Buckets  databox.BucketNames
	Security installation.Profile
	Defaults installation.Defaults
	Runs     installation.Runs
	// TraceParent is the stage's span, for the user's container; "" where the run is not traced.
	TraceParent string
}

// Make makes the Job of one attempt of a stage: init fetch, init function (the user's image),
// then publish. Kubernetes starts each when the one before has ended well. One that only completes
// has publish and nothing else. An error is for good.
func Make(run *runtimev1.PipelineRun, st *runtimev1.StageStatus, a plan.Attempt, c Config) (*batchv1.Job, error) {
	sessions, err := plan.MakeSessions(c.Buckets, run, st)
	if err != nil {
		return nil, err
	}
	fetch, publish := plan.Transfers(run, st, a, sessions)
	fetchArg, err := stage.Encode(fetch)
	if err != nil {
		return nil, fmt.Errorf("inputs: %w", err)
	}
	publishArg, err := stage.Encode(publish)
	if err != nil {
		return nil, fmt.Errorf("outputs: %w", err)
	}
	user, err := userContainer(run, st, c)
	if err != nil {
		return nil, err
	}
	labels, err := plan.Labels(st)
	if err != nil {
		return nil, err
	}
	maps.Copy(labels, map[string]string{
		runtimev1.PipelineLabel: run.Spec.Pipeline,
		runtimev1.RunLabel:      run.Name,
		runtimev1.StageLabel:    strings.ReplaceAll(st.Name, "/", "."),
		stage.AttemptLabel:      fmt.Sprint(a.Number),
		label.Name:              run.Spec.Pipeline,
		label.Component:         "stage",
		label.PartOf:            run.Namespace,
		label.ManagedBy:         label.Unip,
	})
	pod := corev1.PodSpec{
		RestartPolicy: corev1.RestartPolicyNever,
		ActiveDeadlineSeconds: new(st.Spec.TimeoutSeconds + transferAllowance +
			2*int64(c.Runs.Patience()/time.Second)),
		AutomountServiceAccountToken: new(false),
		EnableServiceLinks:           new(false),
		SecurityContext: &corev1.PodSecurityContext{
			SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
		},
		InitContainers:   []corev1.Container{transferContainer(stage.FetchContainer, c.Image, fetchArg), user},
		Containers:       []corev1.Container{transferContainer(stage.PublishContainer, c.Image, publishArg)},
		Volumes:          []corev1.Volume{emptyVolume(dataVolume)},
		Tolerations:      whileLost(c.Runs),
		ImagePullSecrets: st.Spec.ImagePullSecrets,
	}
	if len(covers(st)) > 0 {
		pod.Volumes = append(pod.Volumes, emptyVolume(coverVolume))
	}
	secret := names.StageSession(run.Name, st.Name)
	giveSessions(&pod, &pod.InitContainers[0], secret, sessions.Fetch)
	giveSessions(&pod, &pod.Containers[0], secret, sessions.Publish)
	secure(&pod, c.Security)
	if a.Complete {
		onlyPublish(&pod)
	}
	return &batchv1.Job{
		TypeMeta: metav1.TypeMeta{APIVersion: "batch/v1", Kind: "Job"},
		ObjectMeta: metav1.ObjectMeta{
			Name: plan.AttemptName(run, st.Name, a.Number), Namespace: run.Namespace, Labels: labels,
			OwnerReferences: []metav1.OwnerReference{
				*metav1.NewControllerRef(run, runtimev1.GroupVersion.WithKind("PipelineRun")),
			},
		},
		Spec: batchv1.JobSpec{
			BackoffLimit:         new(int32(0)), // an attempt is a Job: further ones are the reconciler's decision
			PodReplacementPolicy: new(batchv1.Failed),
			Template: corev1.PodTemplateSpec{
				ObjectMeta: metav1.ObjectMeta{Labels: labels,
					Annotations: map[string]string{"sidecar.istio.io/inject": "false"}},
				Spec: pod,
			},
		},
	}, nil
}

// whileLost is how long a pod stays on a node that is not ready or does not answer. Kubernetes' own
// default are five minutes.
func whileLost(c installation.Runs) []corev1.Toleration {
	var all []corev1.Toleration
	for _, taint := range []string{corev1.TaintNodeNotReady, corev1.TaintNodeUnreachable} {
		all = append(all, corev1.Toleration{
			Key: taint, Operator: corev1.TolerationOpExists, Effect: corev1.TaintEffectNoExecute,
			TolerationSeconds: new(int64(c.LostNodeSeconds)),
		})
	}
	return all
}

func emptyVolume(name string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}}
}

func sessionVolume(container string) string { return container + "-session" }

// onlyPublish leaves nothing in a pod but publish, which then opens no volume and needs no rights.
func onlyPublish(pod *corev1.PodSpec) {
	secure(pod, installation.Restricted)
	pod.InitContainers = nil
	publish, session := &pod.Containers[0], sessionVolume(stage.PublishContainer)
	pod.Volumes = slices.DeleteFunc(pod.Volumes, func(v corev1.Volume) bool { return v.Name != session })
	publish.VolumeMounts = slices.DeleteFunc(publish.VolumeMounts,
		func(m corev1.VolumeMount) bool { return m.Name != session })
}

// giveSessions lets a container of unip's own see its sessions, and no other container. They are
// mounted whole, not by subPath, which kubelet would never renew, and outside of the volume that
// outputs are opened in.
func giveSessions(pod *corev1.PodSpec, c *corev1.Container, secret string, files []string) {
	if len(files) == 0 { // no items would be all of them
		return
	}
	volume := sessionVolume(c.Name)
	source := &corev1.SecretVolumeSource{SecretName: secret, DefaultMode: new(int32(0o444))}
	for _, f := range files {
		source.Items = append(source.Items, corev1.KeyToPath{Key: f, Path: f})
	}
	pod.Volumes = append(pod.Volumes, corev1.Volume{Name: volume, VolumeSource: corev1.VolumeSource{Secret: source}})
	c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volume, MountPath: sessionDir, ReadOnly: true})
}

// transferContainer is a container of unip's own image.
func transferContainer(name, image, plan string) corev1.Container {
	return corev1.Container{
		Name: name, Image: image,
		Args: []string{name, "--plan=" + plan, "--sessions=" + sessionDir, "--data=" + pipeline.DataDir},
		Env:  []corev1.EnvVar{{Name: "GOMEMLIMIT", Value: "48MiB"}},
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{
				corev1.ResourceCPU: resource.MustParse("50m"), corev1.ResourceMemory: resource.MustParse("64Mi"),
			},
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("192Mi")},
		},
		VolumeMounts: []corev1.VolumeMount{{Name: dataVolume, MountPath: pipeline.DataDir}},
	}
}

// userContainer is the stage itself. It sees its own variables, no session and no token, and whose run
// it is only when the API that started it passes that on.
func userContainer(
	run *runtimev1.PipelineRun, st *runtimev1.StageStatus, all Config,
) (corev1.Container, error) {
	c := corev1.Container{
		Name: stage.FunctionContainer, Image: st.Spec.Image, Env: environment(st.Spec.Env), EnvFrom: st.Spec.EnvFrom,
		Command: escapeAll(st.Spec.Command), Args: escapeAll(st.Spec.Args),
		Resources:                resourcesOf(st.Spec.Resources, all.Defaults),
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
		VolumeMounts:             []corev1.VolumeMount{{Name: dataVolume, MountPath: pipeline.DataDir}},
	}
	if err := plan.RefuseOwn(st); err != nil {
		return c, err
	}
	if user := users.Known(run.Spec.User); user != "" && run.Spec.IdentityPassThrough {
		c.Env = append(c.Env, corev1.EnvVar{Name: pipeline.UserEnv, Value: escape(user)})
	}
	own := func(e corev1.EnvVar) bool { return e.Name == traceParentEnv }
	if all.TraceParent != "" && !slices.ContainsFunc(c.Env, own) {
		c.Env = append(c.Env, corev1.EnvVar{Name: traceParentEnv, Value: all.TraceParent})
	}
	add := func(variable, value string, m corev1.VolumeMount) {
		c.Env = append(c.Env, corev1.EnvVar{Name: pipeline.EnvName(variable), Value: escape(value)})
		if m.MountPath != plan.Inner(variable) {
			m.Name = dataVolume
			c.VolumeMounts = append(c.VolumeMounts, m)
		}
	}
	c.VolumeMounts = append(c.VolumeMounts, covers(st)...)
	for _, in := range st.Inputs {
		m := corev1.VolumeMount{MountPath: in.Path, SubPath: in.Name}
		switch {
		case in.Key != "" && in.Mount != "": // the file alone: its neighbours in the box may lie beside it
			m.SubPath = path.Join(in.Name, path.Base(in.Key))
		case in.Key != "":
			m.MountPath = path.Dir(in.Path)
		}
		add(in.Name, in.Path, m)
	}
	for _, out := range st.Outputs {
		add(out.Name, out.Path, corev1.VolumeMount{MountPath: out.Path, SubPath: out.Name})
	}
	return c, nil
}

// covers are empty folders at the mountPaths of connectedBoxes that variables lie below. There is
// nothing there but what lies in boxes: the names below a mountPath are uploaders', and none of them
// takes the place of a file of the image.
func covers(st *runtimev1.StageStatus) []corev1.VolumeMount {
	var below []string
	taken := map[string]bool{}
	add := func(path, mount string) {
		taken[path] = true
		if mount != "" && path != mount {
			below = append(below, mount)
		}
	}
	for _, in := range st.Inputs {
		add(in.Path, in.Mount)
	}
	for _, out := range st.Outputs {
		add(out.Path, out.Mount)
	}
	slices.Sort(below) // one before those that lie in it
	var all []corev1.VolumeMount
	for _, mount := range below {
		within := func(m corev1.VolumeMount) bool { return folder.Nested(m.MountPath, mount) }
		if !taken[mount] && !slices.ContainsFunc(all, within) {
			all = append(all, corev1.VolumeMount{Name: coverVolume, MountPath: mount,
				SubPath: fmt.Sprint(len(all))})
		}
	}
	return all
}

// escape keeps kubelet from expanding "$(NAME)": a dollar stays a dollar. A name of a file in the
// place of a variable would otherwise become a part of the command.
func escape(s string) string { return strings.ReplaceAll(s, "$", "$$") }

// escapeAll does so with each word.
func escapeAll(words []string) []string {
	out := slices.Clone(words)
	for i, w := range out {
		out[i] = escape(w)
	}
	return out
}

// resourcesOf are a stage's, with the installation's where it names none: a Pipeline may have been
// made by hand.
func resourcesOf(r runtimev1.Resources, defaults installation.Defaults) corev1.ResourceRequirements {
	all := defaults.Resources(r.Limits)
	for name, q := range r.Requests {
		all.Requests[name] = q
		if limit, ok := all.Limits[name]; ok && limit.Cmp(q) < 0 {
			all.Limits[name] = q // the default would be less than what is asked for
		}
	}
	return all
}

// secure gives each container what its work needs and the profile allows. Under restricted all
// three share one user. Under baseline the user's container runs as its image says, with the
// capabilities that such images need. Publish must read what that left, and so is root there, with
// no capability but DAC_OVERRIDE.
func secure(pod *corev1.PodSpec, profile installation.Profile) {
	fetch, user, publish := &pod.InitContainers[0], &pod.InitContainers[1], &pod.Containers[0]
	unprivileged := func() *corev1.SecurityContext {
		return &corev1.SecurityContext{
			AllowPrivilegeEscalation: new(false),
			ReadOnlyRootFilesystem:   new(true),
			RunAsUser:                new(int64(anyUser)),
			RunAsNonRoot:             new(true),
			Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
		}
	}
	fetch.SecurityContext, publish.SecurityContext = unprivileged(), unprivileged()
	if profile == installation.Restricted {
		user.SecurityContext = unprivileged()
		user.SecurityContext.ReadOnlyRootFilesystem = nil
		return
	}
	user.SecurityContext = &corev1.SecurityContext{
		AllowPrivilegeEscalation: new(false),
		Capabilities: &corev1.Capabilities{
			Drop: []corev1.Capability{"ALL"}, Add: installation.UserCapabilities(),
		},
	}
	publish.SecurityContext.RunAsUser, publish.SecurityContext.RunAsNonRoot = new(int64(0)), nil
	publish.SecurityContext.Capabilities.Add = []corev1.Capability{"DAC_OVERRIDE"}
}
