package starts

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/fair"
	"github.com/unip-knative/unip/cmd/controller/internal/runbucket"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
)

// Maker makes one run of one upload, or of one due time of a schedule, however often it is told of
// it. In the module's run bucket:
//
//	starts/<key>    one object per upload and rule, or per due time, written by a conditional PUT
//	                before the run is created; says whether it was. Lives longer than the run.
//	pending/<key>   is there while the start is under way; what a controller that died has left is
//	                completed from it.
type Maker struct {
	Client    client.Client
	Live      client.Reader
	Settings  *settings.Source
	Transport http.RoundTripper

	gateOnce sync.Once
	gate     *fair.Gate
}

// uploads is the gate before S3: a module's uploads wait for each other, and nobody else's for
// them.
func (s *Maker) uploads() *fair.Gate {
	s.gateOnce.Do(func() { s.gate = fair.NewGate(100, 200, 1000) })
	return s.gate
}

func (s *Maker) buckets() boxes.Buckets { return boxes.Buckets{Boxes: s.Client, Namespaces: s.Live} }

// start is such an object.
type start struct {
	Pipeline string                    `json:"pipeline"`
	Run      string                    `json:"run"`
	Spec     runtimev1.PipelineRunSpec `json:"spec"`
	Created  bool                      `json:"created"`
}

const (
	fieldOwner = client.FieldOwner(names.Controller)
	// maxStart bounds the read of a start record.
	maxStart = 64 << 10
)

// Upload starts a run of a pipeline for a file that a rule of it may be about. It takes nothing but
// names from who tells it: whether the file is there, whose it is and which version is found out in
// S3. A file that is not there, or that the rule is not about, is no error and starts nothing.
func (s *Maker) Upload(ctx context.Context, namespace, pipeline string, rule int, user, file string) error {
	p := &runtimev1.Pipeline{}
	// From the cache: whoever tells of an upload may have made it up, and until a rule is about it,
	// it costs nothing.
	if err := s.Client.Get(ctx, types.NamespacedName{Namespace: namespace, Name: pipeline}, p); err != nil {
		return client.IgnoreNotFound(err)
	}
	if rule < 0 || rule >= len(p.Spec.OnUpload) || p.DeletionTimestamp != nil || user == "" {
		return nil
	}
	r := p.Spec.OnUpload[rule]
	if !strings.HasPrefix(file, r.Prefix) || !strings.HasSuffix(file, r.Suffix) ||
		databox.CheckObjectPath(file) != nil {
		return nil //nolint:nilerr // nobody can have put such a file
	}
	if err := s.uploads().Wait(ctx, namespace); err != nil {
		return fmt.Errorf("uploads of %s: %w", namespace, err)
	}
	store, err := s.Settings.Open(s.Transport)
	if err != nil {
		return err
	}
	box, err := s.buckets().Of(ctx, store.Client, namespace, r.Box)
	var refusal *boxes.Refusal
	switch {
	case errors.As(err, &refusal) && !refusal.Wait:
		ctrl.LoggerFrom(ctx).Info("an upload starts no run", "namespace", namespace, "pipeline", pipeline, "reason",
			refusal.Reason)
		return nil
	case err != nil:
		return fmt.Errorf("looking for the uploaded file: %w", err)
	case box.Dataset: // no user's files are in it
		return nil
	}
	bucket, object := box.Name, databox.UserPrefix(user)+file
	o, err := store.StatObject(ctx, bucket, object, minio.StatObjectOptions{})
	if s3client.IsMissing(err) {
		return nil // it was removed meanwhile
	}
	if err != nil {
		return fmt.Errorf("looking at the uploaded file: %w", err)
	}
	version := o.VersionID
	if version == "" {
		version = o.ETag + "@" + o.LastModified.UTC().Format(time.RFC3339Nano)
	}
	key := names.Hash(namespace, pipeline, strconv.Itoa(rule), bucket, object, version)
	x := start{
		Pipeline: pipeline, Run: names.Shorten(53, pipeline, key),
		Spec: runtimev1.PipelineRunSpec{
			Pipeline: pipeline, User: user, Origin: runtimev1.OriginUpload, IdempotencyKey: "upload/" + key,
			Inputs: map[string]runtimev1.InputPath{r.Input: {Path: r.Box + "/" + file, ETag: o.ETag}},
		},
	}
	for _, o := range r.Outputs {
		if x.Spec.Outputs == nil {
			x.Spec.Outputs = map[string]string{}
		}
		x.Spec.Outputs[o.Variable] = o.Place()
	}
	return s.once(ctx, store, namespace, key, x)
}

