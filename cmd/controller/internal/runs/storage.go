package runs

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/lifecycle"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/names"
)

const (
	// sessionLeft is what a run's session must still live when a Job begins.
	sessionLeft = time.Hour
	// Days after which the run bucket lets go of things. Start records live longest: a notification that comes late must still find its own.
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
	if err := databox.ClaimBucket(ctx, s.Client, bucket, s.Config.S3.Region, databox.Owner{Namespace: namespace, NamespaceUID: uid, Box: databox.RunsBox}); err != nil {
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
	if r := minio.ToErrorResponse(err); r.StatusCode == http.StatusNotFound {
		return "", errNoFile
	}
	if err != nil {
		return "", fmt.Errorf("looking at %s/%s: %w", bucket, key, err)
	}
	return o.ETag, nil
}

// grants is what a run's session may do: everything below its own prefix of the run bucket, read where inputs are, write where outputs go. Other users' files are not in it.
func grants(run *runtimev1.PipelineRun) []databox.Grant {
	all := []databox.Grant{{Bucket: databox.RunBucketName(run.Namespace), Prefix: "runs/" + run.Name + "/", Access: names.Write}}
	type place struct {
		bucket, prefix string
		access         names.Access
	}
	seen := map[place]bool{}
	add := func(bucket, key string, a names.Access) {
		g := databox.Grant{Bucket: bucket, Access: a}
		if run.Spec.User != "" {
			if p := databox.UserPrefix(run.Spec.User); len(key) >= len(p) && key[:len(p)] == p {
				g.Prefix = p
			}
		}
		if at := (place{bucket, g.Prefix, a}); bucket != "" && !seen[at] {
			seen[at] = true
			all = append(all, g)
		}
	}
	for _, st := range run.Status.Stages {
		for _, in := range st.Inputs {
			add(in.Bucket, in.Key+in.Prefix, names.Read)
		}
		for _, out := range st.Outputs {
			add(out.Bucket, out.Prefix, names.Write)
		}
	}
	return all
}

// ensureSession sees to it that the run's Secret holds a session with enough life left, and says when to look again.
func (r *Reconciler) ensureSession(ctx context.Context, run *runtimev1.PipelineRun, s s3) (time.Time, error) {
	secret := &corev1.Secret{}
	err := r.Live.Get(ctx, client.ObjectKey{Namespace: run.Namespace, Name: sessionName(run.Name)}, secret)
	if err != nil && !apierrors.IsNotFound(err) {
		return time.Time{}, fmt.Errorf("reading the run's session: %w", err)
	}
	exists := err == nil
	if exists {
		if !metav1.IsControlledBy(secret, run) {
			return time.Time{}, fmt.Errorf("the Secret %s is not of this run: delete it", secret.Name)
		}
		have, err := databox.ParseSession(secret.Data[databox.SessionKey])
		if err == nil && have.Endpoint == s.Config.S3.Endpoint {
			// Half of its life; sessions shorter than twice sessionLeft are taken as they are.
			due := have.Expiration.Add(-max(min(sessionLeft, s.SessionLife()/2), s.SessionLife()/2))
			if time.Now().Before(due) {
				return due, nil
			}
		}
	}
	policy, err := databox.Policy(grants(run)...)
	if err != nil {
		return time.Time{}, err
	}
	got, err := databox.AssumeRole(ctx, &http.Client{Transport: s.transport}, s.Config.S3.Endpoint, s.Config.S3.Region, s.Keys, policy, s.SessionLife())
	if err != nil {
		return time.Time{}, err
	}
	got.Endpoint, got.Region, got.Bucket = s.Config.S3.Endpoint, s.Config.S3.Region, databox.RunBucketName(run.Namespace)
	b, err := json.Marshal(got)
	if err != nil {
		return time.Time{}, err
	}
	want := &corev1.Secret{
		ObjectMeta: metav1.ObjectMeta{
			Name: sessionName(run.Name), Namespace: run.Namespace,
			Labels:          map[string]string{runtimev1.RunLabel: run.Name, "app.kubernetes.io/component": "stage", "app.kubernetes.io/part-of": run.Namespace, "app.kubernetes.io/managed-by": "unip"},
			OwnerReferences: []metav1.OwnerReference{*metav1.NewControllerRef(run, runtimev1.GroupVersion.WithKind("PipelineRun"))},
		},
		Data: map[string][]byte{databox.SessionKey: b},
	}
	if exists {
		before := secret.DeepCopy()
		secret.Data = want.Data
		err = r.Client.Patch(ctx, secret, client.MergeFrom(before), fieldOwner)
	} else {
		err = r.Client.Create(ctx, want, fieldOwner)
	}
	if err != nil {
		return time.Time{}, fmt.Errorf("writing the run's session: %w", err)
	}
	return got.Expiration.Add(-s.SessionLife() / 2), nil
}

// dropSession takes the session away once nothing of the run needs it.
func (r *Reconciler) dropSession(ctx context.Context, run *runtimev1.PipelineRun) error {
	err := r.Client.Delete(ctx, &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Name: sessionName(run.Name), Namespace: run.Namespace}})
	return client.IgnoreNotFound(err)
}

