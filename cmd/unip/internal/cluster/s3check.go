package cluster

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/databox/needs"
	"github.com/unip-knative/unip/eventing/names"
)

const (
	// s3PodLook is how often the Job's pod is looked at until it runs.
	s3PodLook = 500 * time.Millisecond
	// s3JobGone bounds the deletion of the Job, also after a signal.
	s3JobGone = 10 * time.Second
)

// s3Rights are what the check takes in the installation's namespace.
var s3Rights = []struct{ group, resource, sub, verb string }{
	{"apps", "deployments", "", "get"}, {"batch", "jobs", "", "create"}, {"batch", "jobs", "", "delete"},
	{"", "pods", "", "list"}, {"", "pods", "log", "get"},
}

// CheckS3 has the controller's image try what unip needs of the installation's S3 server, in a Job beside
// the controller, and tells of each result as it comes. start is how long the Job's pod may take to
// start; bucket, where it is not "", is one to try it in. The Job is deleted at the end, however that
// comes.
func (c *Cluster) CheckS3(ctx context.Context, bucket string, start time.Duration, tell func(needs.Result),
) (end needs.End, err error) {
	if err := c.mayCheckS3(ctx); err != nil {
		return end, err
	}
	d := &appsv1.Deployment{}
	switch err := c.Get(ctx, client.ObjectKey{Namespace: systemNamespace, Name: names.Controller}, d); {
	case apierrors.IsNotFound(err):
		return end, fmt.Errorf("unip is not installed here: there is no Deployment %s/%s; `unip doctor` says what is "+
			"missing", systemNamespace, names.Controller)
	case err != nil:
		return end, fmt.Errorf("reading the Deployment %s/%s: %w", systemNamespace, names.Controller, err)
	case len(d.Spec.Template.Spec.Containers) == 0:
		return end, fmt.Errorf("the Deployment %s/%s has no container", systemNamespace, names.Controller)
	}
	job := s3Job(d, bucket)
	if err := c.Create(ctx, job); err != nil {
		return end, fmt.Errorf("making a Job in %s: %w", systemNamespace, err)
	}
	defer func() { err = errors.Join(err, c.removeJob(ctx, job)) }()
	pod, err := c.awaitPod(ctx, job, start)
	if err != nil {
		return end, err
	}
	end, err = c.readReport(ctx, pod, tell)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("%w; the image is %s: that of an older unip knows no s3-check", err,
			job.Spec.Template.Spec.Containers[0].Image)
	}
	return end, err
}

// mayCheckS3 asks for all rights before anything is made, so that no Job is left whose maker may not
// delete it.
func (c *Cluster) mayCheckS3(ctx context.Context) error {
	var missing []string
	for _, r := range s3Rights {
		review := &Object{Object: map[string]any{"spec": map[string]any{"resourceAttributes": map[string]any{
			"namespace": systemNamespace, "group": r.group, "resource": r.resource, "subresource": r.sub,
			"verb": r.verb,
		}}}}
		review.SetGroupVersionKind(schema.GroupVersionKind{Group: "authorization.k8s.io", Version: "v1",
			Kind: "SelfSubjectAccessReview"})
		if err := c.Create(ctx, review); err != nil {
			return fmt.Errorf("asking for your rights: %w", err)
		}
		if may, _, _ := unstructured.NestedBool(review.Object, "status", "allowed"); !may {
			name := schema.GroupResource{Group: r.group, Resource: r.resource}.String()
			missing = append(missing, r.verb+" "+strings.TrimSuffix(name+"/"+r.sub, "/"))
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("the check is a Job in %s, and there you lack the right to %s", systemNamespace,
			strings.Join(missing, ", to "))
	}
	return nil
}

// removeJob deletes the Job with its pod. A signal does not stop it.
func (c *Cluster) removeJob(ctx context.Context, job *batchv1.Job) error {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), s3JobGone)
	defer cancel()
	err := c.Client.Delete(ctx, job, client.PropagationPolicy("Background"))
	if client.IgnoreNotFound(err) != nil {
		return fmt.Errorf("delete the Job yourself: `kubectl -n %s delete job %s`: %w", job.Namespace, job.Name, err)
	}
	return nil
}

