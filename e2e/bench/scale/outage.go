package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"time"

	"github.com/unip-knative/unip/e2e/live"
)

// The first stage hands a file to the second, so that storage is needed in the middle.
const stepsManifests = `apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: data, namespace: NAMESPACE}
spec: {s3DefaultStorage: {}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: ExperimentPipeline
metadata: {name: steps, namespace: NAMESPACE}
spec:
  vars: [{name: a}, {name: b}]
  stages:
    - name: one
      image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}
      command: [sh, -ec, 'sleep 20; date > "$UNIP_PIPELINE_A/f"']
      outputs: [{name: a}]
    - name: two
      image: {existingImageName: "registry.localhost:5000/e2e/echo:v1"}
      command: [sh, -ec, 'cp "$UNIP_PIPELINE_A/f" "$UNIP_PIPELINE_B/f"; sleep 20']
      inputs: [{name: a}]
      outputs: [{name: b}]
`

// outages measures what a time without S3 costs runs that are under way.
func outages(ctx context.Context, c *live.Cluster) (err error) {
	m, remove, err := module(ctx, c, "unip-scale-steps", stepsManifests)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, remove()) }()
	quiet, err := steps(ctx, m, "quiet")
	if err != nil {
		return err
	}
	gone := make(chan error, 1)
	go func() { // when the first stages work
		err := pause(ctx, 10*time.Second)
		if err == nil {
			say("the S3 server is away for %s …", *outage)
			_, err = c.Run(ctx, nil, os.Getenv("CLUSTER"), "signal", "KILL", "s3", "--for", outage.String())
		}
		gone <- err
	}()
	with, err := steps(ctx, m, "outage")
	if err = errors.Join(err, <-gone); err != nil {
		return err
	}
	fmt.Printf("4 runs of two stages, quiet   %s\nthe same, S3 away for %s   %s\ncosts beside its length       %.0f s\n", seconds(quiet),
		*outage, seconds(with), (longest(with) - longest(quiet) - *outage).Seconds())
	return nil
}

// steps are how long four runs at once take.
func steps(ctx context.Context, m *live.Module, name string) ([]time.Duration, error) {
	const n = 4
	at := time.Now()
	for i := range n {
		if err := begin(ctx, m, "steps", fmt.Sprintf("%s-%d", name, i)); err != nil {
			return nil, err
		}
	}
	var took []time.Duration
	for i := range n {
		ended, err := succeeded(ctx, m, fmt.Sprintf("%s-%d", name, i), *outage+5*time.Minute)
		if err != nil {
			return nil, err
		}
		took = append(took, ended.Status.CompletionTime.Sub(at))
	}
	say("four runs took %.0f s", longest(took).Seconds())
	return took, nil
}

func longest(d []time.Duration) time.Duration { return slices.Max(d) }
