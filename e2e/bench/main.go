// Command bench measures, in one run on the cluster of the environment: the step from stage to
// stage of a pipeline beside bare Jobs; predict from zero beside a trivial Go service that wakes
// from zero in turn with it; predict warm through the gateway; the controller's memory; and what
// the router of the one host adds and saves. `make bench` runs it after `make demo-cluster` has left
// its module and model.
package main

import (
	"context"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/unip-knative/unip/e2e/live"
)

var (
	rounds = flag.Int("rounds", 20, "cold starts of each kind; 0 leaves those of the router out")
	calls  = flag.Int("calls", 500, "warm calls")
	only   = flag.String("only", "", "measure only this: chains, cold, warm, router")
	// proxies are held against the router, which is one more before the ingress, as they are.
	proxies []string
)

func main() {
	flag.Func("proxy", "the URL of a proxy before the cluster's inner ingress, to measure beside the router; may be repeated",
		func(s string) error {
			proxies = append(proxies, s)
			return nil
		})
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
	for _, part := range []struct {
		name string
		do   func(context.Context, *live.Cluster) error
	}{{"chains", chains}, {"cold", cold}, {"warm", warm}, {"router", router}} {
		if *only == "" || *only == part.name {
			if err := part.do(ctx, cluster); err != nil {
				return fmt.Errorf("%s: %w", part.name, err)
			}
		}
	}
	return nil
}

// warm measures calls of the demo's model while it runs, and what the controller holds by then.
func warm(ctx context.Context, cluster *live.Cluster) error {
	digits := cluster.Module(demoModule)
	var took []time.Duration
	for range *calls {
		d, err := timed(func() (*live.Answer, error) { return callDigits(ctx, digits) })
		if err != nil {
			return err
		}
		took = append(took, d)
	}
	fmt.Printf("\npredict warm             %s (one caller, through ingress, activator, gateway, component)\n",
		quantiles(took))
	used, err := cluster.ControllerUsage(ctx)
	if err != nil {
		return err
	}
	fmt.Printf("controller memory        %.1f MiB (working set, by kubelet)\n", float64(used.Memory)/(1<<20))
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
	return fmt.Sprintf("p50 %.1f ms, p95 %.1f ms, min %.1f, max %.1f, n %d", ms(median(d)), ms(d[len(d)*95/100]),
		ms(d[0]), ms(d[len(d)-1]), len(d))
}
