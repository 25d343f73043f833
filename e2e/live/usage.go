package live

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/names"
)

// Usage is what the controller has used.
type Usage struct {
	Memory uint64        // working set, in bytes
	CPU    time.Duration // of a core, since its start
	At     time.Time
}

// ControllerUsage asks the kubelet of the local cluster's first node, through the API server.
func (c *Cluster) ControllerUsage(ctx context.Context) (Usage, error) {
	out, err := c.Kubectl(ctx, "get", "--raw", "/api/v1/nodes/node/proxy/stats/summary")
	if err != nil {
		return Usage{}, err
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
		return Usage{}, err
	}
	for _, p := range summary.Pods {
		if p.PodRef.Namespace == names.SystemNamespace && strings.HasPrefix(p.PodRef.Name, names.Controller) &&
			len(p.Containers) > 0 {
			used := p.Containers[0]
			return Usage{used.Memory.WorkingSetBytes, time.Duration(used.CPU.UsageCoreNanoSeconds), used.CPU.Time}, nil
		}
	}
	return Usage{}, fmt.Errorf("no controller among %d pods", len(summary.Pods))
}
