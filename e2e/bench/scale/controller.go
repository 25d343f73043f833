package main

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/names"
)

// replicas scales the controller, and waits until as many are there and no more.
func replicas(ctx context.Context, c *live.Cluster, n int) error {
	deploy := "deploy/" + names.Controller
	_, err := c.Kubectl(ctx, "-n", names.SystemNamespace, "scale", deploy, fmt.Sprintf("--replicas=%d", n))
	if err != nil {
		return err
	}
	if _, err := c.Kubectl(ctx, "-n", names.SystemNamespace, "rollout", "status", deploy, "--timeout=2m"); err != nil {
		return err
	}
	return live.Await(ctx, time.Minute, "pods of the controller", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "-n", names.SystemNamespace, "get", "pods", "-o", "name", "-l",
			"app.kubernetes.io/name="+names.Controller)
		if got := len(strings.Fields(out)); err == nil && got != n {
			return fmt.Errorf("there are %d, not %d", got, n)
		}
		return err
	})
}

// usage is what the controller has used.
type usage struct {
	memory uint64        // working set, in bytes
	cpu    time.Duration // of a core, since its start
	at     time.Time
}

// controllerUsage asks the kubelet, through the API server.
func controllerUsage(ctx context.Context, c *live.Cluster) (usage, error) {
	out, err := c.Kubectl(ctx, "get", "--raw", "/api/v1/nodes/node/proxy/stats/summary")
	if err != nil {
		return usage{}, err
	}
	var summary struct {
		Pods []struct {
			PodRef     struct{ Name, Namespace string }
			Containers []struct {
				CPU struct {
					Time                 time.Time
					UsageCoreNanoSeconds int64
				}
				Memory struct{ WorkingSetBytes uint64 }
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &summary); err != nil {
		return usage{}, err
	}
	for _, p := range summary.Pods {
		if p.PodRef.Namespace == names.SystemNamespace && strings.HasPrefix(p.PodRef.Name, names.Controller) &&
			len(p.Containers) > 0 {
			used := p.Containers[0]
			return usage{used.Memory.WorkingSetBytes, time.Duration(used.CPU.UsageCoreNanoSeconds), used.CPU.Time}, nil
		}
	}
	return usage{}, fmt.Errorf("no controller among %d pods", len(summary.Pods))
}
