package main

import (
	"context"

	"github.com/unip-knative/unip/e2e/live"
)

func sweep(ctx context.Context, c *live.Cluster) error { return nil }
