package runs

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/plan"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/record"
)

const (
	// Days after which the run bucket lets go of things. Start records live longest: a notification
	// that comes late must still find its own.
	keepRunsDays   = 30
	keepStartsDays = 90
)

// s3 is the installation's S3 at the beginning of a pass.
type s3 struct {
	settings.Settings
	*minio.Client
	transport http.RoundTripper
}

func openS3(src *settings.Source, transport http.RoundTripper) (s3, error) {
	s := s3{Settings: src.Current(), transport: transport}
	var err error
	s.Client, err = s.Settings.Client(transport)
	return s, err
}

// claimRunBucket makes the module's run bucket, or finds it.
func (s s3) claimRunBucket(ctx context.Context, namespace, uid string) error {
	bucket := databox.RunBucketName(namespace)
	if err := s3client.ClaimBucket(ctx, s.Client, bucket, s.Config.S3.Region,
		databox.Owner{Namespace: namespace, NamespaceUID: uid, Box: databox.RunsBox}); err != nil {
		return err
	}
	old, err := s.GetBucketLifecycle(ctx, bucket)
	if err == nil && len(old.Rules) == 2 && old.Rules[0].ID == "unip-runs" {
		return nil
	}
	c := lifecycle.NewConfiguration()
	for id, r := range map[string]struct {
		prefix string
		days   int
	}{"unip-runs": {"runs/", keepRunsDays}, "unip-starts": {"starts/", keepStartsDays}} {
		c.Rules = append(c.Rules, lifecycle.Rule{
			ID: id, Status: "Enabled", RuleFilter: lifecycle.Filter{Prefix: r.prefix},
			Expiration:                     lifecycle.Expiration{Days: lifecycle.ExpirationDays(r.days)},
			AbortIncompleteMultipartUpload: lifecycle.AbortIncompleteMultipartUpload{DaysAfterInitiation: 7},
		})
	}
	if c.Rules[0].ID != "unip-runs" {
		c.Rules[0], c.Rules[1] = c.Rules[1], c.Rules[0]
	}
	if err := s.SetBucketLifecycle(ctx, bucket, c); err != nil {
		return fmt.Errorf("lifecycle of bucket %s: %w", bucket, err)
	}
	return nil
}

// errNoFile is an input that is not there.
var errNoFile = errors.New("there is no such file")

// etag is the version of an object that is there now.
func (s s3) etag(ctx context.Context, bucket, key string) (string, error) {
	o, err := s.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
	// A name that is too long, or that no object can have, is a 400.
	if a := s3client.AnswerOf(err); a == s3client.NotThere || a == s3client.BadRequest {
		return "", errNoFile
	}
	if err != nil {
		return "", fmt.Errorf("looking at %s/%s: %w", bucket, key, err)
	}
	return o.ETag, nil
}

// writeRecord writes run.json to the run's default place; a run without one keeps its status only.
func (s s3) writeRecord(ctx context.Context, b boxes.Buckets, run *runtimev1.PipelineRun, p *runtimev1.Pipeline) error {
	if p == nil || p.Spec.DefaultBox == "" {
		return nil
	}
	if len(validation.IsDNS1123Label(p.Spec.DefaultBox)) > 0 {
		return errNoPlace
	}
	bucket, err := b.Of(ctx, s.Client, run.Namespace, p.Spec.DefaultBox)
	if err == nil && bucket.Dataset {
		err = &boxes.Refusal{Reason: "the box " + p.Spec.DefaultBox + " is another module's dataset"}
	}
	if err != nil {
		return fmt.Errorf("writing run.json: %w", err)
	}
	place, err := databox.ParsePlace(plan.DefaultPlace(run, p.Spec.DefaultBox) + "run.json")
	if err != nil {
		return fmt.Errorf("%w: %w", errNoPlace, err)
	}
	text, err := record.FileOf(run).Encode()
	if err != nil {
		return err
	}
	o := minio.PutObjectOptions{ContentType: "application/json"}
	_, err = s.PutObject(ctx, bucket.Name, place.Key(run.Spec.User), bytes.NewReader(text), int64(len(text)), o)
	if err != nil {
		return fmt.Errorf("writing run.json: %w", err)
	}
	return nil
}
