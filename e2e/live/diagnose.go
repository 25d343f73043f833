package live

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	corev1 "k8s.io/api/core/v1"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/names"
)

// diagnoses is where what is wrong with modules is kept.
const diagnoses = "unip-e2e"

// maxTold is how many lines of a diagnosis stand beside what a test or a program says.
const maxTold = 5

// Diagnose says what is wrong with a module: services and pods that are not ready, each with its
// reason, and the tail of their logs. What is longer than a few lines is kept in a file, whose path is
// told in its place: what has gone wrong stays in sight, behind it, and in a log that is cut.
func (m *Module) Diagnose(ctx context.Context) string {
	text := m.diagnose(ctx)
	if strings.Count(text, "\n") <= maxTold {
		return text
	}
	path, err := keep(m.Namespace, text)
	if err != nil {
		return text + "\nkeeping that in a file: " + err.Error()
	}
	return "what the cluster shows of it is in " + path
}

// keep writes a text into a new file that everybody may read: CI is not who runs the tests.
func keep(name, text string) (path string, err error) {
	dir := filepath.Join(os.TempDir(), diagnoses)
	if err := os.MkdirAll(dir, 0o755); err != nil { //nolint:gosec // see above
		return "", err
	}
	f, err := os.CreateTemp(dir, name+"-*.txt")
	if err != nil {
		return "", err
	}
	_, err = f.WriteString(text)
	return f.Name(), errors.Join(err, f.Chmod(0o644), f.Close())
}

func (m *Module) diagnose(ctx context.Context) string {
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
