//go:build integration

package main

import (
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/names"
)

// pipeline makes one of a single stage without files.
func (c *cluster) pipeline(t *testing.T, namespace, name string) *runtimev1.Pipeline {
	t.Helper()
	p := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	p.Spec = runtimev1.PipelineSpec{Variables: []runtimev1.Variable{},
		Stages: []runtimev1.Stage{{Name: "only", Image: "image", TimeoutSeconds: 60}}}
	must(t, c.Create(t.Context(), p))
	return p
}

func (c *cluster) run(t *testing.T, namespace, name, pipeline string) *runtimev1.PipelineRun {
	t.Helper()
	r := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name}}
	r.Spec = runtimev1.PipelineRunSpec{Pipeline: pipeline, Inputs: map[string]runtimev1.InputPath{},
		Outputs: map[string]string{}}
	must(t, c.Create(t.Context(), r))
	return r
}

// requested tells the controller that the run was asked for, as its Trigger does.
func (c *cluster) requested(t *testing.T, r *runtimev1.PipelineRun) {
	t.Helper()
	// Not before the controller has seen the run: it tells of it itself.
	eventually(t, "the first look at run "+r.Name, func() error {
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(r), r))
		if len(r.Status.Stages) == 0 {
			return fmt.Errorf("%+v", r.Status)
		}
		return nil
	})
	path := fmt.Sprintf("/namespaces/%s/pipelines/%s/events", r.Namespace, r.Spec.Pipeline)
	eventually(t, "the event of run "+r.Name, func() error {
		if code := c.tell(t, path, events.RunRequested, map[string]string{"Run": r.Name}); code != 202 {
			return fmt.Errorf("answered %d", code)
		}
		return nil
	})
}

func (c *cluster) waitForRun(t *testing.T, r *runtimev1.PipelineRun, state runtimev1.State, message string) {
	t.Helper()
	eventually(t, fmt.Sprintf("run %s/%s", r.Namespace, r.Name), func() error {
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(r), r))
		if r.Status.State != state || !strings.Contains(r.Status.Message, message) {
			return fmt.Errorf("%s: %q, want %s: %q", r.Status.State, r.Status.Message, state, message)
		}
		return nil
	})
}

func (c *cluster) waitForPipeline(t *testing.T, p *runtimev1.Pipeline, reason string) {
	t.Helper()
	eventually(t, fmt.Sprintf("pipeline %s/%s", p.Namespace, p.Name), func() error {
		must(t, c.Get(t.Context(), client.ObjectKeyFromObject(p), p))
		if r := meta.FindStatusCondition(p.Status.Conditions, "Ready"); r == nil || r.Reason != reason {
			return fmt.Errorf("%+v, want %s", p.Status.Conditions, reason)
		}
		return nil
	})
}

func (c *cluster) jobs(t *testing.T, namespace string) []batchv1.Job {
	t.Helper()
	var all batchv1.JobList
	must(t, c.List(t.Context(), &all, client.InNamespace(namespace)))
	return all.Items
}

func (c *cluster) waitsForTheRole(t *testing.T) {
	const ns = "norole"
	c.bareNamespace(t, ns)
	key := &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: names.ModuleKey,
		Labels: map[string]string{names.ModuleKeyLabel: "true"}}, Type: names.ModuleKeyType}
	must(t, c.Create(t.Context(), key))
	b, p := c.box(t, ns, "weights"), c.pipeline(t, ns, "train")
	r := c.run(t, ns, "train-1", "train")
	c.waitFor(t, b, platformv1.ReasonApplyAgain)
	if m := ready(b).Message; !strings.Contains(m, "unip apply -f") || !strings.Contains(m, ns) {
		t.Errorf("the message has no cure: %q", m)
	}
	c.waitForPipeline(t, p, platformv1.ReasonApplyAgain)
	c.requested(t, r)
	c.waitForRun(t, r, runtimev1.Pending, "unip apply -f")
	if n := len(c.jobs(t, ns)); n > 0 {
		t.Errorf("%d Jobs", n)
	}
	if s := c.secret(t, ns, names.ModuleKey); len(s.Data) > 0 {
		t.Error("the key was filled in without a right to")
	}

	c.role(t, ns)
	c.waitFor(t, b, platformv1.ReasonReady)
	c.waitForPipeline(t, p, "Ready")
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
		return s.State == runtimev1.Running &&
			s.Message == ""
	})
	eventually(t, "the run's Job", func() error { // it is made after the status says so
		if jobs := c.jobs(t, ns); len(jobs) != 1 || !metav1.IsControlledBy(&jobs[0], r) {
			return fmt.Errorf("%d Jobs", len(jobs))
		}
		return nil
	})
	eventually(t, "the module's key", func() error {
		if n := len(c.secret(t, ns, names.ModuleKey).Data[names.ModuleKeyData]); n != 32 {
			return fmt.Errorf("%d bytes", n)
		}
		return nil
	})
}

