package plan

import (
	"fmt"
	"path"
	"time"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/pipeline"
	"github.com/unip-knative/unip/eventing/stage"
)

// AttemptName is the same for the same attempt whoever asks: who makes it twice finds it made.
func AttemptName(run *runtimev1.PipelineRun, stage string, attempt int) string {
	n := fmt.Sprint(attempt)
	return names.Shorten(names.MaxLabel, run.Name, names.Hash(string(run.UID), stage, n), n)
}

// Inner is a variable's folder in the volume, as fetch and publish see it.
func Inner(variable string) string { return path.Join(pipeline.DataDir, variable) }

// Attempt of a stage.
type Attempt struct {
	// Number from 1.
	Number int
	// Complete: the stage has a commit, and nothing of the user's runs any more.
	Complete bool
	// Patience is how long fetch and publish try storage that does not answer.
	Patience time.Duration
}

// Transfers are what fetch and publish do for one attempt.
func Transfers(
	run *runtimev1.PipelineRun, st *runtimev1.StageStatus, a Attempt, sessions Sessions,
) (*stage.FetchPlan, *stage.PublishPlan) {
	runBucket := sessions.runs
	patience := int64(a.Patience / time.Second)
	f := &stage.FetchPlan{PatienceSeconds: patience}
	p := &stage.PublishPlan{
		Run: run.Name, Stage: st.Name, Attempt: a.Number, Bucket: runBucket, Session: sessions.Publish[0],
		Complete: a.Complete, PatienceSeconds: patience,
	}
	for i, in := range st.Inputs {
		x := stage.Input{
			Name: in.Name, Session: sessions.inputs[i], Bucket: in.Bucket, Key: in.Key, ETag: in.ETag,
			Prefix: in.Prefix, Whole: in.Whole,
		}
		if in.Stage != "" {
			x.Bucket, x.Commit, x.Output = runBucket, stage.CommitKey(run.Name, in.Stage), in.Name
		}
		f.Inputs = append(f.Inputs, x)
	}
	for i, out := range st.Outputs {
		f.Outputs = append(f.Outputs, out.Name)
		x := stage.Output{Name: out.Name, Paths: seenAt(out)}
		if out.Bucket != "" {
			to := stage.Folder{Bucket: out.Bucket, Prefix: out.Prefix, Session: sessions.outputs[i]}
			if u := sessions.usages[i]; u.Key != "" {
				to.Usage = &u
			}
			x.Copies = []stage.Folder{to}
		}
		p.Outputs = append(p.Outputs, x)
	}
	return f, p
}

// seenAt are the paths at which the user's container sees the folder of an output.
func seenAt(out runtimev1.ResolvedOutput) []string {
	if at := Inner(out.Name); out.Path != at {
		return []string{out.Path, at}
	}
	return []string{out.Path}
}

// Labels are the manifest's labels of a stage. Those that steer a cluster are refused: a Pipeline
// may have been made by hand.
func Labels(st *runtimev1.StageStatus) (map[string]string, error) {
	all, err := label.Carried(st.Spec.Labels)
	if err != nil {
		return nil, fmt.Errorf("stage %s: %w", st.Name, err)
	}
	return all, nil
}

// RefuseOwn refuses a stage whose pod would be given an object of unip's own: a Pipeline may have
// been made by hand.
func RefuseOwn(st *runtimev1.StageStatus) error {
	var named [][2]string // field, object
	add := func(field, name string) { named = append(named, [2]string{field, name}) }
	for _, f := range st.Spec.EnvFrom {
		if f.SecretRef != nil {
			add("envFrom", f.SecretRef.Name)
		}
		if f.ConfigMapRef != nil {
			add("envFrom", f.ConfigMapRef.Name)
		}
	}
	for _, e := range st.Spec.Env {
		if e.ValueFrom == nil {
			continue
		}
		if r := e.ValueFrom.SecretKeyRef; r != nil {
			add("env", r.Name)
		}
		if r := e.ValueFrom.ConfigMapKeyRef; r != nil {
			add("env", r.Name)
		}
	}
	for _, r := range st.Spec.ImagePullSecrets {
		add("imagePullSecrets", r.Name)
	}
	for _, n := range named {
		if names.Managed(n[1]) {
			return fmt.Errorf("stage %s: %s: %s is unip's own and not for the module's code", st.Name, n[0], n[1])
		}
	}
	return nil
}
