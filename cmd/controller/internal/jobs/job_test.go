package jobs

import (
	"errors"
	"maps"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/eventing/plan/plantest"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/translate/installation"
	"github.com/unip-knative/unip/translate/resources"
)

var (
	newPipeline, newRun, diamond = plantest.Pipeline, plantest.Run, plantest.Diamond
	with, variable, into         = plantest.With, plantest.Variable, plantest.Into
)

// makePlan makes the plan of a run of a whole chain.
func makePlan(
	r *runtimev1.PipelineRun, pipelines []*runtimev1.Pipeline, find plan.FindBox,
) (plan.Plan, error) {
	var chain []pipeline.Pipeline
	for _, p := range pipelines {
		chain = append(chain, pipeline.Pipeline{Name: p.Name, Spec: &p.Spec})
	}
	return plan.Make(r, chain, pipeline.Whole, find)
}

func buckets(box string) (plan.Box, error) {
	switch box {
	case "gone":
		return plan.Box{}, errors.New("there is no DataBox gone")
	case "herbarium":
		return plan.Box{Bucket: "b-herbarium", Dataset: true}, nil
	case "pressed":
		return plan.Box{Bucket: "b-herbarium", Dataset: true, Prefix: "leaves/pressed/"}, nil
	}
	return plan.Box{Bucket: "b-" + box}, nil
}

// resolved is the run with its plan in its status, as the reconciler has it.
func resolved(t *testing.T, r *runtimev1.PipelineRun, p *runtimev1.Pipeline) *runtimev1.PipelineRun {
	t.Helper()
	x, err := makePlan(r, []*runtimev1.Pipeline{p}, buckets)
	if err != nil {
		t.Fatal(err)
	}
	r.Status.Stages = x.Stages
	return r
}

func TestJob(t *testing.T) {
	t.Parallel()
	r := resolved(t, newRun(func(r *runtimev1.PipelineRun) {
		r.Spec.Inputs["table"] = runtimev1.InputPath{Path: "userdata/a/$(HOME) x.csv"}
	}), diamond(variable("prepared", func(v *runtimev1.Variable) { v.MountTo = "/work/prepared" })))
	st := &r.Status.Stages[0]
	st.Spec.Resources.Limits = corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("1Gi")}
	job, err := Make(r, st, plan.Attempt{Number: 2}, Config{Image: "stage:1", Security: installation.Baseline})
	if err != nil {
		t.Fatal(err)
	}
	pod := job.Spec.Template.Spec
	fetch, user, publish := pod.InitContainers[0], pod.InitContainers[1], pod.Containers[0]

	var f stage.FetchPlan
	if err := stage.Decode(kubelet(fetch.Args[1], "--plan="), &f); err != nil {
		t.Fatal(err)
	}
	if in := f.Inputs[0]; in.Key != "users/ann/file_groups/a/$(HOME) x.csv" || in.Name != "table" ||
		in.Session != "fetch-0.json" || f.Outputs[0] != "prepared" {
		t.Errorf("fetch %+v", f)
	}
	var p stage.PublishPlan
	if err := stage.Decode(kubelet(publish.Args[1], "--plan="), &p); err != nil {
		t.Fatal(err)
	}
	if p.Session != "publish-0.json" || p.Attempt != 2 || p.Stage != "prepare" || p.Run != "run-1" ||
		len(p.Outputs[0].Copies) != 0 ||
		!slices.Equal(p.Outputs[0].Paths, []string{"/work/prepared", "/unip/data/prepared"}) {
		t.Errorf("publish %+v", p)
	}
	env := map[string]string{}
	for _, e := range user.Env {
		env[e.Name] = strings.ReplaceAll(e.Value, "$$", "$")
	}
	if env["UNIP_PIPELINE_TABLE"] != "/unip/data/table/$(HOME) x.csv" ||
		env["UNIP_PIPELINE_PREPARED"] != "/work/prepared" || len(env) != 2 {
		t.Errorf("environment %v", env)
	}
	atWork := func(m corev1.VolumeMount) bool { return m.MountPath == "/work/prepared" }
	if i := slices.IndexFunc(user.VolumeMounts, atWork); i < 0 || user.VolumeMounts[i].SubPath != "prepared" {
		t.Errorf("mounts %+v", user.VolumeMounts)
	}
	for _, m := range user.VolumeMounts {
		if m.Name != "data" {
			t.Errorf("the user's container mounts %s", m.Name)
		}
	}
	if *pod.AutomountServiceAccountToken || *job.Spec.BackoffLimit != 0 || job.OwnerReferences[0].UID != "u" {
		t.Errorf("%+v", job)
	}
	if len(job.Name) > 63 || job.Name == plan.AttemptName(r, st.Name, 1) ||
		job.Name != plan.AttemptName(r, st.Name, 2) ||
		job.Name == plan.AttemptName(r, r.Status.Stages[1].Name, 2) {
		t.Errorf("name %s", job.Name)
	}
	c := user.SecurityContext.Capabilities
	if c.Drop[0] != "ALL" || !slices.Equal(c.Add, installation.UserCapabilities()) {
		t.Errorf("the user's capabilities %+v", c)
	}
	if s := publish.SecurityContext; *s.RunAsUser != 0 || s.Capabilities.Drop[0] != "ALL" ||
		s.Capabilities.Add[0] != "DAC_OVERRIDE" || !*s.ReadOnlyRootFilesystem {
		t.Errorf("publish %+v", s)
	}
}

