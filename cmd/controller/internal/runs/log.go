package runs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/kubernetes"

	"github.com/unip-knative/unip/cmd/controller/internal/boxes"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/runstorage"
	"github.com/unip-knative/unip/eventing/stage"
)

// errNoPlace is a place that no box has.
var errNoPlace = errors.New("there can be no such place")

// forGood reports what stays as it is, however often it is tried: the box has gone, is not the
// module's, or no box can have such a name.
func forGood(err error) bool {
	var refusal *boxes.Refusal
	if errors.As(err, &refusal) {
		return !refusal.Wait
	}
	return errors.Is(err, errNoPlace) || s3client.IsMissing(err) || s3client.IsRefused(err)
}

const (
	// maxLogRead bounds what is read to find the end; kubelet keeps some 10 MiB of a container's
	// log.
	maxLogRead = 64 << 20
	maxLines   = 50_000
)

// saveLog puts the end of the log of a Job's stage into the run bucket. No pod, no container that
// began: nothing to save.
func saveLog(ctx context.Context, c kubernetes.Interface, s3 settings.Store, job *batchv1.Job) error {
	pods, err := c.CoreV1().Pods(job.Namespace).List(ctx,
		metav1.ListOptions{LabelSelector: batchv1.JobNameLabel + "=" + job.Name, Limit: 10})
	if err != nil {
		return fmt.Errorf("reading the pods of Job %s: %w", job.Name, err)
	}
	for i := range pods.Items {
		pod := &pods.Items[i]
		began := functionStatus(pod)
		if !metav1.IsControlledBy(pod, job) || began == nil ||
			(began.State.Running == nil && began.State.Terminated == nil) {
			continue
		}
		text, err := tail(ctx, c, pod, began.Name, maxLines)
		if apierrors.IsNotFound(err) || apierrors.IsBadRequest(err) {
			continue
		}
		if err != nil {
			return fmt.Errorf("reading the log of pod %s: %w", pod.Name, err)
		}
		var attempt int // 0 where somebody has changed the Job's label: the log is kept all the same
		_, _ = fmt.Sscan(job.Labels[stage.AttemptLabel], &attempt)
		bucket := s3.Config.S3.Buckets.Runs(job.Namespace)
		err = runstorage.PutLog(ctx, s3.Client, bucket, job.Labels[runtimev1.RunLabel],
			strings.Replace(job.Labels[runtimev1.StageLabel], ".", "/", 1), attempt, text)
		if err != nil {
			return err
		}
	}
	return nil
}

// tail is the end of a container's log: so many lines, and of them at most MaxLog bytes.
func tail(
	ctx context.Context, c kubernetes.Interface, pod *corev1.Pod, container string, lines int64,
) ([]byte, error) {
	body, err := c.CoreV1().Pods(pod.Namespace).GetLogs(pod.Name, &corev1.PodLogOptions{
		Container: container, TailLines: &lines, LimitBytes: new(int64(maxLogRead)),
	}).Stream(ctx)
	if err != nil {
		return nil, err
	}
	defer body.Close()
	keep := make([]byte, 0, 64<<10)
	buf := make([]byte, 64<<10)
	for {
		n, err := body.Read(buf)
		if keep = append(keep, buf[:n]...); len(keep) > 2*runstorage.MaxLog {
			keep = append(keep[:0], keep[len(keep)-runstorage.MaxLog:]...)
		}
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return nil, err
		}
	}
	if len(keep) > runstorage.MaxLog {
		keep = keep[len(keep)-runstorage.MaxLog:]
	}
	return keep, nil
}
