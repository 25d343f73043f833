//go:build e2e

package e2e

import (
	"encoding/json"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
)

// reach asks the component of a module to connect to addresses.
func reach(t *testing.T, m *live.Module, addresses ...string) map[string]string {
	t.Helper()
	var inputs []live.Variable
	for _, a := range addresses {
		inputs = append(inputs, text(a))
	}
	var reached map[string]string
	if err := predict(t, m, 200, inputs...).Output("reached", &reached); err != nil {
		t.Fatal(err)
	}
	return reached
}

// listen accepts connections on an address of this machine until the test ends.
func listen(t *testing.T, host string) string {
	t.Helper()
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			c.Close()
		}
	}()
	return l.Addr().String()
}

// podIP is the address of a component's pod.
func podIP(t *testing.T, m *live.Module) string {
	t.Helper()
	var pods corev1.PodList
	if err := cluster.List(t.Context(), &pods, client.InNamespace(m.Namespace),
		client.MatchingLabels{"serving.knative.dev/service": "model"}); err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		if p.Status.PodIP != "" && p.DeletionTimestamp == nil {
			return p.Status.PodIP
		}
	}
	t.Fatal("the component has no pod")
	return ""
}

// Past the ingress and Knative nobody reaches a component, neither a pod of another module nor the
// machine; and no user's container reaches a link-local address, while it reaches all others. On a
// cluster that does not enforce NetworkPolicies this test fails, as it should.
func TestNetworkPolicies(t *testing.T) {
	t.Parallel()
	always := echo("echo:reach")
	always.Always = true // an address that nobody has any more is not reached either
	a, b := apply(t, "pu-e2e-pa-net-a", always), cleared(t, "pu-e2e-pa-net-b")
	dir := write(t, b.Namespace, echo("echo:reach"))
	pipeline := "apiVersion: unified-platform.cs.hse.ru/v1\nkind: ExperimentPipeline\nmetadata: {name: nothing, namespace: " + b.Namespace + "}\nspec:\n  vars: [{name: out}]\n  stages:\n" + stage("write", "", "out", "true")
	if err := os.WriteFile(filepath.Join(dir, "pipeline.yaml"), []byte(pipeline), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := b.Apply(t.Context(), dir); err != nil {
		t.Fatal(err)
	}
	awaitReady(t, a)
	awaitReady(t, b)
	reach(t, a) // it has a pod now

	ip := podIP(t, a)
	server, queue := net.JoinHostPort(ip, "8002"), net.JoinHostPort(ip, "8012")
	service := "model." + a.Namespace + ".svc.cluster.local:80"
	s3, api := "s3.s3.svc.cluster.local:9000", "kubernetes.default.svc.cluster.local:443"
	// the controller's
	events, notifications := "unip-events.unip-system.svc.cluster.local:80",
		"s3-events.unip-system.svc.cluster.local:8080"
	wanted := map[string]bool{server: false, queue: false, service: true, s3: true, api: true, events: false,
		notifications: true}
	if outside := os.Getenv("UNIP_OUTSIDE"); outside != "" { // the local cluster's
		ordinary, linkLocal, _ := strings.Cut(outside, ",")
		wanted[listen(t, ordinary)], wanted[listen(t, linkLocal)] = true, false
	}
	check := func(who string, reached map[string]string) {
		t.Helper()
		for address, want := range wanted {
			if got := reached[address]; (got == "connected") != want {
				t.Errorf("%s to %s: %q, want connected: %v", who, address, got, want)
			}
		}
	}
	var addresses []string
	for address := range wanted {
		addresses = append(addresses, address)
	}
	// On a machine with much to do a connection may take longer than the function waits.
	var reached map[string]string
	err := live.Await(t.Context(), 15*time.Second, "what may be reached", func(ctx) error {
		reached = reach(t, b, addresses...)
		for address, want := range wanted {
			if want && reached[address] != "connected" {
				return fmt.Errorf("%s: %s", address, reached[address])
			}
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
	check("another module's component", reached)
	check("a stage", fromStage(t, b, wanted))
	if c, err := net.DialTimeout("tcp", server, 2*time.Second); err == nil {
		c.Close()
		t.Error("the machine reached the component past the ingress")
	}

	// It was the policy.
	if _, err := cluster.Kubectl(t.Context(), "-n", a.Namespace, "delete", "networkpolicy",
		"unip-mlcomponent"); err != nil {
		t.Fatal(err)
	}
	err = live.Await(t.Context(), 30*time.Second, "reaching the component without a policy", func(ctx ctx) error {
		if got := reach(t, b, server)[server]; got != "connected" {
			return fmt.Errorf("%s: %s", server, got)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// fromStage asks the same of a pod that has the labels of a stage. The network may come to know of
// it a moment after its start, so it tries until all is as it should be, for some seconds.
func fromStage(t *testing.T, m *live.Module, wanted map[string]bool) map[string]string {
	t.Helper()
	list, _ := json.Marshal(wanted) // always encodes
	const script = `
import echo, json, sys, time
wanted, end = json.loads(sys.argv[1]), time.monotonic() + 15
while True:
    reached = echo.reach([{"data": address} for address in wanted])[0]["data"]
    if {a: r == "connected" for a, r in reached.items()} == wanted or time.monotonic() > end:
        break
print(json.dumps(reached))
`
	out, err := cluster.RunPod(t.Context(), m.Namespace, "stage", echoImage,
		"app.kubernetes.io/component=stage,app.kubernetes.io/managed-by=unip", "python3", "-c", script, string(list))
	if err != nil {
		t.Fatal(err)
	}
	var reached map[string]string
	line, _, _ := strings.Cut(out, "\n")
	if err := json.Unmarshal([]byte(line), &reached); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return reached
}
