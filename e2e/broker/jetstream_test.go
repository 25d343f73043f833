//go:build e2e

package broker_test

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/brokers"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/names"
)

const (
	namespace = "pu-e2e-pa-broker"
	// files are put, one a second, while the Broker's parts go.
	files = 24
)

// Each file starts a run of two stages, so that there is an event between them. Whoever listens is a
// Trigger of the module's author: nothing makes good what it misses.
const manifests = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: data, namespace: NAMESPACE}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata:
  name: work
  namespace: NAMESPACE
  annotations:
    knative.unified-platform.cs.hse.ru/on-upload: '[{"box":"data","prefix":"in/","input":"table"}]'
spec:
  vars: [{name: table}, {name: middle}, {name: result}]
  stages:
    - name: first
      image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}
      command: [sh, -ec, 'sleep 1; cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_MIDDLE/f"']
      inputs: [{name: table}]
      outputs: [{name: middle}]
    - name: second
      image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}
      command: [sh, -ec, 'cp "$UNIP_PIPELINE_MIDDLE/f" "$UNIP_PIPELINE_RESULT/f"']
      inputs: [{name: middle}]
      outputs: [{name: result}]
`

// listener prints the names of the files that its Trigger is told of.
const listener = `apiVersion: v1
kind: Pod
metadata: {name: listener, namespace: NAMESPACE, labels: {app: listener}}
spec:
  containers:
    - name: listener
      image: registry.localhost:5000/e2e/echo:v1
      command: [python3, -uc]
      args:
        - |
          import http.server
          class H(http.server.BaseHTTPRequestHandler):
              def do_POST(self):
                  self.rfile.read(int(self.headers.get("Content-Length", 0)))
                  self.send_response(202)
                  self.end_headers()
                  print("heard " + self.headers["Ce-Subject"] + "\n", end="") # in one piece
              def log_message(self, *args): pass
          http.server.ThreadingHTTPServer(("", 8080), H).serve_forever()
      readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: listener, namespace: NAMESPACE}
spec: {selector: {app: listener}, ports: [{port: 80, targetPort: 8080}]}
---
apiVersion: eventing.knative.dev/v1
kind: Trigger
metadata: {name: listener, namespace: NAMESPACE}
spec:
  broker: default
  filters: [{exact: {type: OBJECT_CREATED}}]
  subscriber: {ref: {apiVersion: v1, kind: Service, name: listener}}
  delivery: {retry: 10, backoffPolicy: exponential, backoffDelay: PT0.2S, timeout: PT10S}
