//go:build integration

package main

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

func (c *cluster) shares(t *testing.T) {
	source := c.box(t, "owner", "leaves")
	c.waitFor(t, source, platformv1.ReasonReady)
	c.s3.Put(t, source.Status.Bucket, "leaf", "x")
	view := c.boxWith(t, "viewer", "leaves", platformv1.DataBoxSpec{DatasetReference: &platformv1.DatasetReference{
		DatasetComponentRef: platformv1.NamespacedName{Name: "leaves", Namespace: "owner"},
	}, Sessions: []platformv1.Session{{Use: string(databox.Files)}, {Use: string(databox.GetLinks)}}})
	c.waitFor(t, view, platformv1.ReasonNotShared)
	c.annotate(t, source, platformv1.SharedWithAnnotation, "somebody, view*")
	c.waitFor(t, view, platformv1.ReasonReady)
	server := c.open(t, "viewer", "leaves", databox.Files)
	_, err := server.StatObject(t.Context(), source.Status.Bucket, "leaf", minio.StatObjectOptions{})
	must(t, err)
	c.s3.Put(t, source.Status.Bucket, "users/ann/file_groups/g/f", "private")
	if _, err := server.StatObject(t.Context(), source.Status.Bucket, "users/ann/file_groups/g/f",
		minio.StatObjectOptions{}); !s3.IsRefused(err) {
		t.Errorf("a user's file of the owner's: %v", err)
	}
	// A bucket that is somebody else's all of a sudden: of a later namespace of the name, or of
	// another cluster.
	was, err := c.s3.GetBucketTagging(t.Context(), source.Status.Bucket)
	must(t, err)
	theirs, err := tags.NewTags(map[string]string{databox.TagNamespace: "owner", databox.TagNamespaceUID: "another",
		databox.TagBox: "leaves"}, false)
	must(t, err)
	must(t, c.s3.SetBucketTagging(t.Context(), source.Status.Bucket, theirs))
	c.touch(t, view)
	c.waitFor(t, view, platformv1.ReasonBucketNotOurs)
	c.haveNoSecrets(t, "viewer")
	must(t, c.s3.SetBucketTagging(t.Context(), source.Status.Bucket, was))
	c.touch(t, view)
	c.waitFor(t, view, platformv1.ReasonReady)
	c.annotate(t, source, platformv1.SharedWithAnnotation, "somebody")
	c.waitFor(t, view, platformv1.ReasonNotShared)
	c.haveNoSecrets(t, "viewer")
	must(t, c.Delete(t.Context(), view))
	c.waitGone(t, view)
	if _, err := c.s3.StatObject(t.Context(), source.Status.Bucket, "leaf", minio.StatObjectOptions{}); err != nil {
		t.Errorf("the owner's object after the view was deleted: %v", err)
	}
}

