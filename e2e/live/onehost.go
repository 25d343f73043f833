package live

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// OneHostName is the host at which the tests reach the router.
const OneHostName = "unip.example.com"

const oneHost = `
apiVersion: networking.internal.knative.dev/v1alpha1
kind: ClusterDomainClaim
metadata: {name: unip.example.com}
spec: {namespace: unip-system}
---
apiVersion: serving.knative.dev/v1beta1
kind: DomainMapping
metadata: {name: unip.example.com, namespace: unip-system}
spec: {ref: {apiVersion: v1, kind: Service, name: unip-router, namespace: unip-system}}
`

// OneHost brings the one host of all modules to the router, as docs/operating.md shows it, and leaves
// it there.
func (c *Cluster) OneHost(ctx context.Context) error {
	if _, err := c.Run(ctx, []byte(oneHost), "kubectl", "apply", "-f", "-"); err != nil {
		return err
	}
	return Await(ctx, time.Minute, "the one host", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "-n", "unip-system", "get", "domainmapping", OneHostName, "-o",
			`jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && out != "True" {
			err = errors.New("the DomainMapping is not ready: " + out)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", OneHostName, err)
		}
		return nil
	})
}
