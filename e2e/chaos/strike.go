package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	policyv1 "k8s.io/api/policy/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/chaos/between"
	"github.com/unip-knative/unip/e2e/chaos/judge"
	"github.com/unip-knative/unip/e2e/chaos/plan"
	"github.com/unip-knative/unip/e2e/chaos/work"
	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/stage"
)

// striker makes the faults, one after the other.
type striker struct {
	world  *world
	ledger *ledger
	seen   *seen
	loads  *sync.WaitGroup // what faults ask for
	only   string

	jetstream bool

	windows []judge.Window
	missed  []string // faults that could not be made, and why
	forged  int
}

// gap is how long it is quiet between two faults.
const gap = 4 * time.Second

// comes is how long an aimed fault waits for its moment.
const comes = 90 * time.Second

// victim is what a fault is about: the pod of a stage; nil is any.
type victim struct{ run, stage string }

func (s *striker) all(ctx context.Context, faults []plan.Fault, begun time.Time) {
	for i, f := range faults {
		if !strings.Contains(f.Kind(), s.only) {
			s.loads.Go(func() { s.ledger.all(ctx, f.Loads) })
			continue
		}
		if !sleep(ctx, time.Until(begun.Add(f.At))) {
			return
		}
		window := judge.Window{Kind: f.Kind()}
		what, err := s.fault(ctx, f, &window.From)
		window.To = time.Now()
		if err != nil {
			if ctx.Err() != nil {
				return
			}
			s.world.say("fault %d/%d MISSED: %s: %v", i+1, len(faults), f, err)
			s.missed = append(s.missed, fmt.Sprintf("%s: %v", f, err))
			continue
		}
		s.world.say("fault %d/%d over after %.1f s: %s %s", i+1, len(faults), window.To.Sub(window.From).Seconds(), f,
			what)
		s.windows = append(s.windows, window)
		if !sleep(ctx, gap) { // also where those before took longer than they were meant to
			return
		}
	}
}

// fault waits for its moment and strikes. Since is when that was.
func (s *striker) fault(ctx context.Context, f plan.Fault, since *time.Time) (what string, err error) {
	strike := func(v *victim) (string, error) {
		*since = time.Now()
		s.world.say("%s", f)
		return s.strike(ctx, f.Strike, v)
	}
	bring := func() { s.loads.Go(func() { s.ledger.all(ctx, f.Loads) }) }
	switch f.Aim {
	case "":
		bring()
		return strike(nil)
	case plan.Returned: // the strike is what makes the moment
		what, err = strike(nil)
		if err == nil {
			err = s.s3Answers(ctx)
		}
		bring()
		return what, err
	case plan.Waiting:
		bring()
		err := live.Await(ctx, comes, "runs to wait", func(context.Context) error {
			if waiting, running := s.seen.waiting(work.Turns); waiting < 2 || running < work.Limit {
				return fmt.Errorf("%d wait, %d run", waiting, running)
			}
			return nil
		})
		if err != nil {
			return "", err
		}
		return strike(nil)
	}
	m, about := s.moment(f)
	defer m.Go()
	bring()
	select {
	case r := <-m.Came():
		return strike(about(r))
	case <-ctx.Done():
		return "", ctx.Err()
	case <-time.After(comes):
		return "", errors.New("its moment did not come")
	}
}

