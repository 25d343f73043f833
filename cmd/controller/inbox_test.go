//go:build integration

package main

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/outage"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
)

// The inbox is the cluster's: an installation takes up that of one before it, of v0.1.0 too, and
// never that of another cluster.
func TestInboxOutlivesTheInstallation(t *testing.T) {
	c, cfg := startServers(t)
	c.operator(t, "accessKeyId", miniotest.AccessKey)
	c.operator(t, "secretAccessKey", miniotest.SecretKey)
	bucket := databox.UsualBuckets.System()
	// asV010 is whose the bucket is for a controller of v0.1.0.
	asV010 := func() databox.Owner {
		return databox.Owner{Namespace: names.SystemNamespace, NamespaceUID: c.uid(t, names.SystemNamespace),
			Box: databox.RunsBox}
	}
	must(t, s3.ClaimBucket(t.Context(), c.s3.Client, bucket, "us-east-1", asV010()))
	c.s3.Put(t, bucket, "spool/waits", "x")
	mark := asV010().Tags()
	mark["cost-centre"] = "7"
	c.tag(t, bucket, mark)

	must(t, c.openInbox(t, cfg)) // an upgrade
	mark[databox.TagClusterUID] = c.uid(t, metav1.NamespaceSystem)
	c.tagged(t, bucket, mark)
	must(t, s3.CheckBucket(t.Context(), c.s3.Client, bucket, asV010())) // and the way back

	c.endNamespace(t, names.SystemNamespace) // as kubectl delete -f unip.yaml does
	c.bareNamespace(t, names.SystemNamespace)
	if err := s3.CheckBucket(t.Context(), c.s3.Client, bucket, asV010()); !errors.Is(err, s3.ErrBucketNotOurs) {
		t.Fatalf("the namespace made again has the UID of the one before: %v", err)
	}
	must(t, c.openInbox(t, cfg))
	mark[databox.TagNamespaceUID] = c.uid(t, names.SystemNamespace)
	c.tagged(t, bucket, mark)
	_, err := c.s3.StatObject(t.Context(), bucket, "spool/waits", minio.StatObjectOptions{})
	must(t, err)

	ofCluster, former := asV010(), asV010()
	ofCluster.ClusterUID, former.NamespaceUID = "another", "former"
	for whose, owner := range map[string]databox.Owner{
		"another cluster": ofCluster,
		"an installation of v0.1.0 that was taken away, or of another cluster": former,
	} {
		c.tag(t, bucket, owner.Tags())
		if err := c.openInbox(t, cfg); !errors.Is(err, s3.ErrBucketNotOurs) ||
			!strings.Contains(err.Error(), "installing.md") {
			t.Errorf("the inbox of %s: %v", whose, err)
		}
		c.tagged(t, bucket, owner.Tags())
	}
}

// openInbox does so as a controller that has just started, with its account's rights.
func (c *cluster) openInbox(t *testing.T, cfg *rest.Config) error {
	t.Helper()
	src, err := settings.Open(c.dir+"/unip.yaml", c.dir)
	must(t, err)
	plain, err := minio.DefaultTransport(true)
	must(t, err)
	scheme, err := newScheme()
	must(t, err)
	live, err := client.New(cfg, client.Options{Scheme: scheme})
	must(t, err)
	_, err = newInbox(src, outage.New(plain), live).open(t.Context())
	return err
}

func (c *cluster) uid(t *testing.T, namespace string) string {
	t.Helper()
	ns := &corev1.Namespace{}
	must(t, c.Get(t.Context(), client.ObjectKey{Name: namespace}, ns))
	return string(ns.UID)
}

// endNamespace ends one at once, with no regard for what is in it.
func (c *cluster) endNamespace(t *testing.T, name string) {
	t.Helper()
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: name}}
	must(t, c.Delete(t.Context(), ns))
	must(t, c.Get(t.Context(), client.ObjectKey{Name: name}, ns))
	ns.Spec.Finalizers = nil
	must(t, c.SubResource("finalize").Update(t.Context(), ns))
}

func (c *cluster) tag(t *testing.T, bucket string, all map[string]string) {
	t.Helper()
	x, err := tags.NewTags(all, false)
	must(t, err)
	must(t, c.s3.SetBucketTagging(t.Context(), bucket, x))
}

func (c *cluster) tagged(t *testing.T, bucket string, want map[string]string) {
	t.Helper()
	got, err := c.s3.GetBucketTagging(t.Context(), bucket)
	must(t, err)
	if d := cmp.Diff(want, got.ToMap()); d != "" {
		t.Errorf("tags of the inbox: %s", d)
	}
}