// Where a stage has a commit there is nothing of the user's in the pod, and no session but
// publish's.
func TestJobThatCompletes(t *testing.T) {
	t.Parallel()
	for _, profile := range []installation.Profile{installation.Baseline, installation.Restricted} {
		r := resolved(t, newRun(), diamond())
		job, err := Make(r, &r.Status.Stages[0], plan.Attempt{Number: 3, Complete: true, Patience: 2 * time.Hour},
			Config{Image: "stage:1", Security: profile, Runs: installation.Default().Runs})
		if err != nil {
			t.Fatal(err)
		}
		pod := job.Spec.Template.Spec
		if len(pod.InitContainers) != 0 || len(pod.Containers) != 1 || pod.Containers[0].Image != "stage:1" {
			t.Fatalf("containers %+v %+v", pod.InitContainers, pod.Containers)
		}
		var p stage.PublishPlan
		if err := stage.Decode(kubelet(pod.Containers[0].Args[1], "--plan="), &p); err != nil {
			t.Fatal(err)
		}
		if !p.Complete || p.Attempt != 3 || p.PatienceSeconds != 7200 {
			t.Errorf("publish %+v", p)
		}
		if s := pod.Containers[0].SecurityContext; *s.RunAsUser != anyUser || s.Capabilities.Add != nil {
			t.Errorf("it has rights that it does not need: %+v", s)
		}
		var volumes []string
		for _, v := range pod.Volumes {
			volumes = append(volumes, v.Name)
		}
		if !slices.Equal(volumes, []string{"publish-session"}) || len(pod.Containers[0].VolumeMounts) != 1 {
			t.Errorf("volumes %v, mounts %+v", volumes, pod.Containers[0].VolumeMounts)
		}
	}
}

// A pod leaves a node that does not answer when the installation says so, and lives long enough for
// the patience of both transfers, each of which has the attempt's.
func TestJobsPatience(t *testing.T) {
	t.Parallel()
	r := resolved(t, newRun(), diamond())
	st := &r.Status.Stages[0]
	c := Config{Image: "stage:1", Runs: installation.Runs{PatienceMinutes: 30, LostNodeSeconds: 45}}
	for _, want := range []int64{1800, 60} {
		job, err := Make(r, st, plan.Attempt{Number: 2, Patience: time.Duration(want) * time.Second}, c)
		if err != nil {
			t.Fatal(err)
		}
		pod := job.Spec.Template.Spec
		var f stage.FetchPlan
		var p stage.PublishPlan
		for argument, into := range map[string]interface{ Validate() error }{
			pod.InitContainers[0].Args[1]: &f, pod.Containers[0].Args[1]: &p,
		} {
			if err := stage.Decode(kubelet(argument, "--plan="), into); err != nil {
				t.Fatal(err)
			}
		}
		if f.PatienceSeconds != want || p.PatienceSeconds != want || p.Complete {
			t.Errorf("fetch %d, publish %d, want %d", f.PatienceSeconds, p.PatienceSeconds, want)
		}
		if n := *pod.ActiveDeadlineSeconds; n != st.Spec.TimeoutSeconds+3600+2*1800 {
			t.Errorf("the pod may live %d s", n)
		}
		for _, taint := range []string{"node.kubernetes.io/not-ready", "node.kubernetes.io/unreachable"} {
			i := slices.IndexFunc(pod.Tolerations, func(t corev1.Toleration) bool { return t.Key == taint })
			if i < 0 || *pod.Tolerations[i].TolerationSeconds != 45 ||
				pod.Tolerations[i].Effect != corev1.TaintEffectNoExecute {
				t.Errorf("tolerations %+v", pod.Tolerations)
			}
		}
	}
}

