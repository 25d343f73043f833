//go:build integration

package main

import (
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"testing"
	"time"

	coordinationv1 "k8s.io/api/coordination/v1"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/names"
)

// gated is a replica with an own way to the API server, which may be shut.
type gated struct {
	*process
	way *gate
}

// throughGate is a configuration whose requests go through a gate of their own.
func throughGate(t *testing.T, cfg *rest.Config) (*gate, *rest.Config) {
	t.Helper()
	server, err := url.Parse(cfg.Host)
	must(t, err)
	way := newGate(t, server.Host)
	cfg = rest.CopyConfig(cfg)
	cfg.Host = "https://" + way.address
	return way, cfg
}

func (c *cluster) gated(t *testing.T, cfg *rest.Config) gated {
	t.Helper()
	way, cfg := throughGate(t, cfg)
	return gated{c.startReplica(t, cfg), way}
}

// leads waits until a replica does, and gives how long that took.
func (c *cluster) leads(t *testing.T, r gated) time.Duration {
	t.Helper()
	began := time.Now()
	eventually(t, "the replica leads", func() error {
		l := &coordinationv1.Lease{}
		err := c.Get(t.Context(), client.ObjectKey{Namespace: names.SystemNamespace, Name: names.Controller}, l)
		if err != nil {
			return err
		}
		if l.Spec.HolderIdentity == nil || !strings.Contains(*l.Spec.HolderIdentity, "_"+r.events+"_") {
			return fmt.Errorf("the lease is of %v", l.Spec.HolderIdentity)
		}
		return nil
	})
	return time.Since(began)
}

// lives tells of a replica that it has not ended and that it takes notifications.
func (c *cluster) lives(t *testing.T, r gated, bucket string) {
	t.Helper()
	select {
	case <-r.ended:
		t.Fatalf("a replica has ended: %v", r.err)
	default:
	}
	c.s3Events = r.s3Events
	c.notify(t, bucket, "users/ann/file_groups/in/f", 1)
}

// starts has a run begin that only the hint of an event can start at this time; the event goes to
// one replica.
func (c *cluster) starts(t *testing.T, r gated, name string) {
	t.Helper()
	c.events = r.events
	run := c.run(t, "pair", name, "train")
	c.requested(t, run)
	c.waitForRunThat(t, run, func(s runtimev1.PipelineRunStatus) bool { return s.State == runtimev1.Running })
}

// Of two replicas one leads and both receive. One that loses its Lease, or finds no API server,
// lives on, and nothing is done by two.
func TestReplicas(t *testing.T) {
	if os.Getenv("KUBEBUILDER_ASSETS") == "" {
		t.Fatal("KUBEBUILDER_ASSETS must name a folder with etcd and kube-apiserver: make test-integration")
	}
	c, cfg := startServers(t)
	c.operator(t, "accessKeyId", miniotest.AccessKey)
	c.operator(t, "secretAccessKey", miniotest.SecretKey)
	first := c.gated(t, cfg)
	c.leads(t, first)
	second := c.gated(t, cfg)
	data := c.box(t, "pair", "data")
	c.waitFor(t, data, platformv1.ReasonReady)
	c.s3.Put(t, data.Status.Bucket, "data/f", "x")
	bucket := data.Status.Bucket
	c.pipelineOfBoxes(t, "pair", "train", "data", "data")

	c.lives(t, first, bucket)
	c.lives(t, second, bucket)
	c.starts(t, first, "of-the-leader")
	c.starts(t, second, "passed-on")

	first.way.shut()
	took := c.leads(t, second)
	t.Logf("the second leads after %s", took.Round(100*time.Millisecond))
	if took > 20*time.Second {
		t.Errorf("nobody led for %s", took)
	}
	c.lives(t, first, bucket)
	c.starts(t, second, "of-the-next")
	first.way.reopen()
	c.starts(t, first, "passed-on-to-the-next")

	first.way.shut()
	second.way.shut()
	down := time.Now()
	eventually(t, "the leader has stopped", func() error { // it answers as one that does not lead
		c.events = second.events
		if code := c.tell(t, "/namespaces/pair/pipelines/train/events", "x", nil); code != 503 {
			return fmt.Errorf("answered %d", code)
		}
		return nil
	})
	if stopped := time.Since(down); stopped > 13*time.Second {
		t.Errorf("a leader without an API server acted for %s", stopped)
	}
	c.lives(t, first, bucket)
	c.lives(t, second, bucket)
	second.way.reopen()
	c.leads(t, second)
	c.starts(t, second, "after-all-was-away")
	first.way.reopen()

	second.stop()
	if took := c.leads(t, first); took > 6*time.Second {
		t.Errorf("a lease that was given back lay for %s", took)
	}
	c.starts(t, first, "after-a-normal-end")
	<-second.ended
	must(t, second.err)
}

// A replica that starts while the API server is away waits for it, and receives.
func TestStartsWithoutAPIServer(t *testing.T) {
	c, cfg := startServers(t)
	c.operator(t, "accessKeyId", miniotest.AccessKey)
	c.operator(t, "secretAccessKey", miniotest.SecretKey)
	way, cfg := throughGate(t, cfg)
	way.shut()
	r := gated{c.startReplica(t, cfg), way}
	eventually(t, "it receives", func() error {
		c.events = r.events
		if code, err := c.told(t, "/namespaces/a/pipelines/b/events", "x", nil); err != nil || code != 503 {
			return errors.Join(err, fmt.Errorf("answered %d", code))
		}
		return nil
	})
	way.reopen()
	c.leads(t, r)
	c.waitFor(t, c.box(t, "late", "weights"), platformv1.ReasonReady)
}
