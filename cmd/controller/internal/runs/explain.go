package runs

import (
	"context"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	ctrl "sigs.k8s.io/controller-runtime"

	"github.com/unip-knative/unip/eventing/lastwords"
	life "github.com/unip-knative/unip/eventing/run"
)

const (
	// messageBytes and messageLines are as much of a log as kubelet puts into a pod's status.
	messageBytes, messageLines = 2 << 10, 80
	// reasonTimeout bounds the look through a log: a node that does not answer holds nobody up.
	reasonTimeout = 5 * time.Second
)

// explain looks for the exception in the log itself, where the pod's status has too little of it. Of
// what was printed before the exception, all that two pipes and some buffers hold may come behind
// it: tens of thousands of short lines.
func (p *pass) explain(a *life.Attempt, pod *corev1.Pod) {
	if a.Phase != life.Ended || a.Part != life.Function || a.Cause != life.Exited || a.Disrupted ||
		p.now.Before(a.SettledAt) {
		return
	}
	c := functionStatus(pod)
	said := terminated(c).Message
	if len(said) < messageBytes && strings.Count(said, "\n") < messageLines-1 || lastwords.Exception(said) != "" {
		return
	}
	ctx, cancel := context.WithTimeout(p.ctx, reasonTimeout)
	defer cancel()
	log, err := tail(ctx, p.Pods, pod, c.Name, maxLines)
	if err != nil {
		ctrl.LoggerFrom(p.ctx).Info("the log of a stage that failed cannot be looked through", "pod", pod.Name,
			"error", err.Error())
		return
	}
	if e := lastwords.Exception(string(log)); e != "" {
		a.Message = oneLine(e)
	}
}
