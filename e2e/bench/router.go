package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"runtime"
	"slices"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/names"
	router1 "github.com/unip-knative/unip/eventing/router"
)

// router measures the one host: a warm predict through the router beside the same call without it,
// from where the router calls; and predict from zero with gateway and component asleep beside the
// same with the gateway awake.
func router(ctx context.Context, c *live.Cluster) error {
	at, err := c.AtOneHost(ctx)
	if err != nil {
		return err
	}
	digits := c.Module(demoModule)
	if _, err := digits.Host(ctx); err != nil {
		return fmt.Errorf("run `make demo-cluster` first: %w", err)
	}
	empty, end, err := c.Begin(ctx, "unip-bench-nothing", nothing)
	if err != nil {
		return err
	}
	defer func() {
		if err := end(); err != nil {
			fmt.Fprintln(os.Stderr, "left on the cluster:", err)
		}
	}()
	if err := routerWarm(ctx, c, empty); err != nil || *rounds == 0 {
		return err
	}
	return routerCold(ctx, at, empty, digits)
}

// service is a cluster as seen from a Service's address, which the local cluster routes to this
// machine.
func service(ctx context.Context, c *live.Cluster, namespace, name string) (*live.Cluster, error) {
	var s corev1.Service
	if err := c.Get(ctx, types.NamespacedName{Namespace: namespace, Name: name}, &s); err != nil {
		return nil, err
	}
	from := *c
	from.Ingress = "http://" + s.Spec.ClusterIP
	return &from, nil
}

// predictNothing calls the component whose function does nothing.
func predictNothing(ctx context.Context, from *live.Cluster, host string) (*live.Answer, error) {
	const ns = "unip-bench-nothing"
	return from.Module(ns).Call(ctx, live.Request{Method: http.MethodPost, Path: "/" + ns + "/nothing/predict",
		User: "ann", Password: "change-me", Host: host, Body: map[string]any{"inputs": []live.Variable{
			{Name: "text", Datatype: "str", Data: json.RawMessage(`"a"`)}}}})
}

// way is one to a module.
type way struct {
	name, host string
	from       *live.Cluster
	took       []time.Duration
}

// openRouter lets this machine call the router's pods, as an ingress may.
const openRouter = `
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: unip-bench, namespace: unip-system}
spec:
  podSelector: {matchLabels: {app.kubernetes.io/name: unip-router}}
  policyTypes: [Ingress]
  ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]
`

func routerWarm(ctx context.Context, c *live.Cluster, m *live.Module) error {
	if _, err := c.Run(ctx, []byte(openRouter), "kubectl", "apply", "-f", "-"); err != nil {
		return err
	}
	defer func() {
		_, err := c.Run(context.WithoutCancel(ctx), []byte(openRouter), "kubectl", "delete", "-f", "-")
		if err != nil {
			fmt.Fprintln(os.Stderr, "this policy lets everybody call the router:", err)
		}
	}()
	through, err := service(ctx, c, names.SystemNamespace, router1.Name)
	if err != nil {
		return err
	}
	inside, err := service(ctx, c, "knative-serving", "kingress-internal")
	if err != nil {
		return err
	}
	own, err := m.OwnHost(ctx)
	if err != nil {
		return err
	}
	ways := []way{
		{name: "without the router", host: "gateway." + m.Namespace + ".svc.cluster.local", from: inside},
		{name: "through the router", host: live.OneHostName, from: through},
		{name: "by the module's own host", host: own, from: c},
		{name: "by the one host", host: live.OneHostName, from: c},
	}
	for _, at := range proxies {
		from := *inside
		from.Ingress = at
		ways = append(ways, way{name: "by " + at, host: ways[0].host, from: &from})
	}
	for i := range *calls + 20 {
		for j := range ways {
			w := &ways[(i+j)%len(ways)]
			d, err := timed(func() (*live.Answer, error) { return predictNothing(ctx, w.from, w.host) })
			if err != nil {
				return fmt.Errorf("%s: %w", w.name, err)
			}
			if i >= 20 { // the first ones wake
				w.took = append(w.took, d)
			}
		}
	}
	fmt.Println("\npredict warm, in turn")
	for _, w := range ways {
		fmt.Printf("%-32s %s\n", w.name, quantiles(w.took))
	}
	fmt.Printf("%-32s %.2f ms\n", "the router itself, p50",
		float64((median(ways[1].took)-median(ways[0].took)).Microseconds())/1000)
	return nil
}

// routerCold wakes gateways by their own hosts, where they are to be awake.
func routerCold(ctx context.Context, at *live.Cluster, empty, digits *live.Module) error {
	all := []*live.Module{empty, digits}
	callEmpty := func() (*live.Answer, error) { return callNothing(ctx, at.Module(empty.Namespace)) }
	callDigits := func() (*live.Answer, error) { return callDigits(ctx, at.Module(digits.Namespace)) }
	pairs := [][2]*wake{
		{{name: "imports nothing", gateway: empty, call: callEmpty, pods: empty},
			{name: "imports nothing, both asleep", call: callEmpty, pods: empty}},
		{{name: "examples/digits", gateway: digits, call: callDigits, pods: digits},
			{name: "examples/digits, both asleep", call: callDigits, pods: digits}},
	}
	for i := range *rounds {
		for half := range 2 {
			now := []*wake{pairs[0][(i+half)%2], pairs[1][(i+half)%2]}
			if err := wakeAll(ctx, all, now); err != nil {
				return err
			}
		}
	}
	fmt.Println("\nfrom zero, by the one host")
	for _, p := range pairs {
		for _, k := range p {
			slices.Sort(k.busy)
			fmt.Printf("%-32s %s; %.2f of %d processors busy\n", k.name, quantiles(k.took), k.busy[len(k.busy)/2],
				runtime.NumCPU())
			k.steps.print()
		}
		fmt.Printf("%-32s %.2f\n", "both asleep, of that", median(p[1].took).Seconds()/median(p[0].took).Seconds())
	}
	return nil
}
