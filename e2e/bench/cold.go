package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
)

const (
	demoModule = "pu-ann-pa-digits"

	// What a component is held against: a Go program that is nothing but an HTTP server. By its
	// label it is found as a module's gateway is. The second has another container, as a component
	// has, which does nothing.
	trivial = `
apiVersion: v1
kind: Namespace
metadata: {name: unip-bench}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: gateway, namespace: unip-bench, labels: {app.kubernetes.io/component: gateway}}
spec:
  template:
    spec:
      containers:
      - image: ko://github.com/unip-knative/unip/e2e/bench/hello
        resources: {requests: {cpu: 25m, memory: 32Mi}}
---
apiVersion: v1
kind: Namespace
metadata: {name: unip-bench-two}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: gateway, namespace: unip-bench-two, labels: {app.kubernetes.io/component: gateway}}
spec:
  template:
    spec:
      containers:
      - name: idle
        image: ko://github.com/unip-knative/unip/e2e/bench/hello
        args: [idle]
        resources: {requests: {cpu: 25m, memory: 32Mi}}
      - name: server
        image: ko://github.com/unip-knative/unip/e2e/bench/hello
        ports: [{containerPort: 8080}]
        resources: {requests: {cpu: 25m, memory: 32Mi}}
`
	// A component whose function imports nothing.
	nothing = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: nothing, namespace: unip-bench-nothing}
spec:
  image: {existingImageName: registry.localhost:5000/e2e/echo:v1}
  mlService: {inference: 'echo:echo'}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: nothing, namespace: unip-bench-nothing}
