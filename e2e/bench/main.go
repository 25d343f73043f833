// Command bench measures, in one run on the cluster of the environment: predict from zero (gateway and component asleep, and the component alone) beside a trivial Go service that
// wakes from zero in turn with it; predict warm through the gateway; the controller's memory; the step from stage to stage of a pipeline beside bare Jobs. `make bench` runs it after `make demo` has left its module and model.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/unip-knative/unip/e2e/live"
)

const trivial = `
apiVersion: v1
kind: Namespace
metadata: {name: unip-bench}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata: {name: gateway, namespace: unip-bench}
spec:
  template:
    spec:
      containers:
      - image: ko://github.com/unip-knative/unip/e2e/bench/hello
        resources: {requests: {cpu: 25m, memory: 32Mi}}
`

var (
	rounds = flag.Int("rounds", 10, "cold starts of each kind")
	calls  = flag.Int("calls", 500, "warm calls")

	onlyChains = flag.Bool("only-chains", false, "measure chains of stages only")
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context) error {
	cluster, err := live.Connect()
	if err != nil {
		return err
	}
	if err := chains(ctx, cluster); err != nil || *onlyChains {
		return err
	}
	digits, hello := cluster.Module("pu-ann-pa-digits"), cluster.Module("unip-bench")
	if _, err := digits.Host(ctx); err != nil {
		return fmt.Errorf("run `make demo` first: %w", err)
	}
	file := filepath.Join(os.TempDir(), "unip-bench.yaml")
	if err := os.WriteFile(file, []byte(trivial), 0o600); err != nil {
		return err
	}
	defer os.Remove(file)
	if _, err := cluster.Run(ctx, nil, os.Getenv("CLUSTER"), "exec", "--", "ko", "apply", "--sbom=none", "-f", file); err != nil {
		return err
	}
	defer func() { _ = hello.Delete(context.WithoutCancel(ctx)) }()
	if err := hello.AwaitReady(ctx, 2*time.Minute); err != nil {
		return err
	}
	callDigits := func() (*live.Answer, error) {
		return digits.Predict(ctx, "digits", "ann", "change-me", live.Variable{Name: "image", Datatype: "FP32", Data: blank()})
	}
	callHello := func() (*live.Answer, error) { return hello.Call(ctx, live.Request{Method: http.MethodGet, Path: "/"}) }

	var cold, coldHello []time.Duration
	for i := range *rounds {
		for _, m := range []*live.Module{digits, hello} {
			if err := m.AwaitGone(ctx, 3*time.Minute); err != nil {
				return err
			}
		}
		h, err := timed(callHello)
		if err != nil {
			return err
		}
		d, err := timed(callDigits)
		if err != nil {
			return err
		}
		cold, coldHello = append(cold, d), append(coldHello, h)
		fmt.Printf("round %d of %d: from zero: digits (gateway, then component) %.2f s, trivial Go service %.2f s\n", i+1, *rounds, d.Seconds(), h.Seconds())
	}
	var warm []time.Duration
	for range *calls {
		d, err := timed(callDigits)
		if err != nil {
			return err
		}
		warm = append(warm, d)
	}
	fmt.Printf("\npredict from zero        %s\ntrivial Go service       %s\nratio of the medians     %.2f (two cold starts in a row against one)\n",
		quantiles(cold), quantiles(coldHello), median(cold).Seconds()/median(coldHello).Seconds())
	fmt.Printf("predict warm             %s (one caller, through ingress, activator, gateway, component)\n", quantiles(warm))
	memory, err := controllerMemory(ctx, cluster)
	if err != nil {
		return err
	}
	fmt.Printf("controller memory        %.1f MiB (working set, by kubelet)\n", float64(memory)/(1<<20))
	return nil
}

// timed is one call that must succeed.
func timed(call func() (*live.Answer, error)) (time.Duration, error) {
	a, err := call()
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("%d %s", a.Status, a.Body)
	}
	if err != nil {
		return 0, err
	}
	return a.Took, nil
}

func median(d []time.Duration) time.Duration {
	d = slices.Sorted(slices.Values(d))
	return d[len(d)/2]
}

func quantiles(d []time.Duration) string {
	d = slices.Sorted(slices.Values(d))
	ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
	return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms, min %.1f, max %.1f, n %d", ms(median(d)), ms(d[len(d)*95/100]), ms(d[0]), ms(d[len(d)-1]), len(d))
}

func blank() json.RawMessage {
	return json.RawMessage("[" + strings.Repeat("0,", 63) + "0]")
}

// controllerMemory asks the kubelet, through the API server, what the controller's container holds.
func controllerMemory(ctx context.Context, c *live.Cluster) (uint64, error) {
	nodes, err := c.Kubectl(ctx, "get", "nodes", "-o", "jsonpath={.items[0].metadata.name}")
	if err != nil {
		return 0, err
	}
	out, err := c.Kubectl(ctx, "get", "--raw", "/api/v1/nodes/"+nodes+"/proxy/stats/summary")
	if err != nil {
		return 0, err
	}
	var summary struct {
		Pods []struct {
			PodRef     struct{ Name, Namespace string }
			Containers []struct {
				Memory struct{ WorkingSetBytes uint64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		return 0, err
	}
	for _, p := range summary.Pods {
		if p.PodRef.Namespace == "unip-system" && strings.HasPrefix(p.PodRef.Name, "unip-controller") && len(p.Containers) > 0 {
			return p.Containers[0].Memory.WorkingSetBytes, nil
		}
	}
	return 0, fmt.Errorf("no controller among %d pods", len(summary.Pods))
}