// moment is what an aim looks like to what stands between, and what the strike is about then.
func (s *striker) moment(f plan.Fault) (m *between.Moment, about func(*http.Request) *victim) {
	w := s.world
	nothing := func(*http.Request) *victim { return nil }
	of := func(path string) bool {
		for _, l := range f.Loads {
			if strings.Contains(path, strings.TrimSuffix(l.Name, ".csv")) {
				return true
			}
		}
		return false
	}
	put := func(prefix string) func(*http.Request, int) bool {
		return func(r *http.Request, status int) bool {
			return r.Method == http.MethodPut && status == http.StatusOK && strings.HasPrefix(r.URL.Path, prefix)
		}
	}
	switch f.Aim {
	case plan.Accepted:
		taken := put("/" + w.box + "/" + databox.UserPrefix(work.User))
		return w.s3.Await(func(r *http.Request, status int) bool { return taken(r, status) && of(r.URL.Path) }), nothing
	case plan.Brokered:
		return w.broker.Await(func(r *http.Request, status int) bool {
			return status == http.StatusAccepted && r.URL.Path == "/"+judged+"/"+names.Broker &&
				r.Header.Get("Ce-Type") == events.ObjectCreated && of(r.Header.Get("Ce-Subject"))
		}), nothing
	case plan.Noted:
		return w.s3.Await(put("/" + databox.UsualBuckets.System() + "/spool/")), nothing
	case plan.Created:
		return w.api.Await(func(r *http.Request, status int) bool {
			return r.Method == http.MethodPost && status == http.StatusCreated &&
				strings.HasSuffix(r.URL.Path, "/namespaces/"+judged+"/pipelineruns")
		}), nothing
	case plan.Recorded:
		return w.s3.Await(put("/" + w.runs + "/starts/")), nothing
	case plan.Committed:
		written := put("/" + w.runs + "/runs/")
		return w.s3.Await(func(r *http.Request, status int) bool {
				// By a session, which is publish: the controller writes there that a stage has ended without.
				return written(r, status) && strings.HasSuffix(r.URL.Path, "/commit") &&
					r.Header.Get("X-Amz-Security-Token") != ""
			}), func(r *http.Request) *victim {
				p := strings.Split(strings.TrimPrefix(r.URL.Path, "/"+w.runs+"/runs/"), "/")
				return &victim{run: p[0], stage: strings.Join(p[1:len(p)-1], "/")}
			}
	default: // plan.Copied
		copied := put("/" + w.box + "/")
		n := 0
		return w.s3.Await(func(r *http.Request, status int) bool {
				if _, ok := originOf(r); ok && copied(r, status) && of(r.URL.Path) {
					n++
				}
				return n == 3
			}), func(r *http.Request) *victim {
				o, _ := originOf(r)
				return &victim{run: o.Run, stage: o.Stage}
			}
	}
}

// originOf is where a request to S3 says that what it writes is a copy from.
func originOf(r *http.Request) (stage.Origin, bool) {
	metadata := map[string]string{}
	for name := range r.Header {
		metadata[name] = r.Header.Get(name)
	}
	return stage.OriginOf(metadata)
}

// strike does it, and returns when it is over.
func (s *striker) strike(ctx context.Context, x plan.Strike, v *victim) (string, error) {
	w := s.world
	switch x.Do {
	case plan.Answer:
		return "", s.answer(ctx, x)
	case plan.Events:
		return "", s.events(ctx, x)
	case plan.Module:
		return "", s.module(ctx, x)
	case plan.Rollout:
		return "", w.restart(ctx)
	}
	signal := "KILL"
	if x.Do == plan.Freeze {
		signal = "STOP"
	}
	switch x.Who {
	case plan.Kubelet, plan.API, plan.Etcd, plan.S3, plan.NATS:
		return "", w.signal(ctx, signal, x.For, x.Who)
	}
	var errs []error
	ended := map[types.UID]bool{}
	for range 5 {
		pod, err := s.pod(ctx, x, v, ended)
		if err != nil {
			return "", errors.Join(append(errs, err)...)
		}
		what, err := s.strikePod(ctx, x, signal, pod)
		if err == nil || v != nil || ctx.Err() != nil {
			return what, err
		}
		// It ended before it was struck, and its status does not know that for a while. What is not of a
		// run begins anew as the same pod.
		errs = append(errs, err)
		ended[pod.UID] = pod.Labels[runtimev1.RunLabel] != ""
		sleep(ctx, 300*time.Millisecond)
	}
	return "", errors.Join(errs...)
}

