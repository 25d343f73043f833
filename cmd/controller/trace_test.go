//go:build integration

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	batchv1 "k8s.io/api/batch/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/collector"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/stage"
)

// An OpenTelemetry Collector has an uploaded file as one trace: the upload, the run, its stages, and
// their containers. What a stage has printed is not in it.
func TestTraceOfAnUpload(t *testing.T) {
	otel := collector.Start(t, "127.0.0.1")
	u := newUploading(t, fmt.Sprintf("tracing: {endpoint: %q, samplingRate: 1}", otel.Endpoint))
	p := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "module", Name: "chain"}}
	p.Spec = runtimev1.PipelineSpec{
		Variables: []runtimev1.Variable{{Name: "x"}, {Name: "parts"}, {Name: "y"}},
		Stages: []runtimev1.Stage{
			{Name: "split", Image: "image", Inputs: []string{"x"}, Outputs: []string{"parts"}, TimeoutSeconds: 60},
			{Name: "fit", Image: "image", Inputs: []string{"parts"}, Outputs: []string{"y"}, TimeoutSeconds: 60},
		},
		DefaultBox: "data", OnUpload: []runtimev1.UploadRule{{Box: "data", Prefix: "traced/", Input: "x"}},
	}
	must(t, u.Create(t.Context(), p))
	u.waitForPipeline(t, p, "Ready")
	u.s3.Put(t, u.bucket, "users/ann/file_groups/traced/table", "1,2")
	r := &runtimev1.PipelineRun{}
	eventually(t, "the run of the upload", func() error {
		var all runtimev1.PipelineRunList
		if err := u.List(t.Context(), &all, client.InNamespace("module")); err != nil {
			return err
		}
		if len(all.Items) != 1 {
			return fmt.Errorf("%d runs", len(all.Items))
		}
		*r = all.Items[0]
		return nil
	})
	job := u.begun(t, r, "split")
	pod := u.pod(t, job)
	u.s3.Put(t, uploadBuckets.Runs("module"), stage.CommitKey(r.Name, "split"), `{"attempt":1}`)
	u.published(t, pod, 0, `{"files":1,"bytes":7}`)
	const private = "Ann Lee, born 1970"
	pod = u.pod(t, u.begun(t, r, "fit"))
	u.exits(t, pod, 3, "KeyError: "+private)
	u.waitForRun(t, r, runtimev1.Failed, private)

	// What belongs below what, as names.
	want := map[string]string{"upload": "", "run chain": "upload", "stage split": "run chain", "stage fit": "run chain",
		"stage split/fetch": "stage split", "stage split/function": "stage split", "stage split/publish": "stage split",
		"stage fit/fetch": "stage fit", "stage fit/function": "stage fit"}
	var all []collector.Span
	names := map[string]string{}
	eventually(t, "the trace in the collector", func() error {
		all = otel.Spans(t)
		for _, s := range all {
			if names[s.ID] = s.Name; s.Attributes["k8s.container.name"] != "" {
				names[s.ID] = "stage " + stageOf(all, s) + "/" + s.Name
			}
		}
		got := map[string]string{}
		for _, s := range all {
			got[names[s.ID]] = names[s.Parent]
		}
		if d := cmp.Diff(want, got); d != "" {
			return errors.New("-want +got\n" + d)
		}
		return nil
	})
	failures := map[string]string{"run chain": "stage fit: Error", "stage fit": "Error",
		"stage fit/function": "exit code 3"}
	for _, s := range all {
		if s.Trace != all[0].Trace || s.Service != "unip-controller" || s.Start.After(s.End) ||
			s.Attributes["unip.run"] != r.Name || strings.Contains(fmt.Sprintf("%+v", s), private) {
			t.Errorf("%+v", s)
		}
		if why := failures[names[s.ID]]; s.Why != why || s.Failed != (why != "") {
			t.Errorf("%s: failed %t, %q, want %q", names[s.ID], s.Failed, s.Why, why)
		}
	}
}

// stageOf names the stage that a container's span is below.
func stageOf(all []collector.Span, container collector.Span) string {
	for _, s := range all {
		if s.ID == container.Parent {
			return s.Attributes["unip.stage"]
		}
	}
	return ""
}

// begun waits for a stage of a run, and gives its Job.
func (c *cluster) begun(t *testing.T, r *runtimev1.PipelineRun, name string) *batchv1.Job {
	t.Helper()
	job := &batchv1.Job{}
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
		for _, st := range s.Stages {
			if st.Name == name && st.State == runtimev1.Running && st.StartTime != nil {
				must(t, c.Get(t.Context(), client.ObjectKey{Namespace: r.Namespace, Name: st.Job}, job))
				return true
			}
		}
		return false
	})
	return job
}
