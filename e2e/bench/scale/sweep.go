package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/names"
)

// The rule is about none of the files that are there before it.
const sweptManifests = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: data, namespace: NAMESPACE}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata:
  name: swept
  namespace: NAMESPACE
  annotations:
    knative.unified-platform.cs.hse.ru/on-upload: '[{"box":"data","prefix":"in/","suffix":".csv","input":"f"}]'
spec:
  vars: [{name: f}, {name: o}]
  stages:
    - name: s
      image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}
      command: ["true"]
      inputs: [{name: f}]
      outputs: [{name: o}]
`

// sweep measures how long the controller looks through a large box.
func sweep(ctx context.Context, c *live.Cluster) (err error) {
	m, remove, err := module(ctx, c, "unip-scale-swept", sweptManifests)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	if err := putAll(ctx, m, "in/", *objects); err != nil {
		return err
	}
	if err := replicas(ctx, c, 0); err != nil {
		return err
	}
	if err := replicas(ctx, c, 1); err != nil { // a controller that begins sweeps
		return err
	}
	say("waiting for the sweep …")
	var swept struct {
		Files   int
		Seconds float64
	}
	err = live.Await(ctx, 10*time.Minute, "the sweep", func(ctx context.Context) error {
		log, err := c.Kubectl(ctx, "-n", names.SystemNamespace, "logs", "deploy/"+names.Controller)
		lines := bufio.NewScanner(strings.NewReader(log))
		for lines.Scan() {
			if strings.Contains(lines.Text(), `"boxes were swept for uploads"`) &&
				json.Unmarshal(lines.Bytes(), &swept) == nil && swept.Files >= *objects {
				return nil
			}
		}
		return errors.Join(err, lines.Err(), fmt.Errorf("the last one has seen %d files", swept.Files))
	})
	if err != nil {
		return err
	}
	fmt.Printf("sweep of %d files        %.1f s\n", swept.Files, swept.Seconds)
	return nil
}