func (s *striker) strikePod(ctx context.Context, x plan.Strike, signal string, pod *corev1.Pod) (string, error) {
	w := s.world
	switch {
	case x.Do == plan.Delete:
		return pod.Name, w.Delete(ctx, pod, client.GracePeriodSeconds(1))
	case x.Do == plan.Evict:
		return pod.Name, w.evictions.Evictions(pod.Namespace).Evict(ctx,
			&policyv1.Eviction{ObjectMeta: metav1.ObjectMeta{Name: pod.Name, Namespace: pod.Namespace}})
	case x.Who == plan.Shim:
		return pod.Name, w.signal(ctx, signal, x.For, "shim/"+string(pod.UID))
	}
	return pod.Name + ", container " + runs(pod), w.signal(ctx, signal, x.For, "pod/"+string(pod.UID))
}

// pod is one that the word means and that runs, none of those that have ended. The user's container is
// only killed, by itself or by its shim, where that may be: it looks like a failure of its own. What a
// pod says of itself is of a moment ago, so that elsewhere only publish is killed, which is sure to run
// after it.
func (s *striker) pod(ctx context.Context, x plan.Strike, v *victim, ended map[types.UID]bool) (*corev1.Pod, error) {
	who, namespace, labels := x.Who, "knative-eventing", client.MatchingLabels{}
	var selector client.ListOption = labels
	switch who {
	case plan.Ingress, plan.Filter:
		labels["eventing.knative.dev/brokerRole"] = who
	case plan.Dispatcher:
		labels["messaging.knative.dev/role"] = who
		if s.jetstream { // the in-memory channel's is there as well
			labels["messaging.knative.dev/channel"] = "nats-jetstream-channel"
		}
	case plan.Controller:
		namespace = names.SystemNamespace
		labels[label.Name] = names.Controller
	case plan.Gateway:
		namespace = judged
		labels["serving.knative.dev/service"] = names.Gateway
	default:
		namespace = judged
		selector = client.HasLabels{runtimev1.RunLabel}
		if v != nil {
			labels[runtimev1.RunLabel] = v.run
			labels[runtimev1.StageLabel] = strings.ReplaceAll(v.stage, "/", ".")
			selector = labels
		}
	}
	var found *corev1.Pod
	err := live.Await(ctx, 45*time.Second, "a running pod of "+who, func(ctx context.Context) error {
		pods, err := s.world.podsOf(ctx, namespace, selector)
		pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return ended[p.UID] })
		switch {
		case x.Do == plan.Kill && (who == plan.Stage || who == plan.Shim) && v == nil:
			pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool {
				return runs(&p) != stage.PublishContainer && !work.MayFail(p.Labels[runtimev1.PipelineLabel])
			})
		case who == plan.Controller && len(pods) > 1:
			leader := s.world.leader(ctx)
			pods = slices.DeleteFunc(pods, func(p corev1.Pod) bool { return p.Name != leader })
		}
		if err != nil || len(pods) == 0 {
			return errors.Join(err, errors.New("there is none"))
		}
		found = &pods[0]
		return nil
	})
	return found, err
}

// runs is a container of the pod that runs, "" for none.
func runs(p *corev1.Pod) string {
	for _, c := range slices.Concat(p.Status.InitContainerStatuses, p.Status.ContainerStatuses) {
		if c.State.Running != nil {
			return c.Name
		}
	}
	return ""
}

// answer lets what stands in the way answer so for a time.
func (s *striker) answer(ctx context.Context, x plan.Strike) error {
	way, mode := s.world.s3, between.Unavailable
	switch x.Who {
	case plan.S3Stalls:
		mode = between.Stall
	case plan.S3Breaks:
		mode = between.BreakOff
	case plan.API429:
		way, mode = s.world.api, between.TooMany
	case plan.API500:
		way, mode = s.world.api, between.Failing
	}
	defer way.Set(between.Pass)
	way.Set(mode)
	sleep(ctx, x.For)
	return ctx.Err()
}

// events meddles with what is posted to the Brokers.
func (s *striker) events(ctx context.Context, x plan.Strike) error {
	way := s.world.broker
	defer way.Set(between.Pass)
	switch x.Who {
	case plan.Dropped:
		way.Set(between.Drop)
	case plan.Delayed:
		way.Set(between.Delay)
	case plan.EventsDoubled:
		way.Set(between.Double)
	case plan.Forged:
		return s.forge(ctx)
	}
	sleep(ctx, x.For)
	return ctx.Err()
}

