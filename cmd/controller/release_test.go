//go:build integration

package main

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/functions/inference/worker"
	"github.com/unip-knative/unip/translate/installation"
)

const (
	inferenceImage = "registry.example/unip/inference@sha256:" +
		"1111111111111111111111111111111111111111111111111111111111111111"
	gatewayImage = "registry.example/unip/gateway@sha256:" +
		"2222222222222222222222222222222222222222222222222222222222222222"
)

// publishesTheRelease: with the controller's rights the ConfigMap is written, and with those of
// anybody who may log in it is read, and nothing else beside it.
func (c *cluster) publishesTheRelease(t *testing.T) {
	cfg := rest.CopyConfig(c.config)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "ann", Groups: []string{"system:authenticated"}}
	ann, err := client.New(cfg, client.Options{Scheme: c.Scheme()})
	must(t, err)
	key := client.ObjectKey{Namespace: names.SystemNamespace, Name: names.Release}
	eventually(t, "the release", func() error {
		m := &corev1.ConfigMap{}
		if err := ann.Get(t.Context(), key, m); err != nil {
			return err
		}
		r, err := installation.ParseRelease(m.Data)
		if err != nil {
			return err
		}
		want := worker.Files()
		same := slices.Equal(slices.Sorted(maps.Keys(r.Worker)), slices.Sorted(maps.Keys(want)))
		for name := range want {
			same = same && string(r.Worker[name]) == string(want[name])
		}
		if r.Inference != inferenceImage || r.Gateway != gatewayImage || !same {
			return fmt.Errorf("%s, %s, the worker is the same: %t", r.Inference, r.Gateway, same)
		}
		return nil
	})
	key.Name = names.Config
	if err := ann.Get(t.Context(), key, &corev1.ConfigMap{}); !apierrors.IsNotFound(err) {
		t.Errorf("unip.yaml, which is not there: %v", err)
	}
	key.Name = "another"
	if err := ann.Get(t.Context(), key, &corev1.ConfigMap{}); !apierrors.IsForbidden(err) {
		t.Errorf("another ConfigMap of the namespace: %v", err)
	}
	err = ann.List(t.Context(), &corev1.SecretList{}, client.InNamespace(names.SystemNamespace))
	if !apierrors.IsForbidden(err) {
		t.Errorf("the namespace's Secrets: %v", err)
	}
}