// Due starts the run of a pipeline for a due time of its schedule, unless that has been done. The
// run has no user: what it writes goes to the developer's area.
func (s *Maker) Due(ctx context.Context, p *runtimev1.Pipeline, due time.Time) error {
	store, err := s.Settings.Open(s.Transport)
	if err != nil {
		return err
	}
	ns := &corev1.Namespace{}
	if err := s.Live.Get(ctx, types.NamespacedName{Name: p.Namespace}, ns); err != nil {
		return fmt.Errorf("reading the namespace: %w", err)
	}
	if err := runbucket.Claim(ctx, store, p.Namespace, string(ns.UID)); err != nil {
		return err
	}
	at := due.UTC().Format(time.RFC3339)
	key := names.Hash(string(ns.UID), p.Name, "schedule", at)
	return s.once(ctx, store, p.Namespace, key, start{
		Pipeline: p.Name, Run: names.Shorten(53, p.Name, key),
		Spec: runtimev1.PipelineRunSpec{
			Pipeline: p.Name, Origin: runtimev1.OriginSchedule, IdempotencyKey: "schedule/" + at,
			Inputs: map[string]runtimev1.InputPath{}, Outputs: map[string]string{},
		},
	})
}

// once takes a start from wherever it stands to its end.
func (s *Maker) once(ctx context.Context, store settings.Store, namespace, key string, x start) error {
	bucket, err := s.buckets().Runs(ctx, store.Client, namespace)
	if err != nil {
		return fmt.Errorf("opening the start records: %w", err)
	}
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	begun, err := s.begun(ctx, store, bucket, key)
	if err != nil {
		return err
	}
	if begun != nil && begun.Created {
		return s.done(ctx, store, bucket, key)
	}
	if begun == nil {
		if err := putStart(ctx, store, bucket, "pending/"+key, b, false); err != nil {
			return err
		}
		if err := putStart(ctx, store, bucket, "starts/"+key, b, true); err != nil {
			if a := s3client.AnswerOf(err); a != s3client.OtherVersion && a != s3client.Conflict {
				return err
			}
			// Somebody else has begun it at this moment.
			if begun, err = s.begun(ctx, store, bucket, key); err != nil {
				return err
			}
			if begun != nil && begun.Created {
				return s.done(ctx, store, bucket, key)
			}
		}
	}
	run := &runtimev1.PipelineRun{
		ObjectMeta: metav1.ObjectMeta{Name: x.Run, Namespace: namespace,
			Labels: map[string]string{runtimev1.PipelineLabel: x.Pipeline}},
		Spec: x.Spec,
	}
	switch err := s.Client.Create(ctx, run, fieldOwner); {
	case apierrors.IsInvalid(err): // it stays so: tried again, it would hold up the module's other starts
		ctrl.LoggerFrom(ctx).Error(err, "no run can be made of a start", "origin", x.Spec.Origin, "namespace",
			namespace, "pipeline", x.Pipeline)
	case err != nil && !apierrors.IsAlreadyExists(err):
		return fmt.Errorf("creating the run: %w", err)
	}
	ctrl.LoggerFrom(ctx).Info("a run starts by itself", "origin", x.Spec.Origin, "namespace", namespace, "pipeline",
		x.Pipeline, "run", x.Run)
	x.Created = true
	if b, err = json.Marshal(x); err != nil {
		return err
	}
	if err := putStart(ctx, store, bucket, "starts/"+key, b, false); err != nil {
		return err
	}
	return s.done(ctx, store, bucket, key)
}

func (s *Maker) begun(ctx context.Context, store settings.Store, bucket, key string) (*start, error) {
	return readStart(ctx, store, bucket, "starts/"+key)
}

func (s *Maker) done(ctx context.Context, store settings.Store, bucket, key string) error {
	if err := store.RemoveObject(ctx, bucket, "pending/"+key, minio.RemoveObjectOptions{}); err != nil {
		return fmt.Errorf("marking a start as done: %w", err)
	}
	return nil
}

// Complete takes every start of a module that was broken off to its end.
func (s *Maker) Complete(ctx context.Context, namespace string) error {
	store, err := s.Settings.Open(s.Transport)
	if err != nil {
		return err
	}
	bucket, err := s.buckets().Runs(ctx, store.Client, namespace)
	if err != nil {
		return fmt.Errorf("looking for starts that were broken off: %w", err)
	}
	var errs []error
	for o := range store.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: "pending/", Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("looking for starts that were broken off: %w", o.Err)
		}
		if time.Since(o.LastModified) < startTakes {
			continue // it is under way
		}
		x, err := readStart(ctx, store, bucket, o.Key)
		if err == nil && x != nil {
			err = s.once(ctx, store, namespace, path.Base(o.Key), *x)
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// startTakes is how long a start may be under way.
const startTakes = time.Minute

// readStart gives nil when there is no such object.
func readStart(ctx context.Context, store settings.Store, bucket, key string) (*start, error) {
	body, err := store.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxStart+1))
	if minio.ToErrorResponse(err).Code == minio.NoSuchKey {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", key, err)
	}
	x := &start{}
	if err := json.Unmarshal(b, x); err != nil || len(b) > maxStart {
		return nil, fmt.Errorf("reading %s: it is no start record", key)
	}
	return x, nil
}

func putStart(ctx context.Context, store settings.Store, bucket, key string, b []byte, onlyNew bool) error {
	o := minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true}
	if onlyNew {
		o.SetMatchETagExcept("*") // If-None-Match: *
	}
	if _, err := store.PutObject(ctx, bucket, key, bytes.NewReader(b), int64(len(b)), o); err != nil {
		return fmt.Errorf("writing %s: %w", key, err)
	}
	return nil
}