// kubelet is what becomes of an argument on its way into the container.
func kubelet(argument, prefix string) string {
	return strings.ReplaceAll(strings.TrimPrefix(argument, prefix), "$$", "$")
}

// The translator's NetworkPolicy for stages finds them by their labels.
func TestNetworkPolicySelectsStages(t *testing.T) {
	t.Parallel()
	r := resolved(t, newRun(), diamond())
	job, err := Make(r, &r.Status.Stages[0], plan.Attempt{Number: 1},
		Config{Image: "stage:1", Security: installation.Baseline})
	if err != nil {
		t.Fatal(err)
	}
	module := resources.Module{Namespace: "pu-ann-pa-a", Config: installation.Default()}
	policy := resources.MakeNetworkPolicy(module, "stage")
	selector, err := metav1.LabelSelectorAsSelector(&policy.Spec.PodSelector)
	if err != nil {
		t.Fatal(err)
	}
	if !selector.Matches(labels.Set(job.Spec.Template.Labels)) {
		t.Errorf("%s does not match %v", selector, job.Spec.Template.Labels)
	}
}

func TestJobUnderRestricted(t *testing.T) {
	t.Parallel()
	r := resolved(t, newRun(), diamond())
	job, err := Make(r, &r.Status.Stages[0], plan.Attempt{Number: 1},
		Config{Image: "stage:1", Security: installation.Restricted})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range slices.Concat(job.Spec.Template.Spec.InitContainers, job.Spec.Template.Spec.Containers) {
		s := c.SecurityContext
		if !*s.RunAsNonRoot || *s.RunAsUser != anyUser || *s.AllowPrivilegeEscalation ||
			s.Capabilities.Drop[0] != "ALL" || s.Capabilities.Add != nil {
			t.Errorf("%s: %+v", c.Name, s)
		}
	}
}

// No pod of a stage gets an object of unip's own, by whatever field, whoever wrote the Pipeline.
func TestJobRefusesOwnObjects(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"unip-module-key", "unip-run-logs", "weights.databox.write", "run-1.run.session"} {
		ref := corev1.LocalObjectReference{Name: name}
		valueFrom := func(s runtimev1.EnvVarSource) func(*runtimev1.Stage) {
			return func(x *runtimev1.Stage) { x.Env = []runtimev1.EnvVar{{Name: "X", ValueFrom: &s}} }
		}
		for field, set := range map[string]func(*runtimev1.Stage){
			"envFrom: ": func(x *runtimev1.Stage) {
				x.EnvFrom = []corev1.EnvFromSource{{SecretRef: &corev1.SecretEnvSource{LocalObjectReference: ref}}}
			},
			"envFrom:": func(x *runtimev1.Stage) {
				source := &corev1.ConfigMapEnvSource{LocalObjectReference: ref}
				x.EnvFrom = []corev1.EnvFromSource{{ConfigMapRef: source}}
			},
			"env: ": valueFrom(
				runtimev1.EnvVarSource{SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: ref}}),
			"env:": valueFrom(
				runtimev1.EnvVarSource{ConfigMapKeyRef: &corev1.ConfigMapKeySelector{LocalObjectReference: ref}}),
			"imagePullSecrets": func(x *runtimev1.Stage) { x.ImagePullSecrets = []corev1.LocalObjectReference{ref} },
		} {
			r := resolved(t, newRun(), diamond())
			set(&r.Status.Stages[0].Spec)
			if _, err := Make(r, &r.Status.Stages[0], plan.Attempt{Number: 1}, Config{}); err == nil ||
				!strings.Contains(err.Error(), field) || !strings.Contains(err.Error(), name) {
				t.Errorf("%s %s: %v", field, name, err)
			}
		}
	}
}

