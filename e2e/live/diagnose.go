package live

import (
	"context"
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/names"
)

// Diagnose says what is wrong with a module: services and pods that are not ready, each with its
// reason, and the tail of their logs.
func (m *Module) Diagnose(ctx context.Context) string {
	var b strings.Builder
	var services servingv1.ServiceList
	if err := m.List(ctx, &services, client.InNamespace(m.Namespace)); err == nil {
		for _, s := range services.Items {
			if c := s.Status.GetCondition(servingv1.ServiceConditionReady); !s.IsReady() && c != nil {
				fmt.Fprintf(&b, "Service %s: %s: %s\n", s.Name, c.Reason, c.Message)
			}
		}
	}
	m.diagnosePods(ctx, &b, m.Namespace)
	m.diagnosePods(ctx, &b, names.SystemNamespace)
	if b.Len() == 0 {
		return "every pod is ready"
	}
	return b.String()
}

func (m *Module) diagnosePods(ctx context.Context, b *strings.Builder, namespace string) {
	var pods corev1.PodList
	if err := m.List(ctx, &pods, client.InNamespace(namespace)); err != nil {
		fmt.Fprintf(b, "listing pods: %v\n", err)
		return
	}
	for _, p := range pods.Items {
		for _, s := range p.Status.ContainerStatuses {
			if s.Ready || p.Status.Phase == corev1.PodSucceeded || p.DeletionTimestamp != nil {
				continue
			}
			fmt.Fprintf(b, "%s/%s container %s: %s\n", namespace, p.Name, s.Name, reason(s))
			log, err := m.Kubectl(ctx, "-n", namespace, "logs", p.Name, "-c", s.Name, "--tail=20")
			if err != nil {
				log = err.Error()
			}
			fmt.Fprintf(b, "  %s\n", strings.ReplaceAll(strings.TrimSpace(log), "\n", "\n  "))
		}
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodScheduled && c.Status != corev1.ConditionTrue {
				fmt.Fprintf(b, "%s/%s: %s %s\n", namespace, p.Name, c.Reason, c.Message)
			}
		}
	}
}

func reason(s corev1.ContainerStatus) string {
	switch {
	case s.State.Waiting != nil:
		r := s.State.Waiting.Reason + " " + s.State.Waiting.Message
		if t := s.LastTerminationState.Terminated; t != nil {
			r += fmt.Sprintf("; before that it ended with %d: %s %s", t.ExitCode, t.Reason, t.Message)
		}
		return r
	case s.State.Terminated != nil:
		return fmt.Sprintf("ended with %d: %s %s", s.State.Terminated.ExitCode, s.State.Terminated.Reason,
			s.State.Terminated.Message)
	default:
		return "runs, not ready"
	}
}
