package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
	"time"

	"github.com/minio/minio-go/v7"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/eventing/record"
	"github.com/unip-knative/unip/eventing/runstorage"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/eventing/start"
	"github.com/unip-knative/unip/functions/gateway/service"
)

// Uploaded starts what an object should that has come into being, by the rules of the module, once
// for each version of it. It takes nothing but names: what lies there is looked at. Without an error
// all of it is recorded, and whoever told of the object may forget it.
func (e *Engine) Uploaded(ctx context.Context, bucket, key string) error {
	known := e.pipelines.Load()
	box := known.boxOf(bucket)
	if box == "" {
		return nil // the run bucket, mostly
	}
	user, file, ok := databox.SplitKey(key)
	if !ok {
		return nil
	}
	o, err := e.s3.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
	e.asked(err)
	if s3.IsMissing(err) {
		return nil // it was removed meanwhile
	}
	if err != nil {
		return fmt.Errorf("looking at the uploaded file: %w", err)
	}
	e.tellObject(box, user, file, bucket, key, o)
	f := start.File{Namespace: e.namespace, Box: box, User: user, Path: file}
	if !f.Possible() {
		return nil
	}
	var errs []error
	for _, r := range known.rules(f) {
		errs = append(errs, e.startUpload(ctx, r, f, bucket, o))
	}
	return errors.Join(errs...)
}

// tellObject gives the event of an object to whoever takes events.
func (e *Engine) tellObject(box, user, file, bucket, key string, o minio.ObjectInfo) {
	kind := KindUpload
	if _, published := stage.OriginOf(o.UserMetadata); published || e.isRecord(box, user, file) {
		kind = KindOutput
	}
	e.tell(Happening{Kind: kind, Box: box, User: user, File: file})
	if e.Event == nil {
		return
	}
	x, err := events.Object{Namespace: e.namespace, Box: box, User: user, Path: file, Bucket: bucket, Key: key,
		ETag: o.ETag, Size: o.Size, Time: o.LastModified}.Event()
	if err != nil {
		e.Logger.Info("no event can tell of a file", "error", err)
		return
	}
	e.Event(x)
}

// isRecord reports that a file is the run.json of a run.
func (e *Engine) isRecord(box, user, file string) bool {
	folder, name := path.Split(file)
	if name != record.FileName {
		return false
	}
	known, err := e.store.get(path.Base(folder))
	if err != nil || known.Spec.User != user {
		return false
	}
	at, err := plan.RecordPlace(known, box)
	return err == nil && at == databox.Place{Box: box, Path: file, Developer: user == ""}
}

func (e *Engine) startUpload(ctx context.Context, r start.Rule, f start.File, bucket string, o minio.ObjectInfo) error {
	origin, err := runstorage.Origin(ctx, e.s3, e.bucket, f.Key(), o)
	if err != nil {
		return err
	}
	key := r.Key(f, bucket, o.ETag, o.LastModified, origin)
	return e.once(ctx, key, r.Upload(f, o.ETag, key), r.Pipeline)
}

// maxStart bounds the read of a start record.
const maxStart = 64 << 10

// once makes a start unless it has been made: the run, and then its record.
func (e *Engine) once(ctx context.Context, key string, x start.Record, p *runtimev1.Pipeline) error {
	known, err := e.startOf(ctx, key)
	if err != nil || known {
		return err
	}
	err = e.Create(ctx, x.NewRun(e.namespace, start.Labels(p)))
	if err != nil && !errors.Is(err, service.ErrRunExists) {
		return fmt.Errorf("creating the run: %w", err)
	}
	x.Created = true
	b, err := json.Marshal(x)
	if err != nil {
		return err
	}
	_, err = e.s3.PutObject(ctx, e.bucket, start.Records+key, bytes.NewReader(b), int64(len(b)),
		minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true})
	e.asked(err)
	if err != nil {
		return fmt.Errorf("writing the start record: %w", err)
	}
	return nil
}

// startOf reports a start that has been made.
func (e *Engine) startOf(ctx context.Context, key string) (bool, error) {
	o, err := e.s3.GetObject(ctx, e.bucket, start.Records+key, minio.GetObjectOptions{})
	if err != nil {
		return false, fmt.Errorf("reading a start record: %w", err)
	}
	defer o.Close()
	b, err := io.ReadAll(io.LimitReader(o, maxStart))
	e.asked(err)
	if s3.IsMissing(err) {
		return false, nil
	}
	var x start.Record
	if err == nil {
		err = json.Unmarshal(b, &x)
	}
	if err != nil {
		return false, fmt.Errorf("reading a start record: %w", err)
	}
	return x.Created, nil
}

// followSchedules starts runs that are due.
func (e *Engine) followSchedules(ctx context.Context) {
	for {
		next := e.now().Add(scheduleEvery)
		for _, p := range e.pipelines.Load().byName {
			at, err := e.schedules.follow(ctx, p)
			if err != nil && ctx.Err() == nil {
				e.Logger.Warn("a schedule cannot be followed now", "pipeline", p.Name, "error", err)
				at = e.now().Add(waitAgain)
			}
			if !at.IsZero() && at.Before(next) {
				next = at
			}
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(min(max(next.Sub(e.now()), soon), scheduleEvery)):
		}
	}
}