// A traced stage's program is told its span, unless its author has given it another.
func TestJobTellsTheSpan(t *testing.T) {
	t.Parallel()
	for given, want := range map[string]string{"": "00-trace", "00-own": "00-own"} {
		r := resolved(t, newRun(), diamond())
		if given != "" {
			r.Status.Stages[0].Spec.Env = []runtimev1.EnvVar{{Name: "TRACEPARENT", Value: given}}
		}
		job, err := Make(r, &r.Status.Stages[0], plan.Attempt{Number: 1}, Config{TraceParent: "00-trace"})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, c := range append(job.Spec.Template.Spec.InitContainers, job.Spec.Template.Spec.Containers...) {
			for _, e := range c.Env {
				if e.Name == "TRACEPARENT" {
					got = append(got, c.Name+" "+e.Value)
				}
			}
		}
		if !slices.Equal(got, []string{"function " + want}) {
			t.Errorf("with %q: %q, want %q for function alone", given, got, want)
		}
	}
}

// A key of a Secret or a ConfigMap goes to the user's container, and the Secrets of images to the
// pod.
func TestJobGivesKeysAndPullSecrets(t *testing.T) {
	t.Parallel()
	r := resolved(t, newRun(), diamond())
	key := &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: "settings"}, Key: "token"}
	r.Status.Stages[0].Spec.Env = []runtimev1.EnvVar{
		{Name: "TOKEN", ValueFrom: &runtimev1.EnvVarSource{SecretKeyRef: key}},
	}
	r.Status.Stages[0].Spec.ImagePullSecrets = []corev1.LocalObjectReference{{Name: "registry"}}
	job, err := Make(r, &r.Status.Stages[0], plan.Attempt{Number: 1}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	pod := job.Spec.Template.Spec
	if e := pod.InitContainers[1].Env[0]; e.Name != "TOKEN" || e.ValueFrom == nil || e.ValueFrom.SecretKeyRef != key {
		t.Errorf("the user's container has %+v", e)
	}
	if len(pod.ImagePullSecrets) != 1 || pod.ImagePullSecrets[0].Name != "registry" {
		t.Errorf("the pod has %+v", pod.ImagePullSecrets)
	}
}