// goesWithoutTheRole goes on with the module of waitsForTheRole: whatever goes first when a
// namespace is deleted, nothing else waits for it. Kubernetes itself removes what is owned.
func (c *cluster) goesWithoutTheRole(t *testing.T) {
	const ns = "norole"
	b, p, r := &platformv1.DataBox{}, &runtimev1.Pipeline{}, &runtimev1.PipelineRun{}
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "weights"}, b))
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "train"}, p))
	must(t, c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: "train-1"}, r))
	if len(b.Finalizers)+len(p.Finalizers) != 2 || len(r.Finalizers) != 0 {
		t.Fatalf("finalizers %v, %v, %v", b.Finalizers, p.Finalizers, r.Finalizers)
	}
	var secrets corev1.SecretList
	must(t, c.List(t.Context(), &secrets, client.InNamespace(ns)))
	owners := map[string]int{}
	for _, s := range secrets.Items {
		for _, o := range s.OwnerReferences {
			owners[o.Kind]++
		}
		if len(s.OwnerReferences) == 0 && s.Name != names.ModuleKey {
			t.Errorf("Secret %s has no owner", s.Name)
		}
	}
	if owners["DataBox"] == 0 || owners["Pipeline"] == 0 || owners["PipelineRun"] == 0 {
		t.Errorf("owners of Secrets: %v", owners)
	}

	must(t, c.Delete(t.Context(), &rbacv1.RoleBinding{ObjectMeta: metav1.ObjectMeta{Namespace: ns,
		Name: names.Controller}}))
	c.waitFor(t, b, platformv1.ReasonApplyAgain)
	before := r.DeepCopy()
	r.Spec.Cancel = true
	must(t, c.Patch(t.Context(), r, client.MergeFrom(before)))
	c.waitForRun(t, r, runtimev1.Cancelled, "")
	must(t, c.Delete(t.Context(), r))
	must(t, c.Delete(t.Context(), p))
	must(t, c.Delete(t.Context(), b))
	for _, o := range []client.Object{r, p, b} {
		eventually(t, "the end of "+o.GetName(), func() error {
			if err := c.Get(t.Context(), client.ObjectKeyFromObject(o), o); !apierrors.IsNotFound(err) {
				return fmt.Errorf("it is there: %v, %v", o.GetFinalizers(), err)
			}
			return nil
		})
	}
	for _, bucket := range []string{databox.UsualBuckets.Box(ns, "weights"), databox.UsualBuckets.Runs(ns)} {
		if there, err := c.s3.BucketExists(t.Context(), bucket); err != nil || there {
			t.Errorf("bucket %s: %t, %v", bucket, there, err)
		}
	}
}

// forgedEventsCostNothing posts what anybody in the cluster can post to anybody's Broker.
func (c *cluster) forgedEventsCostNothing(t *testing.T) {
	const many = 10_000
	for _, ns := range []string{"flooded", "calm"} {
		c.namespace(t, ns)
		c.waitForPipeline(t, c.pipeline(t, ns, "train"), "Ready")
	}
	before := c.asked.len()
	next := make(chan int)
	go func() {
		defer close(next)
		for i := range many {
			next <- i
		}
	}()
	began := time.Now()
	done := make(chan bool)
	for range 4 {
		go func() {
			defer func() { done <- true }()
			for i := range next {
				run := map[string]string{"Run": fmt.Sprintf("none-%d", i), "User": "ann"}
				path, kind := "/namespaces/flooded/pipelines/train/events", events.RunRequested
				switch i % 5 {
				case 1:
					path, kind = "/namespaces/flooded/pipelines/none-x/events", events.Ping
				case 2:
					path = fmt.Sprintf("/namespaces/none-%d/pipelines/none-x/dead-letters", i)
				case 3:
					path = "/namespaces/flooded/pipelines/none-x/uploads/0"
				case 4:
					path = "/namespaces/flooded/pipelines/train/uploads/7"
				}
				if code := c.tell(t, path, kind, run); code != 202 {
					t.Errorf("%s: answered %d", path, code)
				}
			}
		}()
	}
	for range 4 {
		<-done
	}
	t.Logf("%d forged events in %v", many, time.Since(began))

	// The run of another module is looked at at once: its grace period is ten minutes.
	r := c.run(t, "calm", "train-1", "train")
	c.requested(t, r)
	began = time.Now()
	c.waitForRun(t, r, runtimev1.Running, "")
	t.Logf("another module's run was started after %v", time.Since(began))
	about := func(x string) bool {
		return strings.Contains(x, "none-") || strings.Contains(x, "/flooded/pipelines/train")
	}
	if x := c.asked.since(before, about); len(x) > 0 {
		t.Errorf("%d requests for what is not there, such as %s", len(x), x[0])
	}
}

