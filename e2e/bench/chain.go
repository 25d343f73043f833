package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/stage"
)

const (
	chainImage = "registry.localhost:5000/e2e/echo:v1"
	// links of a chain; the steps between them are one less.
	links = 6
)

// chains measures the step from one user's process to the next in a chain of stages, beside a chain
// of bare Jobs of three containers each that do nothing, where a watcher creates the next Job as
// soon as the last container of the one before has ended: what Kubernetes itself takes.
func chains(ctx context.Context, c *live.Cluster) error {
	m := c.Module("unip-bench-chain")
	defer func() { _ = m.Delete(context.WithoutCancel(ctx)) }()
	if err := applyChain(ctx, m); err != nil {
		return err
	}
	var stages, hops, bare, starts []time.Duration
	for i := range 3 {
		s, h, begin, err := stageChain(ctx, m, i)
		if err != nil {
			return err
		}
		hops = append(hops, h...)
		b, err := bareChain(ctx, m, i)
		if err != nil {
			return err
		}
		stages, bare, starts = append(stages, s...), append(bare, b...), append(starts, begin)
	}
	told, began, err := uploads(ctx, m)
	if err != nil {
		return err
	}
	fmt.Printf(
		"\nupload to notification    %s (the S3 server's own delay)\nnotification to fetch     %s (inbox, event, start record, run, event, Job, pod)\npublish's end to fetch    %s (commit's news, event, Job, pod)\n", quantiles(told), quantiles(began), quantiles(hops))
	fmt.Printf(
		"run created to 1st process %s\nstage to next stage      %s (user's process to user's process: publish, commit, events, Job, fetch)\nbare Job to bare Job     %s (three containers that do nothing)\nratio of the medians     %.2f\n",
		quantiles(starts), quantiles(stages), quantiles(bare), median(stages).Seconds()/median(bare).Seconds())
	return nil
}

func applyChain(ctx context.Context, m *live.Module) error {
	var b strings.Builder
	fmt.Fprintf(&b,
		"apiVersion: unified-platform.cs.hse.ru/v1\nkind: DataBox\nmetadata: {name: data, namespace: %[1]s}\nspec: {s3DefaultStorage: {}}\n---\napiVersion: unified-platform.cs.hse.ru/v1\nkind: ExperimentPipeline\nmetadata: {name: noted, namespace: %[1]s, annotations: {knative.unified-platform.cs.hse.ru/on-upload: '[{\"box\":\"data\",\"prefix\":\"in/\",\"input\":\"f\"}]'}}\nspec:\n  vars: [{name: f}, {name: o}]\n  stages:\n    - {name: s, image: {existingImageName: \"%[2]s\"}, command: [\"true\"], inputs: [{name: f}], outputs: [{name: o}]}\n---\napiVersion: unified-platform.cs.hse.ru/v1\nkind: ExperimentPipeline\nmetadata: {name: chain, namespace: %[1]s}\nspec:\n  vars: [", m.Namespace, chainImage)
	for i := range links {
		fmt.Fprintf(&b, "{name: t%d}, ", i)
	}
	b.WriteString("]\n  stages:\n")
	for i := range links {
		in := ""
		if i > 0 {
			in = fmt.Sprintf("{name: t%d}", i-1)
		}
		fmt.Fprintf(&b,
			"    - {name: s%[1]d, image: {existingImageName: \"%[2]s\"}, command: [sh, -c, 'date +%%s.%%N | tee $UNIP_PIPELINE_T%[1]d/t'], inputs: [%[3]s], outputs: [{name: t%[1]d}]}\n", i, chainImage, in)
	}
	if err := m.ApplyText(ctx, b.String()); err != nil {
		return err
	}
	return m.AwaitReady(ctx, 2*time.Minute)
}

// uploads uploads files that each start a run of one stage: how long until the controller hears of
// each, by its log, and from then until the stage's fetch begins.
func uploads(ctx context.Context, m *live.Module) (told, began []time.Duration, err error) {
	for i := range 10 {
		// Not in step with the S3 server's own rounds.
		time.Sleep(time.Duration(i) * 310 * time.Millisecond)
		at := time.Now()
		key := databox.UserPrefix("ann") + fmt.Sprintf("in/%d", i)
		if err := m.Put(ctx, "data", key, []byte("1")); err != nil {
			return nil, nil, err
		}
		var run string
		err := live.Await(ctx, time.Minute, "the upload's run", func(ctx context.Context) error {
			all, err := m.Runs(ctx)
			for _, r := range all {
				if strings.HasSuffix(r.Spec.Inputs["f"].Path, fmt.Sprintf("in/%d", i)) {
					run = r.Name
				}
			}
			if run == "" {
				return errors.Join(err, errors.New("it is not there"))
			}
			return nil
		})
		if err != nil {
			return nil, nil, err
		}
		done, err := m.AwaitRun(ctx, run, time.Minute, nil)
		if err != nil {
			return nil, nil, err
		}
		heard, err := notified(ctx, m, at)
		if err != nil {
			return nil, nil, err
		}
		fetch, _, err := own(ctx, m, done.Status.Stages[0].Job, stage.FetchContainer)
		if err != nil {
			return nil, nil, err
		}
		told, began = append(told, heard.Sub(at)), append(began, fetch.Sub(heard))
	}
	return told, began, nil
}