// sharesFolders: a DatasetComponent shares a folder of a box and nothing beside it. What its owner takes
// back is given by no DataBox of the same name.
func (c *cluster) sharesFolders(t *testing.T) {
	source := c.box(t, "botanists", "sheets")
	c.waitFor(t, source, platformv1.ReasonReady)
	for _, key := range []string{"leaves/pressed/oak", "leaves/pressed-not/x", "top", "users/ann/file_groups/g/f"} {
		c.s3.Put(t, source.Status.Bucket, key, "x")
	}
	d := &platformv1.DatasetComponent{ObjectMeta: metav1.ObjectMeta{Namespace: "botanists", Name: "pressed"},
		Spec: platformv1.DatasetComponentSpec{Box: "sheets", Path: "leaves/pressed",
			Rest: map[string]json.RawMessage{"license": json.RawMessage(`"CC-BY"`)}}}
	must(t, c.Create(t.Context(), d))
	change := func(change func()) {
		t.Helper()
		before := d.DeepCopy()
		change()
		must(t, c.Patch(t.Context(), d, client.MergeFrom(before)))
	}
	share := func(with string) {
		t.Helper()
		change(func() { metav1.SetMetaDataAnnotation(&d.ObjectMeta, platformv1.SharedWithAnnotation, with) })
	}
	view := c.boxWith(t, "readers", "leaves", platformv1.DataBoxSpec{DatasetReference: &platformv1.DatasetReference{
		DatasetComponentRef: platformv1.NamespacedName{Name: "pressed", Namespace: "botanists"},
	}, Sessions: []platformv1.Session{{Use: string(databox.Files)}, {Use: string(databox.GetLinks)},
		{Use: string(databox.Model), Object: "oak"}}})
	c.waitFor(t, view, platformv1.ReasonNotShared)
	share("readers")
	c.waitFor(t, view, platformv1.ReasonReady)
	if d.Spec.Rest["license"] == nil {
		t.Error("the API server has dropped a field that it does not know")
	}

	sees := func(use databox.Access, object string, wanted ...string) {
		t.Helper()
		held := c.secret(t, "readers", use.Secret("leaves", object))
		session, err := databox.ParseSession(held.Data[databox.SessionKey])
		must(t, err)
		if session.Bucket != source.Status.Bucket || session.Prefix != "leaves/pressed/" {
			t.Errorf("%s: %s in %q", use, session, session.Prefix)
		}
		s, err := s3.NewClient(session, s3.Static(session))
		must(t, err)
		for _, key := range []string{"leaves/pressed/oak", "leaves/pressed-not/x", "top", "users/ann/file_groups/g/f"} {
			_, err := s.StatObject(t.Context(), session.Bucket, key, minio.StatObjectOptions{})
			if ok := slices.Contains(wanted, key); ok != (err == nil) || !ok && !s3.IsRefused(err) {
				t.Errorf("%s opens %s: %v", use, key, err)
			}
		}
		for prefix, ok := range map[string]bool{"leaves/pressed/": use == databox.Files, "": false, "leaves/": false,
			"users/": false} {
			o := <-s.ListObjects(t.Context(), session.Bucket, minio.ListObjectsOptions{Prefix: prefix})
			if ok != (o.Err == nil) {
				t.Errorf("%s lists %q: %v", use, prefix, o.Err)
			}
		}
	}
	sees(databox.Files, "", "leaves/pressed/oak")
	sees(databox.GetLinks, "", "leaves/pressed/oak")
	sees(databox.Model, "oak", "leaves/pressed/oak")

	// A run of the reader's gets the folder; its sessions end with the sharing.
	p := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Namespace: "readers", Name: "count"},
		Spec: runtimev1.PipelineSpec{
			Variables: []runtimev1.Variable{{Name: "x", MountFrom: &runtimev1.BoxPath{Box: "leaves"}}, {Name: "y"}},
			Stages: []runtimev1.Stage{{Name: "fit", Image: "image", Inputs: []string{"x"}, Outputs: []string{"y"},
				TimeoutSeconds: 60}},
			Mounts: []runtimev1.Mount{{Box: "leaves", MountPath: "/herbarium"}},
		}}
	must(t, c.Create(t.Context(), p))
	r := c.run(t, "readers", "count-1", "count")
	c.requested(t, r)
	in := r.Status.Stages[0].Inputs[0]
	if in.Prefix != "leaves/pressed/" || in.Bucket != source.Status.Bucket || in.Path != "/herbarium" {
		t.Errorf("input %+v", in)
	}

	same := c.box(t, "botanists", "pressed")
	c.annotate(t, same, platformv1.SharedWithAnnotation, "readers")
	c.waitFor(t, same, platformv1.ReasonReady)
	share("nobody")
	c.waitFor(t, view, platformv1.ReasonNotShared)
	if strings.Contains(ready(view).Message, "sheets") {
		t.Errorf("what is not shared is told of: %s", ready(view).Message)
	}
	for _, use := range []databox.Access{databox.Files, databox.GetLinks} {
		key := client.ObjectKey{Namespace: "readers", Name: use.Secret("leaves", "")}
		err := c.Get(t.Context(), key, &corev1.Secret{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("the session %s is there: %v", use, err)
		}
	}
	late := c.run(t, "readers", "count-2", "count")
	c.waitForRunThat(t, late, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Failed })
	if !strings.Contains(late.Status.Message, "not shared") || len(late.Status.Stages) > 0 {
		t.Errorf("a run after the end of sharing: %s", late.Status.Message)
	}

	share("readers")
	c.waitFor(t, view, platformv1.ReasonReady)
	for _, path := range []string{"users/ann", "/users/", "a/../users"} {
		change(func() { d.Spec.Path = path })
		c.waitFor(t, view, platformv1.ReasonNotShared)
		if !strings.Contains(ready(view).Message, "cannot be used") {
			t.Errorf("%s: %s", path, ready(view).Message)
		}
		change(func() { d.Spec.Path = "leaves/pressed" })
		c.waitFor(t, view, platformv1.ReasonReady)
	}
	change(func() { d.Spec.Box = "nothing" })
	c.waitFor(t, view, platformv1.ReasonNotShared)
	must(t, c.Delete(t.Context(), d)) // and now the DataBox of the name is meant
	c.waitFor(t, view, platformv1.ReasonReady)
	held := c.secret(t, "readers", databox.Files.Secret("leaves", ""))
	session, err := databox.ParseSession(held.Data[databox.SessionKey])
	must(t, err)
	if session.Bucket != same.Status.Bucket || session.Prefix != "" {
		t.Errorf("without the component: %s", session)
	}
	must(t, c.Delete(t.Context(), view))
	c.waitGone(t, view)
}

// haveNoSecrets: a module without rights has no session left.
func (c *cluster) haveNoSecrets(t *testing.T, ns string) {
	t.Helper()
	var all corev1.SecretList
	must(t, c.List(t.Context(), &all, client.InNamespace(ns)))
	for _, s := range all.Items {
		t.Errorf("there is the Secret %s", s.Name)
	}
}
