package modules

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
)

// seeRules writes into the Pipeline's status since when each on-upload rule holds. A rule is what it
// says, wherever it stands; one that is new, or that comes back, holds from now. One that an earlier
// release knew holds from the newest run that it has started.
func (l Pipelines) seeRules(ctx context.Context, p *runtimev1.Pipeline) error {
	was := p.Status.Uploads
	is := &runtimev1.UploadsStatus{}
	var unknown []string
	for _, r := range p.Spec.OnUpload {
		id := r.ID()
		if _, twice := is.Since(id); twice {
			continue
		}
		since, ok := was.Since(id)
		if !ok {
			unknown = append(unknown, id)
		}
		is.Rules = append(is.Rules, runtimev1.UploadRuleStatus{Rule: id, SinceTime: metav1.NewTime(since)})
	}
	if was != nil {
		is.SeenTime, is.Upgraded = was.SeenTime, was.Upgraded
	}
	if len(unknown) > 0 || was == nil {
		now, err := l.timeOfS3(ctx, p.Namespace)
		if err != nil {
			return err
		}
		var newest map[string]time.Time
		if was == nil {
			is.SeenTime, is.Upgraded = metav1.NewTime(now), p.Status.ObservedGeneration > 0
		}
		if was == nil && is.Upgraded {
			if newest, err = l.Starts.Newest(ctx, p); err != nil {
				return err
			}
		}
		for i := range is.Rules {
			r := &is.Rules[i]
			if !r.SinceTime.IsZero() {
				continue
			}
			r.SinceTime = metav1.NewTime(now)
			if since, ok := newest[r.Rule]; ok {
				r.SinceTime = metav1.NewTime(since.Truncate(time.Second))
			}
		}
	}
	if was != nil && equality.Semantic.DeepEqual(was, is) {
		return nil
	}
	p.Status.Uploads = is
	if err := applyStatus(ctx, l.Client, uploadsOwner, p, runtimev1.PipelineStatus{Uploads: is}, ""); err != nil {
		return fmt.Errorf("writing since when uploads start runs: %w", err)
	}
	return nil
}

// timeOfS3 is now by the S3 server's clock, by which files have their times.
func (l Pipelines) timeOfS3(ctx context.Context, namespace string) (time.Time, error) {
	clock := &s3client.Clock{Transport: l.Transport}
	store, err := l.Settings.Open(clock)
	if err != nil {
		return time.Time{}, err
	}
	if _, err := store.BucketExists(ctx, store.Config.S3.Buckets.Runs(namespace)); err != nil {
		return time.Time{}, fmt.Errorf("asking S3 for the time: %w", err)
	}
	now, ok := clock.Now()
	if !ok {
		return now, errors.New("the S3 server does not tell the time")
	}
	return now, nil
}
