//go:build integration

// Package controllertest gives the tests of the controller's rooms a real API server and a real S3
// server, and what stands in them before a test begins. It is for tests alone: the build tag keeps
// it out of everything else.
package controllertest

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/minio/minio-go/v7/pkg/tags"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
)

// Servers is a real API server and a real S3 server, with the settings that name it, for a
// test of a room in cmd/controller/internal.
func Servers(t testing.TB) (*rest.Config, client.Client, *miniotest.Server, *settings.Source) {
	t.Helper()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS must name a folder with etcd and kube-apiserver: make test-integration")
	}
	crds := []string{"../../../../config/200-databox.yaml", "../../../../config/201-runtime.yaml"}
	env := &envtest.Environment{CRDDirectoryPaths: crds, ErrorIfCRDPathMissing: true}
	cfg, err := env.Start()
	Must(t, err)
	t.Cleanup(func() { _ = env.Stop() })
	scheme := runtime.NewScheme()
	Must(t, errors.Join(clientgoscheme.AddToScheme(scheme), platformv1.AddToScheme(scheme),
		runtimev1.AddToScheme(scheme)))
	c, err := client.New(cfg, client.Options{Scheme: scheme})
	Must(t, err)
	server := miniotest.Start(t)
	dir := t.TempDir()
	for name, text := range map[string]string{"unip.yaml": fmt.Sprintf("s3: {endpoint: %q}", server.Endpoint),
		"accessKeyId": miniotest.AccessKey, "secretAccessKey": miniotest.SecretKey} {
		Must(t, os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600))
	}
	src, err := settings.Open(filepath.Join(dir, "unip.yaml"), dir)
	Must(t, err)
	return cfg, c, server, src
}

// Box makes a box of the namespace default with its bucket, as the controller does.
func Box(t testing.TB, c client.Client, server *miniotest.Server, name string) string {
	t.Helper()
	ns := &corev1.Namespace{}
	Must(t, c.Get(t.Context(), client.ObjectKey{Name: "default"}, ns))
	bucket := databox.UsualBuckets.Box("default", name)
	Claim(t, server, bucket, name, ns)
	box := &platformv1.DataBox{ObjectMeta: metav1.ObjectMeta{Namespace: "default", Name: name},
		Spec: platformv1.DataBoxSpec{S3DefaultStorage: &platformv1.S3DefaultStorage{}}}
	Must(t, c.Create(t.Context(), box))
	ready := metav1.Condition{Type: platformv1.ConditionReady, Status: metav1.ConditionTrue,
		Reason: platformv1.ReasonReady, LastTransitionTime: metav1.Now()}
	box.Status.Conditions = []metav1.Condition{ready}
	Must(t, c.Status().Update(t.Context(), box))
	return bucket
}

// Claim makes a bucket of a namespace.
func Claim(t testing.TB, server *miniotest.Server, bucket, box string, ns *corev1.Namespace) {
	t.Helper()
	Must(t, s3client.ClaimBucket(t.Context(), server.Client, bucket, "us-east-1",
		databox.Owner{Namespace: ns.Name, NamespaceUID: string(ns.UID), Box: box}))
}

// GiveAway tags a bucket as that of a namespace of the same name with another UID: a former one, or
// one of another cluster.
func GiveAway(t testing.TB, server *miniotest.Server, bucket, box string) {
	t.Helper()
	theirs, err := tags.NewTags(map[string]string{
		databox.TagNamespace: "default", databox.TagNamespaceUID: "5c5f0a3e-0000-0000-0000-000000000000",
		databox.TagBox: box,
	}, false)
	Must(t, err)
	Must(t, server.SetBucketTagging(t.Context(), bucket, theirs))
}

// OneStage is a pipeline of the stage fit, which reads a variable, if one is named, and writes
// another.
func OneStage(name, input, output string) *runtimev1.Pipeline {
	fit := runtimev1.Stage{Name: "fit", Image: "image/fit", Outputs: []string{output}, TimeoutSeconds: 60}
	p := &runtimev1.Pipeline{ObjectMeta: metav1.ObjectMeta{Name: name}}
	p.Spec.DefaultBox, p.Spec.Variables = "userdata", []runtimev1.Variable{{Name: output}}
	if input != "" {
		fit.Inputs = []string{input}
		p.Spec.Variables = append(p.Spec.Variables, runtimev1.Variable{Name: input})
	}
	p.Spec.Stages = []runtimev1.Stage{fit}
	return p
}

// Must ends the test with an error.
func Must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
