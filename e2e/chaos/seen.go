package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/chaos/judge"
	"github.com/unip-knative/unip/e2e/chaos/work"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/stage"
)

// seen is what a watch has seen while the runs were under way.
type seen struct {
	mu   sync.Mutex
	jobs map[string]judge.Job
	runs map[string]runtimev1.PipelineRun
	sums map[string]string // by bucket, key and ETag: what was read once is not read again
}

// watch watches the Jobs and runs of the module until the context ends.
func watch(ctx context.Context, w *world) *seen {
	s := &seen{jobs: map[string]judge.Job{}, runs: map[string]runtimev1.PipelineRun{}, sums: map[string]string{}}
	for _, list := range []client.ObjectList{&batchv1.JobList{}, &runtimev1.PipelineRunList{}} {
		go func() {
			for ctx.Err() == nil {
				s.follow(ctx, w, list.DeepCopyObject().(client.ObjectList)) // a copy is of the same type
				sleep(ctx, 300*time.Millisecond)                            // the API server is away, perhaps
			}
		}()
	}
	return s
}

// follow begins with what is there and goes on with what changes, until the watch breaks.
func (s *seen) follow(ctx context.Context, w *world, list client.ObjectList) {
	changes, err := w.Watch(ctx, list, client.InNamespace(judged))
	if err != nil {
		return
	}
	defer changes.Stop()
	for e := range changes.ResultChan() {
		s.mu.Lock()
		switch o := e.Object.(type) {
		case *batchv1.Job:
			s.jobs[o.Name] = judge.Job{Name: o.Name, Run: o.Labels[runtimev1.RunLabel],
				Created: o.CreationTimestamp.Time, Completes: onlyPublishes(&o.Spec.Template.Spec)}
		case *runtimev1.PipelineRun:
			s.runs[o.Name] = *o
		}
		s.mu.Unlock()
	}
}

// onlyPublishes reports a pod with no container but the one that copies outputs.
func onlyPublishes(pod *corev1.PodSpec) bool {
	return len(pod.InitContainers) == 0 && len(pod.Containers) == 1 && pod.Containers[0].Name == stage.PublishContainer
}

func (s *seen) counts() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	states := map[string]int{}
	for _, r := range s.runs {
		states[string(r.Status.State)]++
	}
	var all []string
	for _, state := range slices.Sorted(maps.Keys(states)) {
		all = append(all, fmt.Sprintf("%d %s", states[state], state))
	}
	return fmt.Sprintf("runs: %s; Jobs seen: %d", strings.Join(all, ", "), len(s.jobs))
}

// waiting is how many runs of a pipeline wait, and how many run.
func (s *seen) waiting(pipeline string) (waiting, running int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	begun := map[string]bool{}
	for _, j := range s.jobs {
		begun[j.Run] = true
	}
	for _, r := range s.runs {
		switch {
		case r.Spec.Pipeline != pipeline || r.Status.State.Done():
		case begun[r.Name]:
			running++
		default:
			waiting++
		}
	}
	return waiting, running
}

// facts reads all that the judge wants, from S3 and the API server.
func facts(ctx context.Context, w *world, l *ledger, s *seen) (judge.Facts, error) {
	f := judge.Facts{Box: work.Box, Limits: map[string]int{work.Turns: work.Limit}, Files: map[string]string{}}
	f.Uploads, f.Calls = l.entries()
	records := map[string]string{} // the state in run.json, by place
	if err := s.files(ctx, w, f.Files, records); err != nil {
		return f, err
	}
	var runs runtimev1.PipelineRunList
	if err := w.List(ctx, &runs, client.InNamespace(judged)); err != nil {
		return f, err
	}
	for i := range runs.Items {
		f.Runs = append(f.Runs, runOf(&runs.Items[i], records))
	}
	s.mu.Lock()
	for _, name := range slices.Sorted(maps.Keys(s.jobs)) {
		f.Jobs = append(f.Jobs, s.jobs[name])
	}
	s.mu.Unlock()
	var err error
	f.Left, err = left(ctx, w)
	return f, err
}

func runOf(r *runtimev1.PipelineRun, records map[string]string) judge.Run {
	out := judge.Run{
		Name: r.Name, Pipeline: r.Spec.Pipeline, User: r.Spec.User, Origin: r.Spec.Origin, Key: r.Spec.IdempotencyKey,
		Input: r.Spec.Inputs["table"].Path, State: string(r.Status.State), Message: r.Status.Message,
		Created: r.CreationTimestamp.Time, Outputs: r.Status.Outputs,
		Recorded: records[work.Box+"/"+r.Spec.Pipeline+"/"+r.Name+"/run.json"],
	}
	if r.Status.StartTime != nil {
		out.Started = r.Status.StartTime.Time
	}
	if r.Status.CompletionTime != nil {
		out.Ended = r.Status.CompletionTime.Time
	}
	return out
}