// refusesHugeQuantities tries quantities with which whoever decodes the object would compute for
// hours: the controller, for one. The test itself makes the objects without Go types for that
// reason.
func (c *cluster) refusesHugeQuantities(t *testing.T, ns string) {
	const huge = "1e99998888899999"
	object := func(apiVersion, kind string, spec map[string]any) *unstructured.Unstructured {
		return &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": apiVersion, "kind": kind, "metadata": map[string]any{"name": "huge", "namespace": ns},
			"spec": spec,
		}}
	}
	for _, resources := range []string{"limits", "requests"} {
		p := object(runtimev1.GroupVersion.String(), "Pipeline", map[string]any{
			"variables": []any{},
			"stages": []any{map[string]any{
				"name": "only", "image": "image", "timeoutSeconds": int64(1),
				"resources": map[string]any{resources: map[string]any{"cpu": huge}},
			}},
		})
		if err := c.Create(t.Context(), p); !apierrors.IsInvalid(err) {
			t.Errorf("a stage's %s: %v", resources, err)
		}
	}
	box := object(platformv1.GroupVersion.String(), "DataBox",
		map[string]any{"s3DefaultStorage": map[string]any{"capacity": huge}})
	if err := c.Create(t.Context(), box); !apierrors.IsInvalid(err) {
		t.Errorf("a box's capacity: %v", err)
	}
}