`

type world struct {
	*live.Module
	t *testing.T
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Runs go on, and once each, whatever becomes of the Broker's parts, and a Trigger of the module's
// author hears of every file.
func TestRunsOutliveTheirBroker(t *testing.T) {
	if os.Getenv("UNIP_CLUSTER_BROKER") != "jetstream" {
		t.Fatal("it needs a cluster with NATS: make e2e-broker")
	}
	cluster, err := live.Connect()
	must(t, err)
	m, end, err := cluster.Begin(t.Context(), namespace, manifests)
	must(t, err)
	w := world{m, t}
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(m.Diagnose(context.WithoutCancel(t.Context())))
		}
		if err := end(); err != nil {
			t.Error(err)
		}
	})
	w.channelIs(brokers.NATSJetStreamChannel)
	objects := strings.NewReplacer("NAMESPACE", namespace, "OBJECT_CREATED", events.ObjectCreated).Replace(listener)
	_, err = m.Run(t.Context(), []byte(objects), "kubectl", "apply", "-f", "-")
	must(t, err)
	_, err = m.Kubectl(t.Context(), "-n", namespace, "wait", "--for=condition=Ready", "--timeout=150s", "pod/listener",
		"trigger/listener")
	must(t, err)
	t.Run("a stored event waits for its subscriber", w.aStoredEventWaits)
	t.Run("an event that is later than its start", w.anEventIsLate)
	t.Run("kills", w.kills)
}

// channelIs looks at what the module's Broker is made of.
func (w world) channelIs(want string) {
	b := &unstructured.Unstructured{}
	b.SetGroupVersionKind(schema.GroupVersionKind{Group: "eventing.knative.dev", Version: "v1", Kind: "Broker"})
	must(w.t, w.Get(w.t.Context(), client.ObjectKey{Namespace: namespace, Name: names.Broker}, b))
	got, _, _ := unstructured.NestedString(b.Object, "status", "annotations", brokers.ChannelAnnotation)
	if got != want {
		w.t.Fatalf("the Broker's channel is %q, want %q", got, want)
	}
}

// The filter stands still for longer than an event that was delivered would be waited for, and for
// less than the grace period. The event lies in NATS meanwhile, and the run begins by it.
func (w world) aStoredEventWaits(t *testing.T) {
	w.t = t
	pod := w.pod("eventing.knative.dev/brokerRole", "filter")
	stopped := time.Now()
	done := w.signal("STOP", "pod/"+string(pod.UID), 14*time.Second)
	must(t, w.put("in/waits.csv"))
	must(t, <-done)
	run := w.ended("in/waits.csv", 1)[0]
	if run.CreationTimestamp.Time.Sub(stopped) < 10*time.Second {
		t.Errorf("the run was made %s after the filter had stopped: it did not wait for its event",
			run.CreationTimestamp.Time.Sub(stopped))
	}
	if why, lost := run.Annotations[runtimev1.EventLostAnnotation]; lost {
		t.Errorf("the run was started without its event: %s", why)
	}
}

// The filter stands still for longer than the grace period: the controller starts the run itself.
// The event comes all the same, and starts nothing.
func (w world) anEventIsLate(t *testing.T) {
	w.t = t
	pod := w.pod("eventing.knative.dev/brokerRole", "filter")
	done := w.signal("STOP", "pod/"+string(pod.UID), 45*time.Second)
	must(t, w.put("in/late.csv"))
	must(t, <-done)
	run := w.ended("in/late.csv", 1)[0]
	if _, lost := run.Annotations[runtimev1.EventLostAnnotation]; !lost {
		t.Error("the run does not say that it was started without its event")
	}
	w.hears([]string{"in/late.csv"})
	w.ended("in/late.csv", 1)
}

// Dispatcher and NATS are killed, and kept away, while files come and stages end.
func (w world) kills(t *testing.T) {
	w.t = t
	var want []string
	for i := range files {
		want = append(want, fmt.Sprintf("in/kills/%02d.csv", i))
	}
	puts := make(chan error, 1)
	go func() {
		var errs []error
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for _, f := range want {
			errs = append(errs, w.put(f))
			<-tick.C
		}
		puts <- errors.Join(errs...)
	}()
	pause := time.NewTicker(4 * time.Second)
	defer pause.Stop()
	for _, s := range []struct {
		who  string
		away time.Duration
	}{{"dispatcher", 0}, {"nats", 0}, {"nats", 6 * time.Second}, {"dispatcher", 0}, {"nats", 0}} {
		<-pause.C
		who := s.who
		if who == "dispatcher" {
			who = "pod/" + string(w.pod("messaging.knative.dev/channel", "nats-jetstream-channel",
				"messaging.knative.dev/role", "dispatcher").UID)
		}
		must(t, <-w.signal("KILL", who, s.away))
		t.Logf("%s was killed, and kept away for %s", s.who, s.away)
	}
	must(t, <-puts)
	runs := w.ended("in/kills/", files)
	lost := 0
	for i := range runs {
		r := &runs[i]
		if r.Status.State != runtimev1.Succeeded {
			t.Errorf("run %s is %s: %s", r.Name, r.Status.State, r.Status.Message)
		}
		for _, st := range r.Status.Stages {
			if st.Attempt != 1 {
				t.Errorf("run %s: stage %s has been started %d times", r.Name, st.Name, st.Attempt)
			}
		}
		if _, ok := r.Annotations[runtimev1.EventLostAnnotation]; ok {
			lost++
		}
	}
	t.Logf("%d runs, of which %d began without their event", len(runs), lost)
	w.hears(want)
}

func (w world) put(file string) error {
	return w.Put(w.t.Context(), "data", "users/ann/file_groups/"+file, []byte(file))
}

// ended waits until so many runs of files below a path have come and ended. More are too many.
func (w world) ended(path string, n int) (all []runtimev1.PipelineRun) {
	w.t.Helper()
	what := fmt.Sprintf("%d runs of %s to end", n, path)
	must(w.t, live.Await(w.t.Context(), 6*time.Minute, what, func(ctx context.Context) error {
		runs, err := w.Runs(ctx)
		if err != nil {
			return err
		}
		all = nil
		done, of := 0, map[string]int{}
		for _, r := range runs {
			file, _ := strings.CutPrefix(r.Spec.Inputs["table"].Path, "data/")
			if !strings.HasPrefix(file, path) {
				continue
			}
			all = append(all, r)
			if of[file]++; of[file] > 1 {
				return &live.FinalError{Err: fmt.Errorf("%s has %d runs", file, of[file])}
			}
			if r.Status.State.Done() {
				done++
			}
		}
		if done < n {
			return fmt.Errorf("%d have, of %d that are there", done, len(all))
		}
		return nil
	}))
	return all
}

// hears waits until the listener has heard of the files.
func (w world) hears(want []string) {
	w.t.Helper()
	const what = "the listener to hear of all files"
	err := live.Await(w.t.Context(), 4*time.Minute, what, func(ctx context.Context) error {
		log, err := w.Kubectl(ctx, "-n", namespace, "logs", "listener")
		if err != nil {
			return err
		}
		heard := map[string]int{}
		for line := range strings.Lines(log) {
			if f, ok := strings.CutPrefix(strings.TrimSpace(line), "heard "); ok {
				heard[f]++
			}
		}
		missing := slices.DeleteFunc(slices.Clone(want), func(f string) bool { return heard[f] > 0 })
		if len(missing) > 0 {
			return fmt.Errorf("it has not heard of %v", missing)
		}
		return nil
	})
	must(w.t, err)
}

// pod is one of Knative's with these labels that runs.
func (w world) pod(labels ...string) (found *corev1.Pod) {
	w.t.Helper()
	with := client.MatchingLabels{}
	for i := 0; i < len(labels); i += 2 {
		with[labels[i]] = labels[i+1]
	}
	what := fmt.Sprintf("a pod with %v", labels)
	err := live.Await(w.t.Context(), time.Minute, what, func(ctx context.Context) error {
		var pods corev1.PodList
		err := w.List(ctx, &pods, client.InNamespace("knative-eventing"), with)
		for i := range pods.Items {
			p := &pods.Items[i]
			ready := slices.ContainsFunc(p.Status.Conditions, func(c corev1.PodCondition) bool {
				return c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue
			})
			if ready && p.DeletionTimestamp == nil {
				found = p
				return nil
			}
		}
		return errors.Join(err, errors.New("there is none"))
	})
	must(w.t, err)
	return found
}

// signal signals processes of the cluster's machine, and says when that is over. What is stopped goes
// on then, and what is killed comes back.
func (w world) signal(sig, who string, hold time.Duration) <-chan error {
	done := make(chan error, 1)
	go func() {
		_, err := w.Run(context.WithoutCancel(w.t.Context()), nil, os.Getenv("CLUSTER"), "signal", sig, who, "--for",
			hold.String())
		done <- err
	}()
	return done
}