spec:
  published: true
  mlComponent: {name: nothing}
  restfulApi: {path: nothing, auth: {basic: {credentials: users}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: users, namespace: unip-bench-nothing}
stringData: {ann: change-me}
`
)

// cold measures what wakes from zero, one after the other, each while nothing else starts: the
// trivial Go service, alone and with an idle container beside it; a component that imports nothing,
// and the demo's, both behind a gateway that is awake. In every fourth round the two are called
// with their gateways asleep as well.
func cold(ctx context.Context, c *live.Cluster) error {
	hello, two, empty, digits := c.Module("unip-bench"), c.Module("unip-bench-two"), c.Module("unip-bench-nothing"),
		c.Module(demoModule)
	all := []*live.Module{hello, two, empty, digits}
	if _, err := digits.Host(ctx); err != nil {
		return fmt.Errorf("run `make demo-cluster` first: %w", err)
	}
	for _, m := range all[:3] {
		defer func() { _ = m.Delete(context.WithoutCancel(ctx)) }()
	}
	if err := applyCold(ctx, c, hello, two, empty); err != nil {
		return err
	}
	callEmpty := func() (*live.Answer, error) { return callNothing(ctx, empty) }
	callDigits := func() (*live.Answer, error) { return callDigits(ctx, digits) }
	kinds := []*wake{
		{name: "trivial Go service", call: func() (*live.Answer,
			error) {
			return hello.Call(ctx, live.Request{Method: http.MethodGet, Path: "/"})
		}},
		{name: "the same with two containers", call: func() (*live.Answer,
			error) {
			return two.Call(ctx, live.Request{Method: http.MethodGet, Path: "/"})
		}},
		{name: "imports nothing", gateway: empty, call: callEmpty},
		{name: "examples/digits", gateway: digits, call: callDigits},
	}
	asleep := []*wake{{name: "imports nothing, gateway asleep", call: callEmpty},
		{name: "examples/digits, gateway asleep", call: callDigits}}
	var imports, interpreter []time.Duration
	for i := range *rounds {
		if err := wakeAll(ctx, all, slices.Concat(kinds[i%len(kinds):], kinds[:i%len(kinds)])); err != nil {
			return err
		}
		if err := quiet(ctx); err != nil {
			return err
		}
		imported, started, err := importTimes(ctx, digits)
		if err != nil {
			return err
		}
		imports, interpreter = append(imports, imported), append(interpreter, started)
		fmt.Printf("round %d of %d:", i+1, *rounds)
		for _, k := range kinds {
			fmt.Printf(" %s %.2f s;", k.name, k.took[i].Seconds())
		}
		fmt.Printf(" its imports alone %.2f s\n", imported.Seconds())
		if i%4 == 0 {
			if err := wakeAll(ctx, all, asleep); err != nil {
				return err
			}
		}
	}
	fmt.Println("\nfrom zero")
	for _, k := range slices.Concat(kinds, asleep) {
		fmt.Printf("%-32s %s; %.2f of the trivial Go service\n", k.name, quantiles(k.took),
			median(k.took).Seconds()/median(kinds[0].took).Seconds())
	}
	fmt.Printf("%-32s %s\n%-32s %s\n", "python3 -c 'import …' of digits'", quantiles(imports), "python3 -c pass",
		quantiles(interpreter))
	fmt.Printf("digits is at %.2f of (1.25 x trivial + its imports) x 1.2\n",
		median(kinds[3].took).Seconds()/((median(kinds[0].took)*5/4+median(imports))*6/5).Seconds())
	return nil
}

// wakeAll waits until nothing runs and wakes one kind after the other.
func wakeAll(ctx context.Context, modules []*live.Module, kinds []*wake) error {
	for _, m := range modules {
		if err := m.AwaitAsleep(ctx, 3*time.Minute); err != nil {
			return err
		}
	}
	for _, k := range kinds {
		if err := k.measure(ctx); err != nil {
			return fmt.Errorf("%s: %w", k.name, err)
		}
	}
	return nil
}

// quiet waits until the machine has had nothing to do for a while: what a start leaves to be done
// is not the next one's.
func quiet(ctx context.Context) error {
	const every, enough = 250 * time.Millisecond, 3
	before, err := readIdle()
	if err != nil {
		return err
	}
	for calm := 0; calm < enough; {
		now, err := readIdle()
		if err != nil {
			return err
		}
		if total := now.total - before.total; total > 0 && (now.idle-before.idle)/total > 0.6 {
			calm++
		} else {
			calm = 0
		}
		before = now
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(every):
		}
	}
	return nil
}

type idle struct{ idle, total float64 }

// readIdle reads how long the processors have been idle, of all their time.
func readIdle() (idle, error) {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return idle{}, err
	}
	line, _, _ := strings.Cut(string(b), "\n")
	var all idle
	for i, f := range strings.Fields(line)[1:] {
		n, err := strconv.ParseFloat(f, 64)
		if err != nil {
			return idle{}, err
		}
		if i == 3 || i == 4 { // idle, iowait
			all.idle += n
		}
		all.total += n
	}
	return all, nil
}

// wake is one kind of cold start.
type wake struct {
	name    string
	gateway *live.Module // woken before, where it is not to be measured
	call    func() (*live.Answer, error)
	took    []time.Duration
	busy    []float64    // how many processors were, meanwhile
	pods    *live.Module // whose steps are written down, nil: nobody's
	steps   steps
}

func (w *wake) measure(ctx context.Context) error {
	if w.gateway != nil {
		if _, err := w.gateway.Call(ctx, live.Request{Method: http.MethodGet, Path: "/"}); err != nil {
			return err
		}
	}
	if err := quiet(ctx); err != nil {
		return err
	}
	if w.pods != nil {
		if w.steps == nil {
			w.steps = steps{}
		}
		end, err := w.steps.watch(ctx, w.pods)
		if err != nil {
			return err
		}
		defer end()
	}
	before, err := readIdle()
	if err != nil {
		return err
	}
	d, err := timed(w.call)
	if err != nil {
		return err
	}
	after, err := readIdle()
	if err != nil {
		return err
	}
	w.took = append(w.took, d)
	all := after.total - before.total
	w.busy = append(w.busy, (all-after.idle+before.idle)/all*float64(runtime.NumCPU()))
	return nil
}

func applyCold(ctx context.Context, c *live.Cluster, hello, two, empty *live.Module) error {
	dir, err := os.MkdirTemp("", "unip-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	for name, text := range map[string]string{"trivial.yaml": trivial, "nothing/module.yaml": nothing} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			return err
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return err
		}
	}
	if _, err := c.Run(ctx, nil, os.Getenv("CLUSTER"), "exec", "--", "ko", "apply", "--sbom=none", "-f",
		filepath.Join(dir, "trivial.yaml")); err != nil {
		return err
	}
	if err := empty.Apply(ctx, filepath.Join(dir, "nothing")); err != nil {
		return err
	}
	for _, m := range []*live.Module{hello, two, empty} {
		if err := m.AwaitReady(ctx, 2*time.Minute); err != nil {
			return err
		}
	}
	return nil
}

func callNothing(ctx context.Context, m *live.Module) (*live.Answer, error) {
	return m.Predict(ctx, "nothing", "ann", "change-me",
		live.Variable{Name: "text", Datatype: "str", Data: json.RawMessage(`"a"`)})
}

func callDigits(ctx context.Context, m *live.Module) (*live.Answer, error) {
	return m.Predict(ctx, "digits", "ann", "change-me", live.Variable{Name: "image", Datatype: "FP32",
		Data: json.RawMessage("[" + strings.Repeat("0,", 63) + "0]")})
}

// importTimes are what a Python process takes in the component's own container, from exec to exit:
// one that imports what the demo's model and function import, and one that does nothing.
func importTimes(ctx context.Context, m *live.Module) (imports, interpreter time.Duration, err error) {
	const script = `
import subprocess, time
def took(code):
    start = time.monotonic_ns()
    subprocess.run(["python3", "-c", code], check=True)
    return time.monotonic_ns() - start
print(took("import digits.serve, joblib, numpy, sklearn.svm"), took("pass"))`
	if _, err := callDigits(ctx, m); err != nil {
		return 0, 0, err
	}
	var pods corev1.PodList
	if err := m.List(ctx, &pods, client.InNamespace(m.Namespace),
		client.MatchingLabels{"serving.knative.dev/service": "digits"}); err != nil {
		return 0, 0, err
	}
	if len(pods.Items) == 0 {
		return 0, 0, fmt.Errorf("no pod of digits")
	}
	out, err := m.Kubectl(ctx, "-n", m.Namespace, "exec", pods.Items[0].Name, "-c", "function", "--", "python3", "-c",
		script)
	if err != nil {
		return 0, 0, err
	}
	var times []time.Duration
	for _, f := range strings.Fields(out) {
		n, err := strconv.ParseInt(f, 10, 64)
		if err != nil {
			return 0, 0, fmt.Errorf("reading %q: %w", out, err)
		}
		times = append(times, time.Duration(n))
	}
	if len(times) != 2 {
		return 0, 0, fmt.Errorf("reading %q: want two numbers", out)
	}
	return times[0], times[1], nil
}