// refusesImpossibleRuns tries names that are paths. Objects of before the CRDs knew of that come to
// an end, too.
func (c *cluster) refusesImpossibleRuns(t *testing.T) {
	const ns = "impossible-runs"
	c.namespace(t, ns)
	stage := runtimev1.Stage{Name: "only", Image: "image", TimeoutSeconds: 1}
	for what, change := range map[string]func(*runtimev1.PipelineSpec){
		"continueWith": func(s *runtimev1.PipelineSpec) { s.ContinueWith = "../x" },
		"defaultBox":   func(s *runtimev1.PipelineSpec) { s.DefaultBox = "../x" },
		"a variable":   func(s *runtimev1.PipelineSpec) { s.Variables = []runtimev1.Variable{{Name: "../x"}} },
		"a stage":      func(s *runtimev1.PipelineSpec) { s.Stages[0].Name = "../x" },
		"an input":     func(s *runtimev1.PipelineSpec) { s.Stages[0].Inputs = []string{"../x"} },
		"an output":    func(s *runtimev1.PipelineSpec) { s.Stages[0].Outputs = []string{"a\x1bb"} },
		"a source": func(s *runtimev1.PipelineSpec) {
			s.Variables = []runtimev1.Variable{{Name: "x", MountFrom: &runtimev1.BoxPath{Box: "../x"}}}
		},
		"a rule's box": func(s *runtimev1.PipelineSpec) {
			s.OnUpload = []runtimev1.UploadRule{{Box: "../x",
				Input: "x"}}
		},
		"a rule's input": func(s *runtimev1.PipelineSpec) {
			s.OnUpload = []runtimev1.UploadRule{{Box: "x",
				Input: "../x"}}
		},
		"a rule's output": func(s *runtimev1.PipelineSpec) {
			s.OnUpload = []runtimev1.UploadRule{{Box: "x", Input: "x",
				Outputs: []runtimev1.UploadOutput{{Variable: "x", Box: "../x"}}}}
		},
	} {
		p := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "impossible"}}
		p.Spec = runtimev1.PipelineSpec{Variables: []runtimev1.Variable{}, Stages: []runtimev1.Stage{stage}}
		change(&p.Spec)
		if err := c.Create(t.Context(), p); !apierrors.IsInvalid(err) {
			t.Errorf("%s: %v", what, err)
		}
	}
	c.refusesHugeQuantities(t, ns)
	climbing := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "climbing"},
		Spec: runtimev1.PipelineRunSpec{Pipeline: "../x"}}
	if err := c.Create(t.Context(), climbing); !apierrors.IsInvalid(err) {
		t.Errorf("spec.pipeline: %v", err)
	}

	// As if by an older CRD.
	patterns := func(set func(*apiextensionsv1.JSONSchemaProps)) {
		for _, name := range []string{"pipelines", "pipelineruns"} {
			crd := &apiextensionsv1.CustomResourceDefinition{}
			must(t, c.Get(t.Context(), client.ObjectKey{Name: name + ".runtime.unified-platform.cs.hse.ru"}, crd))
			spec := crd.Spec.Versions[0].Schema.OpenAPIV3Schema.Properties["spec"]
			set(&spec)
			must(t, c.Update(t.Context(), crd))
		}
	}
	kept := map[string]string{}
	patterns(func(spec *apiextensionsv1.JSONSchemaProps) {
		for _, field := range []string{"pipeline", "continueWith", "defaultBox"} {
			if x, ok := spec.Properties[field]; ok {
				kept[field], x.Pattern = x.Pattern, ""
				spec.Properties[field] = x
			}
		}
	})
	chained := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "chained"}}
	chained.Spec = runtimev1.PipelineSpec{Variables: []runtimev1.Variable{}, Stages: []runtimev1.Stage{stage},
		ContinueWith: "../x"}
	eventually(t, "the older CRD", func() error { chained.ResourceVersion = ""; return c.Create(t.Context(), chained) })
	misplaced := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "misplaced"}}
	misplaced.Spec = runtimev1.PipelineSpec{Variables: []runtimev1.Variable{{Name: "x"}},
		Stages: []runtimev1.Stage{stage}, DefaultBox: "../x"}
	must(t, c.Create(t.Context(), misplaced))
	eventually(t, "the older CRD", func() error { return c.Create(t.Context(), climbing) })
	patterns(func(spec *apiextensionsv1.JSONSchemaProps) {
		for field, pattern := range kept {
			if x, ok := spec.Properties[field]; ok {
				x.Pattern = pattern
				spec.Properties[field] = x
			}
		}
	})
	c.waitForRun(t, climbing, runtimev1.Failed, "there is no Pipeline ../x")
	r := c.run(t, ns, "chained-1", "chained")
	c.waitForRun(t, r, runtimev1.Failed, "or one that it continues with")
	// A run that ends has to be recorded in the default box, which cannot be.
	r = c.run(t, ns, "misplaced-1", "misplaced")
	before := r.DeepCopy()
	r.Spec.Cancel = true
	must(t, c.Patch(t.Context(), r, client.MergeFrom(before)))
	c.waitForRun(t, r, runtimev1.Cancelled, "")
	for _, r := range []*runtimev1.PipelineRun{climbing, r} {
		eventually(t, "the end of all work for run "+r.Name, func() error {
			must(t, c.Get(t.Context(), client.ObjectKeyFromObject(r), r))
			if !r.Status.Recorded {
				return fmt.Errorf("%+v", r.Status)
			}
			return nil
		})
	}
	// Very many mistakes cost little and are told in one line.
	many := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: "many"}}
	many.Spec = runtimev1.PipelineRunSpec{Pipeline: "misplaced", Inputs: map[string]runtimev1.InputPath{}}
	for i := range 4096 {
		many.Spec.Inputs[fmt.Sprintf("x%d\x1b[2J", i)] = runtimev1.InputPath{Path: "a/b"}
	}
	must(t, c.Create(t.Context(), many))
	c.waitForRun(t, many, runtimev1.Failed, "no variable")
	if m := many.Status.Message; strings.ContainsAny(m, "\x1b\n") || len(m) > 500 {
		t.Errorf("%d bytes: %q", len(m), m)
	}
	many.Name, many.ResourceVersion, many.Spec.Inputs["one-more"] = "too-many", "", runtimev1.InputPath{Path: "a/b"}
	if err := c.Create(t.Context(), many); !apierrors.IsInvalid(err) {
		t.Errorf("4097 inputs: %v", err)
	}
}