// The labels of the manifest are on the Job and its pod. Ours win, and those that steer a cluster
// are refused here as well, for a Pipeline may have been made by hand.
func TestJobCarriesLabels(t *testing.T) {
	t.Parallel()
	r := resolved(t, newRun(), diamond())
	st := &r.Status.Stages[0]
	plain, err := Make(r, st, plan.Attempt{Number: 1}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	st.Spec.Labels = map[string]string{"team": "herbarium", "app.kubernetes.io/version": "3f2a91c",
		"app.kubernetes.io/component": "gateway", "app.kubernetes.io/managed-by": "somebody"}
	want := maps.Clone(plain.Labels)
	want["team"], want["app.kubernetes.io/version"] = "herbarium", "3f2a91c"
	job, err := Make(r, st, plan.Attempt{Number: 1}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	if !maps.Equal(job.Labels, want) || !maps.Equal(job.Spec.Template.Labels, want) {
		t.Errorf("%v, pod %v; want %v", job.Labels, job.Spec.Template.Labels, want)
	}
	for _, key := range []string{
		runtimev1.RunLabel, "serving.knative.dev/service", "pod-security.kubernetes.io/enforce", "no name",
		"batch.kubernetes.io/x",
	} {
		st.Spec.Labels = map[string]string{key: "x"}
		_, err := Make(r, st, plan.Attempt{Number: 1}, Config{})
		if err == nil || !strings.Contains(err.Error(), key) {
			t.Errorf("%s: %v", key, err)
		}
	}
}

// Each of our containers sees its own sessions, and the user's none, also where a stage reads
// nothing: a volume without items would hold all of the Secret.
func TestSessionsAreSeenByTheirContainersOnly(t *testing.T) {
	t.Parallel()
	reads := resolved(t, newRun(), diamond())
	nothingToRead := newRun(func(r *runtimev1.PipelineRun) { r.Spec.Inputs = nil })
	writes := resolved(t, nothingToRead, newPipeline("train", with("make: -> model")))
	for name, r := range map[string]*runtimev1.PipelineRun{"reads and writes": reads, "writes only": writes} {
		st := &r.Status.Stages[0]
		job, err := Make(r, st, plan.Attempt{Number: 1}, Config{Image: "stage:1", Security: installation.Baseline})
		if err != nil {
			t.Fatal(err)
		}
		pod := job.Spec.Template.Spec
		volumes := map[string]*corev1.SecretVolumeSource{}
		for _, v := range pod.Volumes {
			if v.Secret != nil {
				volumes[v.Name] = v.Secret
			}
		}
		for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
			for _, m := range c.VolumeMounts {
				secret, ok := volumes[m.Name]
				if !ok {
					continue
				}
				if m.SubPath != "" || !m.ReadOnly || strings.HasPrefix(m.MountPath, pipeline.DataDir) ||
					m.MountPath != sessionDir {
					t.Errorf("%s: %s: %+v", name, c.Name, m)
				}
				if secret.SecretName != names.StageSession(r.Name, st.Name) || len(secret.Items) == 0 {
					t.Errorf("%s: %s: %+v", name, c.Name, secret)
				}
				for _, i := range secret.Items {
					if c.Name == stage.FunctionContainer || !strings.HasPrefix(i.Key, c.Name+"-") {
						t.Errorf("%s: %s sees %s", name, c.Name, i.Key)
					}
				}
			}
		}
		if want := 1 + len(st.Inputs); name == "writes only" && len(volumes) != want {
			t.Errorf("%s: %d volumes of sessions", name, len(volumes))
		}
	}
}

// What the manifest says in command and args is what the container gets: an uploader's file name in
// a variable does not become a part of the command.
func TestCommandsAreLiteral(t *testing.T) {
	t.Parallel()
	r := resolved(t, newRun(), diamond())
	st := &r.Status.Stages[0]
	words := []string{"sh", "-c", "echo $(UNIP_PIPELINE_TABLE) $HOME $$ $$(X) ${Y}"}
	st.Spec.Command, st.Spec.Args = slices.Clone(words), slices.Clone(words)
	job, err := Make(r, st, plan.Attempt{Number: 1}, Config{})
	if err != nil {
		t.Fatal(err)
	}
	user := job.Spec.Template.Spec.InitContainers[1]
	environment := map[string]string{"UNIP_PIPELINE_TABLE": "/x;reboot", "X": "x", "Y": "y"}
	for _, got := range [][]string{user.Command, user.Args} {
		for i := range got {
			got[i] = expand(got[i], environment)
		}
		if !slices.Equal(got, words) {
			t.Errorf("%q, want %q", got, words)
		}
	}
	if !slices.Equal(st.Spec.Command, []string{"sh", "-c", words[2]}) {
		t.Error("the run's own command was changed")
	}
}

// references are what kubelet looks for in command, args and env: an escaped dollar, or a variable.
var references = regexp.MustCompile(`\$\$|\$\([^)]*\)`)

// expand does what kubelet does (third_party/forked/golang/expansion).
func expand(word string, environment map[string]string) string {
	return references.ReplaceAllStringFunc(word, func(found string) string {
		if found == "$$" {
			return "$"
		}
		if value, ok := environment[strings.Trim(found, "$()")]; ok {
			return value
		}
		return found
	})
}

// A Pipeline that was made by hand without resources gets the installation's, as a translated one
// does.
func TestResourcesOfAStage(t *testing.T) {
	t.Parallel()
	defaults := installation.Defaults{
		Requests: map[string]string{"cpu": "100m", "memory": "256Mi"},
		Limits:   map[string]string{"memory": "1Gi", "ephemeral-storage": "10Gi"},
	}
	list := func(pairs ...string) corev1.ResourceList {
		l := corev1.ResourceList{}
		for i := 0; i < len(pairs); i += 2 {
			l[corev1.ResourceName(pairs[i])] = resource.MustParse(pairs[i+1])
		}
		return l
	}
	for name, c := range map[string]struct {
		given          runtimev1.Resources
		requests, want corev1.ResourceList
	}{
		"nothing": {
			runtimev1.Resources{},
			list("cpu", "100m", "memory", "256Mi"), list("memory", "1Gi", "ephemeral-storage", "10Gi"),
		},
		"a limit": {
			runtimev1.Resources{Limits: list("memory", "64Mi")},
			list("cpu", "100m", "memory", "64Mi"), list("memory", "64Mi", "ephemeral-storage", "10Gi"),
		},
		"a request": {
			runtimev1.Resources{Requests: list("memory", "2Gi")},
			list("cpu", "100m", "memory", "2Gi"), list("memory", "2Gi", "ephemeral-storage", "10Gi"),
		},
		"as translated": {
			runtimev1.Resources{Limits: list("memory", "2Gi"), Requests: list("cpu", "50m", "memory", "1Gi")},
			list("cpu", "50m", "memory", "1Gi"), list("memory", "2Gi", "ephemeral-storage", "10Gi"),
		},
	} {
		got := resourcesOf(c.given, defaults)
		if !equality.Semantic.DeepEqual(got.Requests, c.requests) || !equality.Semantic.DeepEqual(got.Limits, c.want) {
			t.Errorf("%s: requests %v limits %v", name, got.Requests, got.Limits)
		}
	}
}

// A stage knows whose run it is where the API that started it says so: every stage of a chain, in
// every attempt, by its own environment only.
func TestWhoseRunAStageKnows(t *testing.T) {
	t.Parallel()
	first := newPipeline("train", with("fit: table -> model"), func(p *runtimev1.Pipeline) {
		p.Spec.ContinueWith = "report"
	})
	second := newPipeline("report", with("tell: model -> text"))
	for name, tc := range map[string]struct {
		user   string
		passed bool
		want   string
	}{
		"a user":                      {"ann", true, "ann"},
		"a user with a dollar":        {"$(HOME)", true, "$(HOME)"},
		"a user of an issuer":         {"oidc:Аня", true, "oidc:Аня"},
		"an API that keeps it":        {"ann", false, ""},
		"everybody on an open API":    {"anonymous", true, ""},
		"nobody, as of a schedule":    {"", true, ""},
		"nobody, and nothing is told": {"", false, ""},
	} {
		r := newRun(func(r *runtimev1.PipelineRun) {
			r.Spec.User, r.Spec.IdentityPassThrough = tc.user, tc.passed
			if tc.user == "" {
				r.Spec.Inputs = map[string]runtimev1.InputPath{"table": {Path: "userdata:/in/a.csv"}}
				r.Spec.Origin = runtimev1.OriginKubernetes
			}
		})
		x, err := makePlan(r, []*runtimev1.Pipeline{first, second}, buckets)
		if err != nil {
			t.Fatal(err)
		}
		r.Status.Stages = x.Stages
		for i := range x.Stages {
			for attempt := 1; attempt < 4; attempt++ {
				job, err := Make(r, &x.Stages[i], plan.Attempt{Number: attempt}, Config{Image: "stage:1"})
				if err != nil {
					t.Fatal(err)
				}
				pod := job.Spec.Template.Spec
				var all []string
				for _, c := range slices.Concat(pod.InitContainers, pod.Containers) {
					for _, e := range c.Env {
						if e.Name == "UNIP_USER" {
							all = append(all, c.Name+" "+strings.ReplaceAll(e.Value, "$$", "$"))
						}
					}
				}
				want := []string{"function " + tc.want}
				if tc.want == "" {
					want = nil
				}
				if !slices.Equal(all, want) {
					t.Errorf("%s, stage %s, attempt %d: %q, want %q", name, x.Stages[i].Name, attempt, all, want)
				}
			}
		}
	}
}
