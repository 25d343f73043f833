//go:build integration

package main

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
)

// pipelineOfBoxes makes one with a stage "fit: x -> model" that takes x from a box when the run
// names none.
func (c *cluster) pipelineOfBoxes(t *testing.T, ns, name, defaultBox, from string) {
	t.Helper()
	c.namespace(t, ns)
	p := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: ns, Name: name}, Spec: runtimev1.PipelineSpec{
		Variables: []runtimev1.Variable{{Name: "x", MountFrom: &runtimev1.BoxPath{Box: from, Path: "data/"}},
			{Name: "model"}},
		Stages: []runtimev1.Stage{{Name: "fit", Image: "image", Inputs: []string{"x"}, Outputs: []string{"model"},
			TimeoutSeconds: 60}},
		DefaultBox: defaultBox,
	}}
	must(t, c.Create(t.Context(), p))
}

// waitForRunThat reads r until it is as wanted.
func (c *cluster) waitForRunThat(t *testing.T, r *runtimev1.PipelineRun,
	wanted func(runtimev1.PipelineRunStatus) bool) {
	t.Helper()
	eventually(t, fmt.Sprintf("run %s/%s", r.Namespace, r.Name), func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(r), r); err != nil {
			return err
		}
		if !wanted(r.Status) {
			return fmt.Errorf("%s: %s, recorded %t", r.Status.State, r.Status.Message, r.Status.Recorded)
		}
		return nil
	})
}

// giveAway tags a bucket as that of a former namespace of the same name.
func (c *cluster) giveAway(t *testing.T, bucket, ns, box string) {
	t.Helper()
	theirs, err := tags.NewTags(map[string]string{databox.TagNamespace: ns, databox.TagNamespaceUID: "a-former-one",
		databox.TagBox: box}, false)
	must(t, err)
	must(t, c.s3.SetBucketTagging(t.Context(), bucket, theirs))
}

func (c *cluster) keys(t *testing.T, bucket string) []string {
	t.Helper()
	var all []string
	for o := range c.s3.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		must(t, o.Err)
		all = append(all, o.Key)
	}
	return all
}

// runsOpenNoBucketOfOthers: what Retain left of a former namespace is neither read nor written by
// runs of the next one, run.json included, whether its box was found out already or is still taken
// for ready.
func (c *cluster) runsOpenNoBucketOfOthers(t *testing.T) {
	const ns = "heirs"
	ended := func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Failed && s.Recorded }

	found := databox.UsualBuckets.Box(ns, "found")
	must(t, c.s3.MakeBucket(t.Context(), found, minio.MakeBucketOptions{}))
	c.giveAway(t, found, ns, "found")
	c.s3.Put(t, found, "data/secret", "x")
	c.waitFor(t, c.box(t, ns, "found"), platformv1.ReasonBucketNotOurs)
	taken := c.box(t, ns, "taken")
	c.waitFor(t, taken, platformv1.ReasonReady)
	c.s3.Put(t, taken.Status.Bucket, "data/secret", "x")
	c.giveAway(t, taken.Status.Bucket, ns, "taken")
	good := c.box(t, ns, "good")
	c.waitFor(t, good, platformv1.ReasonReady)
	c.s3.Put(t, good.Status.Bucket, "data/f", "x")

	owner := c.box(t, "former", "leaves")
	c.annotate(t, owner, platformv1.SharedWithAnnotation, ns)
	c.waitFor(t, owner, platformv1.ReasonReady)
	c.s3.Put(t, owner.Status.Bucket, "data/secret", "x")
	view := c.boxWith(t, ns, "leaves", platformv1.DataBoxSpec{DatasetReference: &platformv1.DatasetReference{
		DatasetComponentRef: platformv1.NamespacedName{Name: "leaves", Namespace: "former"},
	}})
	c.waitFor(t, view, platformv1.ReasonReady)
	c.giveAway(t, owner.Status.Bucket, "former", "leaves")

	for _, x := range []struct{ name, defaultBox, from string }{
		{"reads-found", "good", "found"}, {"reads-taken", "good", "taken"}, {"reads-dataset", "good", "leaves"},
		{"writes-found", "found", "good"}, {"writes-taken", "taken", "good"},
	} {
		c.pipelineOfBoxes(t, ns, x.name, x.defaultBox, x.from)
		r := c.run(t, ns, x.name, x.name)
		c.waitForRunThat(t, r, ended)
		if len(r.Status.Stages) != 0 || !strings.Contains(r.Status.Message, "cannot be used") {
			t.Errorf("%s: %s with %d stages", x.name, r.Status.Message, len(r.Status.Stages))
		}
	}
	for _, bucket := range []string{found, taken.Status.Bucket, owner.Status.Bucket} {
		if keys := c.keys(t, bucket); !slices.Equal(keys, []string{"data/secret"}) {
			t.Errorf("bucket %s holds %v", bucket, keys)
		}
	}
	if keys := c.keys(t, good.Status.Bucket); !slices.Contains(keys, "reads-taken/reads-taken/run.json") {
		t.Errorf("the record of a run that failed is not in its module's box: %v", keys)
	}
}