// files reads every file of the box.
func (s *seen) files(ctx context.Context, w *world, into, records map[string]string) error {
	for o := range w.admin.ListObjects(ctx, w.box, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return o.Err
		}
		place := judge.PlaceOf(work.Box, work.User, o.Key)
		if place == "" {
			place = work.Box + ":/" + o.Key
		}
		id := o.Key + " " + o.ETag
		s.mu.Lock()
		sum, known := s.sums[id]
		state := s.sums["state "+id]
		s.mu.Unlock()
		if !known {
			body, err := w.admin.GetObject(ctx, w.box, o.Key, minio.GetObjectOptions{})
			if err != nil {
				return err
			}
			b, err := io.ReadAll(body)
			if err = errors.Join(err, body.Close()); err != nil {
				return err
			}
			h := sha256.Sum256(b)
			sum = hex.EncodeToString(h[:])
			if strings.HasSuffix(place, "/run.json") {
				var record struct{ Status string }
				if err := json.Unmarshal(b, &record); err != nil {
					record.Status = "no JSON"
				}
				state = record.Status
			}
			s.mu.Lock()
			s.sums[id], s.sums["state "+id] = sum, state
			s.mu.Unlock()
		}
		into[place] = sum
		if state != "" {
			records[place] = state
		}
	}
	return nil
}

// left is what lies about.
func left(ctx context.Context, w *world) ([]judge.Left, error) {
	var all []judge.Left
	var jobs batchv1.JobList
	var pods corev1.PodList
	var secrets corev1.SecretList
	in := client.InNamespace(judged)
	err := errors.Join(w.List(ctx, &jobs, in), w.List(ctx, &pods, in, client.HasLabels{runtimev1.RunLabel}),
		w.List(ctx, &secrets, in))
	if err != nil {
		return nil, err
	}
	for _, j := range jobs.Items {
		over := slices.ContainsFunc(j.Status.Conditions, func(c batchv1.JobCondition) bool {
			return c.Status == corev1.ConditionTrue && (c.Type == batchv1.JobComplete || c.Type == batchv1.JobFailed)
		})
		all = append(all, judge.Left{Kind: "Job", Name: j.Name, Run: j.Labels[runtimev1.RunLabel], Over: over})
	}
	for _, p := range pods.Items {
		over := p.DeletionTimestamp == nil &&
			(p.Status.Phase == corev1.PodSucceeded || p.Status.Phase == corev1.PodFailed)
		all = append(all, judge.Left{Kind: "Pod", Name: p.Name, Run: p.Labels[runtimev1.RunLabel], Over: over})
	}
	for _, s := range secrets.Items {
		if run, _, ok := strings.Cut(s.Name, "."); ok && strings.HasSuffix(s.Name, ".run.session") {
			all = append(all, judge.Left{Kind: "Secret", Name: s.Name, Run: run})
		}
	}
	stored, err := leftInS3(ctx, w)
	if err != nil {
		return nil, err
	}
	gone, err := leftOfRemoved(ctx, w)
	return slices.Concat(all, stored, gone), err
}

// leftInS3 are starts that are under way, uploads that were broken off, and notifications of the
// module's buckets that wait.
func leftInS3(ctx context.Context, w *world) ([]judge.Left, error) {
	var all []judge.Left
	for o := range w.admin.ListObjects(ctx, w.runs, minio.ListObjectsOptions{Prefix: "pending/", Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		all = append(all, judge.Left{Kind: "start", Name: o.Key})
	}
	for _, bucket := range []string{w.box, w.runs} {
		for u := range w.admin.ListIncompleteUploads(ctx, bucket, "", true) {
			if u.Err != nil {
				return nil, u.Err
			}
			all = append(all, judge.Left{Kind: "multipart upload", Name: bucket + "/" + u.Key})
		}
	}
	system := databox.UsualBuckets.System()
	for o := range w.admin.ListObjects(ctx, system, minio.ListObjectsOptions{Recursive: true}) {
		if o.Err != nil {
			return nil, o.Err
		}
		if strings.HasPrefix(o.Key, "usage/") {
			continue
		}
		body, err := w.admin.GetObject(ctx, system, o.Key, minio.GetObjectOptions{})
		if err != nil {
			return nil, err
		}
		b, err := io.ReadAll(body)
		err = errors.Join(err, body.Close())
		if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
			continue
		}
		if err != nil {
			return nil, err
		}
		if strings.Contains(string(b), w.box) {
			all = append(all, judge.Left{Kind: "notification", Name: o.Key})
		}
	}
	return all, nil
}

// leftOfRemoved is what there is of the module that was removed, once its removal is over.
func leftOfRemoved(ctx context.Context, w *world) ([]judge.Left, error) {
	if w.removing == nil {
		return nil, nil
	}
	var all []judge.Left
	switch err := w.Get(ctx, client.ObjectKey{Name: removed}, &corev1.Namespace{}); {
	case err == nil:
		all = append(all, judge.Left{Kind: "namespace", Name: removed})
	case !apierrors.IsNotFound(err):
		return nil, err
	}
	for _, bucket := range w.removedOnes {
		exists, err := w.admin.BucketExists(ctx, bucket)
		if err != nil {
			return nil, err
		}
		if exists {
			all = append(all, judge.Left{Kind: "bucket", Name: bucket})
		}
	}
	return all, nil
}
