package main

import (
	"context"
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