// forge posts to the module's Broker what anybody in the cluster could: about files and runs that
// are not there, about others', and about stages that go on.
func (s *striker) forge(ctx context.Context) error {
	var runs runtimev1.PipelineRunList
	if err := s.world.List(ctx, &runs, client.InNamespace(judged)); err != nil {
		return err
	}
	type forged struct {
		kind, subject string
		more          map[string]string
	}
	all := []forged{
		{events.ObjectCreated, "incoming/nobody-put-it.csv", map[string]string{"box": work.Box, "user": work.User}},
		{events.ObjectCreated, "incoming/../../x.csv", map[string]string{"box": work.Box, "user": "../" + work.User}},
		{events.ObjectCreated, "handed/nobody.part", map[string]string{"box": work.Box, "user": "boris"}},
		{events.RunRequested, "unknown", map[string]string{"pipeline": work.Diamond, "run": "unknown"}},
	}
	uploads, _ := s.ledger.entries()
	for _, u := range uploads { // told again, though it was told already
		if u.Want.Pipeline != "" {
			all = append(all, forged{events.ObjectCreated, strings.TrimPrefix(u.File, work.Box+"/"),
				map[string]string{"box": work.Box, "user": work.User}})
		}
	}
	for _, r := range runs.Items {
		for _, st := range r.Status.Stages {
			of := map[string]string{"pipeline": r.Spec.Pipeline, "run": r.Name, "stage": st.Name}
			all = append(all, forged{events.StageSucceeded, r.Name, of}, forged{events.StageFailed, r.Name, of})
		}
	}
	var errs []error
	for _, f := range all[:min(len(all), 60)] {
		s.forged++
		errs = append(errs, s.world.post(ctx, f.kind, f.subject, fmt.Sprintf("forged-%d", s.forged), f.more))
	}
	return errors.Join(errs...)
}

// post posts an event to the module's Broker.
func (w *world) post(ctx context.Context, kind, subject, id string, more map[string]string) error {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, w.brokerURL+"/"+judged+"/"+names.Broker, nil)
	if err != nil {
		return err
	}
	for k, v := range map[string]string{"Specversion": "1.0", "Id": id, "Source": "/forged", "Type": kind,
		"Subject": subject} {
		req.Header.Set("Ce-"+k, v)
	}
	for k, v := range more {
		req.Header.Set("Ce-"+k, v)
	}
	resp, err := w.http.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != 2 {
		return fmt.Errorf("the Broker answered %s", resp.Status)
	}
	return nil
}

// module applies the module anew, or removes the other one in the middle of its runs.
func (s *striker) module(ctx context.Context, x plan.Strike) error {
	w := s.world
	if x.Who == plan.AppliedAnew {
		return w.apply(ctx, w.module, "anew")
	}
	for i := range 2 {
		name := fmt.Sprintf("last-%d.csv", i)
		key := databox.UserPrefix(work.User) + work.Folder(work.Diamond) + name
		if err := w.other.Put(ctx, work.Box, key, work.Content(s.ledger.seed, name, 50)); err != nil {
			return err
		}
	}
	err := live.Await(ctx, comes, "a run of the module to be removed", func(ctx context.Context) error {
		pods, err := w.podsOf(ctx, removed, client.HasLabels{runtimev1.RunLabel})
		if err != nil || len(pods) == 0 {
			return errors.Join(err, errors.New("no pod runs"))
		}
		return nil
	})
	_, session, bucket := w.other.Bucket(ctx, work.Box)
	if err = errors.Join(err, bucket); err != nil {
		return err
	}
	w.removedOnes = []string{session.Bucket, databox.UsualBuckets.Runs(removed)}
	w.removing = make(chan error, 1)
	go func() { w.removing <- w.other.Delete(ctx) }()
	return nil
}

// s3Answers waits until S3 answers again.
func (s *striker) s3Answers(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.world.s3URL, nil)
		if err != nil {
			return err
		}
		if resp, err := s.world.http.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode < http.StatusInternalServerError { // it says no to strangers
				return nil
			}
		}
		if !sleep(ctx, 20*time.Millisecond) {
			return errors.New("S3 does not come back")
		}
	}
}