// startsStages: a stage gets sessions for what it reads and writes and for nothing else, its pod no
// other Secret. A box that is not ready yet is waited for.
func (c *cluster) startsStages(t *testing.T) {
	const ns = "stages"
	c.pipelineOfBoxes(t, ns, "train", "later", "data")
	data := c.box(t, ns, "data")
	c.waitFor(t, data, platformv1.ReasonReady)
	c.s3.Put(t, data.Status.Bucket, "data/f", "x")
	c.s3.Put(t, data.Status.Bucket, "users/ann/file_groups/in/t.csv", "x")
	later := c.box(t, ns, "later")
	r := c.run(t, ns, "train-1", "train")
	c.requested(t, r)
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
		return s.State == runtimev1.Running && s.Stages[0].Job != ""
	})
	must(t, c.Get(t.Context(), client.ObjectKeyFromObject(later), later))

	job := &batchv1.Job{}
	eventually(t, "the stage's Job", func() error { // it is made after the status says so, and after its sessions
		return c.Get(t.Context(), client.ObjectKey{Namespace: ns, Name: r.Status.Stages[0].Job}, job)
	})
	secret := c.secret(t, ns, names.StageSession("train-1", "fit"))
	for _, v := range job.Spec.Template.Spec.Volumes {
		if v.Secret != nil && v.Secret.SecretName != secret.Name {
			t.Errorf("the pod has Secret %s", v.Secret.SecretName)
		}
	}
	session := func(file string) *minio.Client {
		s, err := databox.ParseSession(secret.Data[file])
		must(t, err)
		if left := time.Until(s.Expiration); left > 15*time.Minute { // this installation's
			t.Errorf("%s lives %v", file, left)
		}
		m, err := s3.NewClient(s, s3.Static(s))
		must(t, err)
		return m
	}
	fetch, publish := session("fetch-0.json"), session("publish-0.json")
	_, err := fetch.StatObject(t.Context(), data.Status.Bucket, "data/f", minio.StatObjectOptions{})
	must(t, err)
	for _, m := range []*minio.Client{fetch, publish} {
		if _, err := m.StatObject(t.Context(), data.Status.Bucket, "users/ann/file_groups/in/t.csv",
			minio.StatObjectOptions{}); !s3.IsRefused(err) {
			t.Errorf("a user's file: %v", err)
		}
	}
	o := minio.PutObjectOptions{}
	_, err = publish.PutObject(t.Context(), later.Status.Bucket, "train/train-1/model/m", strings.NewReader("m"), 1, o)
	must(t, err)
	if _, err = publish.PutObject(t.Context(), later.Status.Bucket, "models/m", strings.NewReader("m"), 1,
		o); !s3.IsRefused(err) {
		t.Errorf("another place in the box: %v", err)
	}

	// Cancelled, the run has no sessions any more.
	before := r.DeepCopy()
	r.Spec.Cancel = true
	must(t, c.Patch(t.Context(), r, client.MergeFrom(before)))
	c.waitForRunThat(t, r, func(s runtimev1.PipelineRunStatus) bool {
		return s.State == runtimev1.Cancelled &&
			s.Recorded
	})
	eventually(t, "the end of the sessions of a run that has ended", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(secret), &corev1.Secret{}); !apierrors.IsNotFound(err) {
			return fmt.Errorf("they are there (%v)", err)
		}
		return nil
	})
}
