package starts

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"path"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/fair"
	"github.com/unip-knative/unip/cmd/controller/internal/runbucket"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/start"
)

// Maker makes one run of one upload, or of one due time of a schedule, however often it is told of
// it. The run's name is made of what happened, so that Kubernetes refuses a second one; and in the
// module's run bucket lies
//
//	starts/<key>    one object per upload and rule, or per due time, written once the run is there.
//	                It lives longer than the run.
//
// A start that is broken off between the two is made again by whoever told of it: the inbox of
// uploads, the sweep, the schedule's status. None of them lets go before the record is written.
type Maker struct {
	Client    client.Client // its reads come from the cache
	Live      client.Reader
	Settings  *settings.Source
	Transport http.RoundTripper
	// Runs creates the runs, at a rate of its own; nil is Client.
	Runs client.Writer

	gateOnce sync.Once
	gate     *fair.Gate
	settled  settled
	proofs   proofs
}

// uploads is the gate before S3 for what events tell: a module's uploads wait for each other, and
// nobody else's for them.
func (s *Maker) uploads() *fair.Gate {
	s.gateOnce.Do(func() { s.gate = fair.NewGate(100, 200, 1000) })
	return s.gate
}

// draft is a start that is to be made.
type draft struct {
	start.Record
	// lost says which event should have caused it and did not come.
	lost string
	// uploaded is when the file came that is started for.
	uploaded time.Time
	// labels are the pipeline's.
	labels map[string]string
}

const fieldOwner = client.FieldOwner(names.Controller)

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
	x, key := start.Due(p.Name, string(ns.UID), due)
	where, err := s.module(ctx, store, p.Namespace)
	if err != nil {
		return err
	}
	_, err = s.once(ctx, where, key, draft{Record: x, labels: start.Labels(p)})
	return err
}

// once makes a start unless it has been made, and reports whether it had to.
func (s *Maker) once(ctx context.Context, at place, key string, x draft) (made bool, err error) {
	known, err := at.record(ctx, key)
	if err != nil || known != nil && known.Created {
		return false, err
	}
	return true, s.make(ctx, at, key, x)
}

// make creates the run, and then its record.
func (s *Maker) make(ctx context.Context, at place, key string, x draft) error {
	run := x.NewRun(at.namespace, x.labels)
	if x.lost != "" {
		metav1.SetMetaDataAnnotation(&run.ObjectMeta, runtimev1.EventLostAnnotation, x.lost)
	}
	if !x.uploaded.IsZero() {
		at := x.uploaded.UTC().Format(time.RFC3339Nano)
		metav1.SetMetaDataAnnotation(&run.ObjectMeta, runtimev1.UploadedAnnotation, at)
	}
	runs := s.Runs
	if runs == nil {
		runs = s.Client
	}
	switch err := runs.Create(ctx, run, fieldOwner); {
	case apierrors.IsInvalid(err): // it stays so: tried again, it would hold up the module's other starts
		ctrl.LoggerFrom(ctx).Error(err, "no run can be made of a start", "origin", x.Spec.Origin, "namespace",
			at.namespace, "pipeline", x.Pipeline)
	case err != nil && !apierrors.IsAlreadyExists(err):
		return fmt.Errorf("creating the run: %w", err)
	}
	ctrl.LoggerFrom(ctx).Info("a run starts by itself", "origin", x.Spec.Origin, "namespace", at.namespace, "pipeline",
		x.Pipeline, "run", x.Run)
	x.Created = true
	return at.write(ctx, key, x)
}

// Complete takes every start of a module to its end that an earlier release has begun: it wrote the
// record first, and pending/<key> beside it until the run was there.
func (s *Maker) Complete(ctx context.Context, namespace string) error {
	store, err := s.Settings.Open(s.Transport)
	if err != nil {
		return err
	}
	at, err := s.module(ctx, store, namespace)
	if err != nil {
		return fmt.Errorf("looking for starts that were broken off: %w", err)
	}
	var errs []error
	for o := range store.ListObjects(ctx, at.runs, minio.ListObjectsOptions{Prefix: pending, Recursive: true}) {
		if o.Err != nil {
			return fmt.Errorf("looking for starts that were broken off: %w", o.Err)
		}
		key := path.Base(o.Key)
		x, err := at.read(ctx, o.Key)
		if err == nil && x != nil {
			_, err = s.once(ctx, at, key, *x)
		}
		if err == nil {
			err = store.RemoveObject(ctx, at.runs, o.Key, minio.RemoveObjectOptions{})
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}
