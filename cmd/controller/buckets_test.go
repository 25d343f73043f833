//go:build integration

package main

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/api/meta"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
)

func (c *cluster) refusesForeignBuckets(t *testing.T) {
	bucket := databox.UsualBuckets.Box("foreign", "weights")
	must(t, c.s3.MakeBucket(t.Context(), bucket, minio.MakeBucketOptions{}))
	c.s3.Put(t, bucket, "theirs", "x")
	b := c.box(t, "foreign", "weights")
	c.waitFor(t, b, platformv1.ReasonBucketNotOurs)
	ns := &corev1.Namespace{}
	must(t, c.Get(t.Context(), client.ObjectKey{Name: "foreign"}, ns))
	if m := ready(b).Message; !strings.Contains(m, databox.TagNamespaceUID+"="+string(ns.UID)) {
		t.Errorf("the message has no cure: %q", m)
	}
	for _, a := range []databox.Access{databox.Calls, databox.GetLinks} {
		err := c.Get(t.Context(), client.ObjectKey{Namespace: "foreign", Name: a.Secret("weights", "")},
			&corev1.Secret{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("there are credentials for somebody else's bucket: %v", err)
		}
	}
	must(t, c.Delete(t.Context(), b))
	c.waitGone(t, b)
	if _, err := c.s3.StatObject(t.Context(), bucket, "theirs", minio.StatObjectOptions{}); err != nil {
		t.Errorf("their object: %v", err)
	}
}

func (c *cluster) remakesBuckets(t *testing.T) {
	b := c.box(t, "vanished", "weights")
	c.waitFor(t, b, platformv1.ReasonReady)
	must(t, c.s3.RemoveBucket(t.Context(), b.Status.Bucket))
	c.touch(t, b)
	eventually(t, "the bucket", func() error {
		if ok, err := c.s3.BucketExists(t.Context(), b.Status.Bucket); err != nil || !ok {
			return fmt.Errorf("exists %v, %v", ok, err)
		}
		return nil
	})
	c.waitFor(t, b, platformv1.ReasonReady)
}

func (c *cluster) deletesBuckets(t *testing.T) {
	b := c.box(t, "deleted", "weights")
	c.waitFor(t, b, platformv1.ReasonReady)
	c.s3.Put(t, b.Status.Bucket, "a/b", "x")
	must(t, c.Delete(t.Context(), b))
	c.waitGone(t, b)
	if ok, err := c.s3.BucketExists(t.Context(), b.Status.Bucket); err != nil || ok {
		t.Errorf("the bucket exists %v, %v", ok, err)
	}
}

// deletesBucketsOfGoneNamespaces: a namespace can be gone while boxes and Pipelines of it are still
// there, when the API server came back while it was being deleted. Nobody can change these then.
func (c *cluster) deletesBucketsOfGoneNamespaces(t *testing.T) {
	const ns = "gone-before"
	b := c.box(t, ns, "weights")
	c.waitFor(t, b, platformv1.ReasonReady)
	p := c.pipeline(t, ns, "p")
	eventually(t, "the bucket of runs", func() error {
		if err := c.Get(t.Context(), client.ObjectKeyFromObject(p), p); err != nil {
			return err
		}
		if !meta.IsStatusConditionTrue(p.Status.Conditions, "Ready") {
			return fmt.Errorf("%v", p.Status.Conditions)
		}
		return nil
	})
	c.s3.Put(t, b.Status.Bucket, "a/b", "x")
	c.s3.Put(t, databox.UsualBuckets.Runs(ns), "runs/r/run.json", "{}")
	c.endNamespace(t, ns)
	must(t, c.Delete(t.Context(), b))
	must(t, c.Delete(t.Context(), p))
	for _, bucket := range []string{b.Status.Bucket, databox.UsualBuckets.Runs(ns)} {
		eventually(t, "the end of bucket "+bucket, func() error {
			ok, err := c.s3.BucketExists(t.Context(), bucket)
			if err == nil && ok {
				err = errors.New("it is there")
			}
			return err
		})
	}
	c.bareNamespace(t, ns) // and what was left in it goes
	touched := map[string]string{"again": "yes"}
	for _, o := range []client.Object{b, p} {
		before := o.DeepCopyObject().(client.Object)
		o.SetAnnotations(touched)
		// It may have gone by itself meanwhile.
		must(t, client.IgnoreNotFound(c.Patch(t.Context(), o, client.MergeFrom(before))))
		c.waitGone(t, o)
	}
}
