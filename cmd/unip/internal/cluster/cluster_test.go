//go:build integration

package cluster_test

import (
	"testing"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster/clustertest"
)

func TestCluster(t *testing.T) {
	s := clustertest.Start(t)
	s.Install(t)
}
