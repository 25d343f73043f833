package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"github.com/unip-knative/unip/e2e/live"
)

// echoes is a module whose gateway answers with what it gets.
const echoes = `
apiVersion: v1
kind: Namespace
metadata: {name: unip-bench-echo}
---
apiVersion: serving.knative.dev/v1
kind: Service
metadata:
  name: gateway
  namespace: unip-bench-echo
  labels: {app.kubernetes.io/component: gateway, app.kubernetes.io/managed-by: unip}
spec:
  template:
    metadata: {annotations: {autoscaling.knative.dev/min-scale: "1"}}
    spec:
      containers:
      - image: ko://github.com/unip-knative/unip/e2e/bench/hello
        args: [echo]
`

// routerBytes measures a body that goes there and comes back, through the router and without it.
func routerBytes(ctx context.Context, c *live.Cluster, through, inside way) error {
	m := c.Module("unip-bench-echo")
	dir, err := os.MkdirTemp("", "unip-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	file := filepath.Join(dir, "echo.yaml")
	if err := os.WriteFile(file, []byte(echoes), 0o600); err != nil {
		return err
	}
	defer func() { _ = m.Delete(context.WithoutCancel(ctx)) }()
	_, err = c.Run(ctx, nil, os.Getenv("CLUSTER"), "exec", "--", "ko", "apply", "--sbom=none", "-f", file)
	if err != nil {
		return err
	}
	if err := m.AwaitReady(ctx, 2*time.Minute); err != nil {
		return err
	}
	inside.host = "gateway." + m.Namespace + ".svc.cluster.local"
	ways := []*way{&inside, &through}
	for i := range 2 * bodies {
		w := ways[i%2]
		d, err := thereAndBack(ctx, w.from.Ingress+"/"+m.Namespace+"/", w.host)
		if err != nil {
			return fmt.Errorf("%s: %w", w.name, err)
		}
		w.took = append(w.took, d)
	}
	fmt.Println("\n1 GiB there and back")
	for _, w := range ways {
		fmt.Printf("%-32s %s\n", w.name, quantiles(w.took))
	}
	return nil
}

const (
	bodies   = 3
	bodySize = 1 << 30
)

func thereAndBack(ctx context.Context, url, host string) (time.Duration, error) {
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, url, io.LimitReader(zeros{}, bodySize))
	if err != nil {
		return 0, err
	}
	r.Host, r.ContentLength = host, bodySize
	start := time.Now()
	resp, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(io.Discard, resp.Body)
	err = errors.Join(err, resp.Body.Close())
	if err == nil && (n != bodySize || resp.StatusCode != http.StatusOK) {
		err = fmt.Errorf("%s, %d bytes", resp.Status, n)
	}
	return time.Since(start), err
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) {
	clear(p)
	return len(p), nil
}
