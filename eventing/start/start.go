// Package start says which run begins by itself: for a file that a user has put, by a rule of a
// pipeline, and for a due time of a schedule. One such happening is one run, however often it is
// told: the run's name and the key of its start record are made of what happened.
//
// It is pure. Who has found a happening makes the run that Record names, and writes the record, in
// this order, at Records+key in the module's run bucket.
package start

import (
	"maps"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/stage"
)

// Records is where start records lie in the run bucket.
const Records = "starts/"

// maxName is the longest name of a PipelineRun.
const maxName = 53

// File is a user's file in a box, as somebody names it.
type File struct {
	Namespace, Box, User string
	// Path below the user's files.
	Path string
}

// Possible reports a file that somebody can have put, and whose names an event carries.
func (f File) Possible() bool {
	return f.User != "" && databox.CheckObjectPath(f.Path) == nil && events.Carries(f.User, f.Path)
}

// Key is the file's in the bucket of its box.
func (f File) Key() string { return databox.UserPrefix(f.User) + f.Path }

// Rule is an on-upload rule of a pipeline.
type Rule struct {
	Pipeline *runtimev1.Pipeline
	runtimev1.UploadRule
	// RuleID is the rule's ID.
	RuleID string
}

// Rules are those of a pipeline, each once.
func Rules(p *runtimev1.Pipeline) []Rule {
	var all []Rule
	seen := map[string]bool{}
	for _, r := range p.Spec.OnUpload {
		if id := r.ID(); !seen[id] {
			seen[id] = true
			all = append(all, Rule{p, r, id})
		}
	}
	return all
}

// Record is a start record.
type Record struct {
	Pipeline string                    `json:"pipeline"`
	Run      string                    `json:"run"`
	Spec     runtimev1.PipelineRunSpec `json:"spec"`
	// Created is false in a record of an earlier release that wrote it first.
	Created bool `json:"created"`
}

// VersionKey is the key of a start record by the file's version. A listing tells the time in
// milliseconds and an answer about one object in seconds, and a version has one key. A version's own
// id is in no plain listing.
func (r Rule) VersionKey(f File, bucket, etag string, modified time.Time) string {
	return names.Hash("upload", f.Namespace, r.Pipeline.Name, r.RuleID, bucket, f.Key(),
		etag+"@"+modified.UTC().Truncate(time.Second).Format(time.RFC3339))
}

// Key is the key of a file's start record: VersionKey, or of one that a run has published a key that
// is the same however often the copy is made. The ETag sees to it that nothing else passes for it.
func (r Rule) Key(f File, bucket, etag string, modified time.Time, from *stage.Origin) string {
	if from == nil {
		return r.VersionKey(f, bucket, etag, modified)
	}
	return names.Hash("copy", f.Namespace, r.Pipeline.Name, r.RuleID, bucket, f.Key(), from.Run, from.Stage,
		from.Output, from.Path, from.SHA256, etag)
}

// Upload is the start of a file's version under a key.
func (r Rule) Upload(f File, etag, key string) Record {
	x := Record{
		Pipeline: r.Pipeline.Name, Run: names.Shorten(maxName, r.Pipeline.Name, key),
		Spec: runtimev1.PipelineRunSpec{
			Pipeline: r.Pipeline.Name, User: f.User, Origin: runtimev1.OriginUpload, IdempotencyKey: "upload/" + key,
			IdentityPassThrough: r.Pipeline.Spec.IdentityPassThrough,
			Inputs:              map[string]runtimev1.InputPath{r.Input: {Path: f.Box + "/" + f.Path, ETag: etag}},
		},
	}
	for _, o := range r.Outputs {
		if x.Spec.Outputs == nil {
			x.Spec.Outputs = map[string]string{}
		}
		x.Spec.Outputs[o.Variable] = o.Place()
	}
	return x
}

// Due is the start of a pipeline's due time, and its key. uid is that of the namespace.
func Due(pipeline, uid string, due time.Time) (x Record, key string) {
	at := due.UTC().Format(time.RFC3339)
	key = names.Hash(uid, pipeline, "schedule", at)
	return Record{
		Pipeline: pipeline, Run: names.Shorten(maxName, pipeline, key),
		Spec: runtimev1.PipelineRunSpec{
			Pipeline: pipeline, Origin: runtimev1.OriginSchedule, IdempotencyKey: "schedule/" + at,
			Inputs: map[string]runtimev1.InputPath{}, Outputs: map[string]string{},
		},
	}, key
}

// NewRun is the run of a start, with labels beside its own.
func (x Record) NewRun(namespace string, labels map[string]string) *runtimev1.PipelineRun {
	run := &runtimev1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: x.Run, Namespace: namespace,
			Labels: map[string]string{runtimev1.PipelineLabel: x.Pipeline}},
		Spec: x.Spec,
	}
	maps.Copy(run.Labels, labels)
	return run
}

// Labels are those of a pipeline's runs, as of its stages. Of wrong ones the stages say it.
func Labels(p *runtimev1.Pipeline) map[string]string {
	if len(p.Spec.Stages) == 0 {
		return nil
	}
	all, _ := label.Carried(p.Spec.Stages[0].Labels)
	return all
}