// record is run.json: what a run was and what came of it.
type record struct {
	Run            string                         `json:"run_id"`
	Pipeline       string                         `json:"pipeline"`
	User           string                         `json:"user,omitempty"`
	Origin         string                         `json:"origin"`
	Status         runtimev1.State                `json:"status"`
	Message        string                         `json:"message,omitempty"`
	StartedAt      *metav1.Time                   `json:"started_at,omitempty"`
	EndedAt        *metav1.Time                   `json:"ended_at,omitempty"`
	Inputs         map[string]runtimev1.InputPath `json:"inputs"`
	Outputs        map[string]string              `json:"outputs"`
	Stages         []recordStage                  `json:"stages"`
	IdempotencyKey string                         `json:"idempotency_key,omitempty"`
}

type recordStage struct {
	Name      string            `json:"name"`
	Image     string            `json:"image"`
	Status    runtimev1.State   `json:"status"`
	Reason    string            `json:"reason,omitempty"`
	Message   string            `json:"message,omitempty"`
	Attempt   int               `json:"attempt,omitempty"`
	ExitCode  *int32            `json:"exit_code,omitempty"`
	StartedAt *metav1.MicroTime `json:"started_at,omitempty"`
	EndedAt   *metav1.MicroTime `json:"ended_at,omitempty"`
	Files     int               `json:"files"`
	Bytes     int64             `json:"bytes"`
}

// writeRecord writes run.json to the run's default place; a run without one keeps its status only.
func (s s3) writeRecord(ctx context.Context, run *runtimev1.PipelineRun, p *runtimev1.Pipeline) error {
	if p == nil || p.Spec.DefaultBox == "" {
		return nil
	}
	place, err := databox.ParsePlace(defaultPlace(run, p) + "run.json")
	if err != nil {
		return err
	}
	x := record{
		Run: run.Name, Pipeline: run.Spec.Pipeline, User: run.Spec.User, Origin: run.Spec.Origin, Status: run.Status.State, Message: run.Status.Message,
		StartedAt: run.Status.StartTime, EndedAt: run.Status.CompletionTime, Inputs: run.Spec.Inputs, Outputs: run.Status.Outputs, IdempotencyKey: run.Spec.IdempotencyKey,
	}
	for _, st := range run.Status.Stages {
		x.Stages = append(x.Stages, recordStage{
			Name: st.Name, Image: st.Spec.Image, Status: st.State, Reason: st.Reason, Message: st.Message, Attempt: st.Attempt, ExitCode: st.ExitCode,
			StartedAt: st.StartTime, EndedAt: st.CompletionTime, Files: st.Files, Bytes: st.Bytes,
		})
	}
	b, err := json.MarshalIndent(x, "", "  ")
	if err != nil {
		return err
	}
	_, err = s.PutObject(ctx, databox.BucketName(run.Namespace, p.Spec.DefaultBox), place.Key(run.Spec.User), bytes.NewReader(b), int64(len(b)), minio.PutObjectOptions{ContentType: "application/json"})
	if err != nil {
		return fmt.Errorf("writing run.json: %w", err)
	}
	return nil
}
