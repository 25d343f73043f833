package live

import (
	"context"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
)

// ErrPodFailed: the command in a pod has ended with another code than 0.
var ErrPodFailed = errors.New("the pod has failed")

// RunPod runs a command in a pod of its own until it ends, and returns its log, also with
// ErrPodFailed. Who attaches to a pod instead sees nothing of one that was faster. labels are as
// kubectl run has them, and may be "".
func (c *Cluster) RunPod(
	ctx context.Context, namespace, name, image, labels string, command ...string,
) (out string, err error) {
	args := []string{"-n", namespace, "run", name, "--image=" + image, "--restart=Never", "--labels=" + labels,
		"--command", "--"}
	if _, err := c.Kubectl(ctx, append(args, command...)...); err != nil {
		return "", err
	}
	defer func() {
		_, gone := c.Kubectl(context.WithoutCancel(ctx), "-n", namespace, "delete", "pod", name, "--grace-period=1")
		err = errors.Join(err, gone)
	}()
	var pod corev1.Pod
	err = Await(ctx, 2*time.Minute, "pod "+name, func(ctx context.Context) error {
		if err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &pod); err != nil {
			return err
		}
		if p := pod.Status.Phase; p != corev1.PodSucceeded && p != corev1.PodFailed {
			return fmt.Errorf("it is %s", p)
		}
		return nil
	})
	if err != nil {
		return "", err
	}
	if out, err = c.Kubectl(ctx, "-n", namespace, "logs", name); err == nil && pod.Status.Phase == corev1.PodFailed {
		err = fmt.Errorf("%w: %s", ErrPodFailed, out)
	}
	return out, err
}