// awaitPod waits until the Job's pod runs, or has run.
func (c *Cluster) awaitPod(ctx context.Context, job *batchv1.Job, start time.Duration) (*corev1.Pod, error) {
	late := time.NewTimer(start)
	defer late.Stop()
	tick := time.NewTicker(s3PodLook)
	defer tick.Stop()
	for {
		var pods corev1.PodList
		if err := c.List(ctx, &pods, client.InNamespace(job.Namespace),
			client.MatchingLabels{batchv1.JobNameLabel: job.Name}); err != nil {
			return nil, fmt.Errorf("looking for the pod of Job %s: %w", job.Name, err)
		}
		waits := "there is no pod of it"
		if len(pods.Items) > 0 {
			var state podState
			if state, waits = stateOf(&pods.Items[0]); state == podRan {
				return &pods.Items[0], nil
			} else if state == podStuck {
				return nil, fmt.Errorf("the pod of the check does not start: %s", waits)
			}
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-late.C:
			return nil, fmt.Errorf("the check has not started within %v (--timeout): %s", start,
				cmp.Or(c.jobWarning(ctx, job), waits))
		case <-tick.C:
		}
	}
}

// podState is how far a pod is.
type podState int

const (
	podWaits podState = iota
	podStuck          // it will not start by itself
	podRan            // it runs, or has run
)

// stuck are the reasons of a container that waits for somebody to mend something.
var stuck = map[string]bool{
	"ImagePullBackOff": true, "InvalidImageName": true, "ErrImageNeverPull": true, "CreateContainerConfigError": true,
	"CreateContainerError": true, "RunContainerError": true,
}

// stateOf says how far a pod is, and for what it waits.
func stateOf(p *corev1.Pod) (podState, string) {
	for _, s := range p.Status.ContainerStatuses {
		switch w := s.State.Waiting; {
		case s.State.Running != nil, s.State.Terminated != nil:
			return podRan, ""
		case w != nil && stuck[w.Reason]:
			return podStuck, strings.TrimSuffix(w.Reason+": "+w.Message, ": ")
		case w != nil:
			return podWaits, strings.TrimSuffix(w.Reason+": "+w.Message, ": ")
		}
	}
	if p.Status.Phase == corev1.PodFailed { // it was refused by its node
		return podStuck, p.Status.Reason + ": " + p.Status.Message
	}
	for _, x := range p.Status.Conditions {
		if x.Type == corev1.PodScheduled && x.Status == corev1.ConditionFalse {
			return podWaits, x.Reason + ": " + x.Message
		}
	}
	return podWaits, "no node has begun with it"
}

// jobWarning is why no pod of the Job could be made, such as a quota; "" where nothing says so, or who
// asks may not see it.
func (c *Cluster) jobWarning(ctx context.Context, job *batchv1.Job) string {
	var all corev1.EventList
	if err := c.List(ctx, &all, client.InNamespace(job.Namespace),
		client.MatchingFields{"involvedObject.name": job.Name, "type": corev1.EventTypeWarning}); err != nil ||
		len(all.Items) == 0 {
		return ""
	}
	e := all.Items[len(all.Items)-1]
	return e.Reason + ": " + e.Message
}

// readReport reads the pod's log while it is written.
func (c *Cluster) readReport(ctx context.Context, pod *corev1.Pod, tell func(needs.Result)) (needs.End, error) {
	config := rest.CopyConfig(c.config)
	config.Timeout = 0 // which would end the stream
	config.APIPath, config.GroupVersion = "/api", &corev1.SchemeGroupVersion
	config.NegotiatedSerializer = scheme.Codecs.WithoutConversion()
	core, err := rest.RESTClientFor(config)
	if err != nil {
		return needs.End{}, err
	}
	ctx, cancel := context.WithTimeout(ctx, s3JobLife*time.Second)
	defer cancel()
	log, err := core.Get().Namespace(pod.Namespace).Resource("pods").Name(pod.Name).SubResource("log").
		Param("follow", "true").Param("container", pod.Spec.Containers[0].Name).Stream(ctx)
	if err != nil {
		return needs.End{}, fmt.Errorf("reading the log of pod %s: %w", pod.Name, err)
	}
	defer log.Close()
	end, err := needs.ReadReport(log, tell)
	if err != nil {
		return end, errors.Join(err, ctx.Err())
	}
	if end.Err != "" {
		return end, fmt.Errorf("the S3 server could not be tried: %s", end.Err)
	}
	return end, nil
}
