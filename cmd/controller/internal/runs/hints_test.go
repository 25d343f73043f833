//go:build integration

package runs

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/cmd/controller/internal/controllertest"
	"github.com/unip-knative/unip/cmd/controller/internal/fair"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	life "github.com/unip-knative/unip/eventing/run"
)

// Names that strangers make up, and runs that have ended, leave no trace: neither in the memory nor
// in the queue.
func TestHintsOfStrangersAreForgotten(t *testing.T) {
	t.Parallel()
	_, c, _, _ := controllertest.Servers(t)
	r := &Reconciler{Client: c, memory: newMemory(), hints: fair.NewQueue(hintLimits)}
	for name, state := range map[string]runtimev1.State{"over": runtimev1.Failed, "waiting": runtimev1.Pending} {
		run := &runtimev1.PipelineRun{}
		run.Namespace, run.Name = "default", name
		run.Spec = runtimev1.PipelineRunSpec{Pipeline: "train", Inputs: map[string]runtimev1.InputPath{},
			Outputs: map[string]string{}}
		must(t, r.Client.Create(t.Context(), run))
		run.Status.State = state
		must(t, r.Client.Status().Update(t.Context(), run))
	}
	hint := func(name string) { r.Hint(t.Context(), types.NamespacedName{Namespace: "default", Name: name}) }
	for i := range 300 {
		hint(fmt.Sprint("none-", i))
		hint("over")
		_ = r.memory.takeHint(types.NamespacedName{Namespace: "default", Name: fmt.Sprint("none-", i)})
	}
	if n := len(r.memory.runs); n != 0 {
		t.Errorf("%d runs are remembered", n)
	}
	if r.memory.recall(types.NamespacedName{Name: "none"}, &life.Seen{}); len(r.memory.runs) != 0 {
		t.Error("a question is remembered")
	}
	hint("waiting")
	if !r.memory.takeHint(types.NamespacedName{Namespace: "default", Name: "waiting"}) {
		t.Error("a hint about a run that goes on is lost")
	}
}

// What a container leaves in its last words does not reach a terminal as it is.
func TestMessagesHoldNoControlCharacters(t *testing.T) {
	t.Parallel()
	const hostile = "boo\r\x1b[2Jfake\u202e line"
	for name, state := range map[string]corev1.ContainerStateTerminated{
		"function": {ExitCode: 1, Message: hostile},
		"publish":  {ExitCode: 1, Message: `{"error":"output a: \u001b[2J\r\u202e is a link"}`},
		"fetch":    {ExitCode: 1, Message: `{"error":"input a: \u001b[2J\r\u202e is gone"}`},
	} {
		p := &corev1.Pod{}
		s := []corev1.ContainerStatus{{Name: name, State: corev1.ContainerState{Terminated: &state}}}
		if p.Status.InitContainerStatuses = s; name == "publish" {
			p.Status.InitContainerStatuses, p.Status.ContainerStatuses = nil, s
		}
		st, _ := stepped(t, &batchv1.Job{}, p, time.Now())
		if strings.ContainsAny(st.Message, "\x1b\r\n\u202e") || !strings.Contains(st.Message, `\x1b[2J`) {
			t.Errorf("%s: %q", name, st.Message)
		}
	}
	if err := errors.New(hostile); strings.ContainsAny(oneLine(err.Error()), "\x1b\r\u202e") {
		t.Error("oneLine")
	}
}