// notified is when the controller first heard of an upload after at.
func notified(ctx context.Context, m *live.Module, at time.Time) (time.Time, error) {
	out, err := m.Kubectl(ctx, "-n", names.SystemNamespace, "logs", "deploy/unip-controller", "--since-time",
		at.Format(time.RFC3339))
	if err != nil {
		return time.Time{}, err
	}
	for line := range strings.Lines(out) {
		var l struct {
			Time time.Time
			Msg  string
		}
		if json.Unmarshal([]byte(line), &l) == nil && l.Msg == "a notification of S3 has come" && l.Time.After(at) {
			return l.Time, nil
		}
	}
	return time.Time{}, errors.New("the controller's log knows of no notification")
}

// own is when one of our containers of a Job began its work and when it ended, as it logs itself.
func own(ctx context.Context, m *live.Module, job, container string) (begin, end time.Time, err error) {
	out, err := m.Kubectl(ctx, "-n", m.Namespace, "logs", "job/"+job, "-c", container)
	if err != nil {
		return begin, end, err
	}
	lines := strings.Split(strings.TrimSpace(out), "\n")
	var l struct {
		Time time.Time
		MS   int64
	}
	err = json.Unmarshal([]byte(lines[len(lines)-1]), &l)
	return l.Time.Add(-time.Duration(l.MS) * time.Millisecond), l.Time, err
}

// stageChain runs the pipeline once; each stage logs when it ran. Hops are from the end of a
// publish to the begin of the next fetch.
func stageChain(ctx context.Context, m *live.Module, n int) (steps, hops []time.Duration, first time.Duration,
	err error) {
	run := &runtimev1.PipelineRun{ObjectMeta: metav1.ObjectMeta{Namespace: m.Namespace,
		Name: fmt.Sprintf("chain-%d", n)}, Spec: runtimev1.PipelineRunSpec{Pipeline: "chain"}}
	created := time.Now()
	if err := m.Create(ctx, run); err != nil {
		return nil, nil, 0, err
	}
	done, err := m.AwaitRun(ctx, run.Name, 3*time.Minute, nil)
	if err != nil {
		return nil, nil, 0, err
	}
	if done.Status.State != runtimev1.Succeeded {
		return nil, nil, 0, fmt.Errorf("the chain is %s: %s", done.Status.State, done.Status.Message)
	}
	var times []time.Time
	var published time.Time
	for _, st := range done.Status.Stages {
		fetch, _, err := own(ctx, m, st.Job, stage.FetchContainer)
		if err != nil {
			return nil, nil, 0, err
		}
		if !published.IsZero() {
			hops = append(hops, fetch.Sub(published))
		}
		if _, published, err = own(ctx, m, st.Job, stage.PublishContainer); err != nil {
			return nil, nil, 0, err
		}
		t, err := logged(ctx, m, st.Job, stage.FunctionContainer)
		if err != nil {
			return nil, nil, 0, err
		}
		times = append(times, t)
	}
	return gaps(times), hops, times[0].Sub(created), nil
}

// logged is the time that a Job's container wrote.
func logged(ctx context.Context, m *live.Module, job, container string) (time.Time, error) {
	out, err := m.Kubectl(ctx, "-n", m.Namespace, "logs", "job/"+job, "-c", container)
	if err != nil {
		return time.Time{}, err
	}
	s, err := strconv.ParseFloat(strings.TrimSpace(out), 64)
	return time.UnixMicro(int64(s * 1e6)), err
}

func gaps(times []time.Time) []time.Duration {
	var all []time.Duration
	for i := 1; i < len(times); i++ {
		all = append(all, times[i].Sub(times[i-1]))
	}
	return all
}

// bareChain creates Jobs of three containers, each when the last container of the one before has
// ended.
func bareChain(ctx context.Context, m *live.Module, n int) ([]time.Duration, error) {
	pods, err := m.Watch(ctx, &corev1.PodList{}, client.InNamespace(m.Namespace), client.HasLabels{"bare"})
	if err != nil {
		return nil, err
	}
	defer pods.Stop()
	for i := range links {
		job := bareJob(m.Namespace, fmt.Sprintf("bare-%d-%d", n, i))
		if err := m.Create(ctx, job); err != nil {
			return nil, err
		}
		if err := ended(ctx, pods, job.Name); err != nil {
			return nil, err
		}
	}
	var times []time.Time
	for i := range links {
		t, err := logged(ctx, m, fmt.Sprintf("bare-%d-%d", n, i), stage.FunctionContainer)
		if err != nil {
			return nil, err
		}
		times = append(times, t)
	}
	return gaps(times), nil
}

func ended(ctx context.Context, pods watch.Interface, job string) error {
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(2 * time.Minute):
			return fmt.Errorf("%s does not end", job)
		case e, ok := <-pods.ResultChan():
			if !ok {
				return errors.New("the watch ended")
			}
			p, is := e.Object.(*corev1.Pod)
			if !is || p.Labels["bare"] != job {
				continue
			}
			for _, c := range p.Status.ContainerStatuses {
				if c.State.Terminated != nil {
					return nil
				}
			}
		}
	}
}

func bareJob(namespace, name string) *batchv1.Job {
	container := func(name string, command ...string) corev1.Container {
		return corev1.Container{Name: name, Image: chainImage, Command: command}
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace},
		Spec: batchv1.JobSpec{BackoffLimit: new(int32(0)), Template: corev1.PodTemplateSpec{
			ObjectMeta: metav1.ObjectMeta{Labels: map[string]string{"bare": name}},
			Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: new(false),
				InitContainers: []corev1.Container{container("fetch", "true"),
					container(stage.FunctionContainer, "date", "+%s.%N")},
				Containers: []corev1.Container{container("publish", "true")},
			},
		}},
	}
}
