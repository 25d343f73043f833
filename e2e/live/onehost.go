package live

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/router"
)

// OneHostName is the host at which the tests reach the router.
const OneHostName = "unip.example.com"

const domain = `
apiVersion: networking.internal.knative.dev/v1alpha1
kind: ClusterDomainClaim
metadata: {name: NAME}
spec: {namespace: NAMESPACE}
---
apiVersion: serving.knative.dev/v1beta1
kind: DomainMapping
metadata: {name: NAME, namespace: NAMESPACE}
spec: {ref: {apiVersion: VERSION, kind: Service, name: SERVICE, namespace: NAMESPACE}}
`

// OneHost brings the one host of all modules to the router, as docs/operating.md shows it, and leaves
// it there.
func (c *Cluster) OneHost(ctx context.Context) error {
	return c.MapDomain(ctx, OneHostName, names.SystemNamespace, "v1", router.Name)
}

// AtOneHost is the cluster whose modules are called at the one host.
func (c *Cluster) AtOneHost(ctx context.Context) (*Cluster, error) {
	at := *c
	at.site = OneHostName
	return &at, c.OneHost(ctx)
}

// MapDomain has the cluster's ingress answer at a name with a Service, of Kubernetes (v1) or Knative
// (serving.knative.dev/v1).
func (c *Cluster) MapDomain(ctx context.Context, name, namespace, version, service string) error {
	objects := strings.NewReplacer("NAMESPACE", namespace, "NAME", name, "VERSION", version, "SERVICE", service).
		Replace(domain)
	if _, err := c.Run(ctx, []byte(objects), "kubectl", "apply", "-f", "-"); err != nil {
		return err
	}
	return Await(ctx, time.Minute, "a host of one's own", func(ctx context.Context) error {
		out, err := c.Kubectl(ctx, "-n", namespace, "get", "domainmapping", name, "-o",
			`jsonpath={.status.conditions[?(@.type=="Ready")].status}`)
		if err == nil && out != "True" {
			err = errors.New("the DomainMapping is not ready: " + out)
		}
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		return nil
	})
}
