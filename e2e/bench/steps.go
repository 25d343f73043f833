package main

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
)

// steps are where the time of cold starts goes: when each Service's pod came how far, since the call
// began, as the API server told it.
type steps map[string][]time.Duration

// conditions are those of a pod that are steps of its start, and what is said of them.
var conditions = map[corev1.PodConditionType]string{
	corev1.PodScheduled: "1 has a node", corev1.PodReadyToStartContainers: "2 has volumes and a network",
	corev1.ContainersReady: "3 is ready",
}

// watch writes down the steps of a module's pods until the function that it returns is called.
func (s steps) watch(ctx context.Context, m *live.Module) (end func(), err error) {
	w, err := m.Watch(ctx, &corev1.PodList{}, client.InNamespace(m.Namespace),
		client.HasLabels{"serving.knative.dev/service"})
	if err != nil {
		return nil, err
	}
	begin, done := time.Now(), make(chan struct{})
	go func() {
		defer close(done)
		seen := map[string]bool{}
		for e := range w.ResultChan() {
			pod, ok := e.Object.(*corev1.Pod)
			if !ok || pod.DeletionTimestamp != nil {
				continue
			}
			for _, c := range pod.Status.Conditions {
				what := pod.Labels["serving.knative.dev/service"] + " " + conditions[c.Type]
				if conditions[c.Type] != "" && c.Status == corev1.ConditionTrue && !seen[what] {
					seen[what] = true
					s[what] = append(s[what], time.Since(begin))
				}
			}
		}
	}()
	return func() {
		w.Stop()
		<-done
	}, nil
}

func (s steps) print() {
	for _, key := range slices.Sorted(maps.Keys(s)) {
		fmt.Printf("    %-40s %s\n", key, quantiles(s[key]))
	}
}
