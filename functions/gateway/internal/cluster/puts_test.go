//go:build integration

package cluster_test

import (
	"context"
	"errors"
	"os"
	"testing"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox/put"
	"github.com/unip-knative/unip/functions/gateway/internal/cluster"
)

// A request is made, answered and taken away; whoever goes away takes it along.
func TestPut(t *testing.T) {
	t.Parallel()
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS must name a folder with etcd and kube-apiserver: make test-integration")
	}
	env := &envtest.Environment{CRDDirectoryPaths: []string{"../../../../config/201-runtime.yaml"},
		ErrorIfCRDPathMissing: true}
	cfg, err := env.Start()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = env.Stop() })
	namespace(t, cfg, "ns")
	store, err := cluster.New(cfg, "ns")
	if err != nil {
		t.Fatal(err)
	}
	scheme := runtime.NewScheme()
	if err := runtimev1.AddToScheme(scheme); err != nil {
		t.Fatal(err)
	}
	controller, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		t.Fatal(err)
	}
	// answer does the controller's part, as soon as the request is there.
	answer := func(a put.Asked, change func(*runtimev1.BoxPut) error) <-chan error {
		done := make(chan error, 1)
		go func() {
			x := &runtimev1.BoxPut{}
			for {
				err := controller.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: a.ID()}, x)
				if apierrors.IsNotFound(err) {
					continue
				}
				before := x.DeepCopy()
				if err == nil {
					err = change(x)
				}
				if err == nil {
					err = controller.Status().Patch(t.Context(), x, client.MergeFrom(before))
				}
				done <- err
				return
			}
		}()
		return done
	}
	ask := func() put.Asked {
		a, err := put.Ask("models/m", 3, false)
		if err != nil {
			t.Fatal(err)
		}
		return a
	}
	gone := func(a put.Asked) {
		t.Helper()
		err := controller.Get(t.Context(), client.ObjectKey{Namespace: "ns", Name: a.ID()}, &runtimev1.BoxPut{})
		if !apierrors.IsNotFound(err) {
			t.Errorf("the request is left: %v", err)
		}
	}

	a, expires := ask(), metav1.NewTime(time.Now().Add(time.Minute).Truncate(time.Second))
	done := answer(a, func(x *runtimev1.BoxPut) error {
		if x.Spec.Box != "weights" || x.Spec.Developer != "oidc:ann" {
			t.Errorf("%+v", x.Spec)
		}
		r, err := put.Parse(x.Name, x.Spec.Request)
		if err == nil {
			x.Status.Link, err = r.Seal("https://s3.example/link")
		}
		x.Status.Expires = &expires
		return err
	})
	link, until, err := store.Put(t.Context(), "weights", "oidc:ann", a)
	if e := <-done; e != nil || err != nil || link != "https://s3.example/link" || !until.Equal(expires.Time) {
		t.Errorf("%q %v %v %v", link, until, err, e)
	}
	gone(a)

	a = ask()
	done = answer(a, func(x *runtimev1.BoxPut) error {
		x.Status.Reason, x.Status.Message = put.NotNamed, "not this one"
		return nil
	})
	_, _, err = store.Put(t.Context(), "weights", "oidc:ann", a)
	no, ok := errors.AsType[*put.RefusedError](err)
	if e := <-done; e != nil || !ok || no.Reason != put.NotNamed || no.Message != "not this one" {
		t.Errorf("%v %v", err, e)
	}
	gone(a)

	a = ask()
	ctx, cancel := context.WithCancel(t.Context())
	done = answer(a, func(*runtimev1.BoxPut) error { cancel(); return nil })
	if _, _, err := store.Put(ctx, "weights", "oidc:ann", a); !errors.Is(err, context.Canceled) {
		t.Errorf("who has gone: %v", err)
	}
	<-done
	gone(a)
}
