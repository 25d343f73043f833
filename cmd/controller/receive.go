package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/meta"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/cmd/controller/internal/limited"
	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/uploads"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
)

// A receiver's connections, in all and of one address. Knative's dispatcher has one address and may
// have a connection for each event that it delivers; a connection takes some 10 KiB.
const (
	maxConnections      = 2048
	maxConnectionsOfOne = 1024
)

// serve answers on an address until ctx ends; "0" is nowhere.
func serve(address string, h http.Handler) func(context.Context) error {
	return func(ctx context.Context) error {
		if address == "0" || address == "" {
			return nil
		}
		l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
		if err != nil {
			return fmt.Errorf("listening: %w", err)
		}
		l = limited.Listen(l, maxConnections, maxConnectionsOfOne)
		s := &http.Server{
			Handler: h, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 20 * time.Second, WriteTimeout: time.Minute,
			IdleTimeout: 2 * time.Minute, MaxHeaderBytes: 32 << 10,
			ErrorLog: slog.NewLogLogger(slog.Default().Handler(), slog.LevelWarn),
		}
		ended := make(chan error, 1)
		go func() { ended <- s.Serve(l) }()
		select {
		case err := <-ended:
			return err
		case <-ctx.Done():
		}
		stop, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		if err := s.Shutdown(stop); err != nil && !errors.Is(err, context.DeadlineExceeded) {
			return err
		}
		return nil
	}
}

// boxOf finds the box of a bucket among those of the cluster; a bucket's name is made of its box's
// and its namespace's.
func boxOf(ctx context.Context, c client.Client, bucket string) (string, string, bool, error) {
	var all platformv1.DataBoxList
	if err := c.List(ctx, &all); err != nil {
		return "", "", false, err
	}
	for i := range all.Items {
		b := &all.Items[i]
		if b.Spec.S3DefaultStorage != nil && databox.BucketName(b.Namespace, b.Name) == bucket {
			ready := meta.FindStatusCondition(b.Status.Conditions, platformv1.ConditionReady)
			foreign := ready != nil && ready.Reason == platformv1.ReasonBucketNotOurs
			return b.Namespace, b.Name, !foreign, nil
		}
	}
	return "", "", false, nil
}

// spool is the controller's own bucket, claimed once.
type spool struct {
	settings  *settings.Source
	transport http.RoundTripper
	live      client.Reader

	mu      sync.Mutex
	claimed string // the endpoint at which it was
}

func (s *spool) open(ctx context.Context) (uploads.Spool, error) {
	now := s.settings.Current()
	c, err := now.Client(s.transport)
	if err != nil {
		return uploads.Spool{}, err
	}
	out := uploads.Spool{Client: c, Bucket: databox.RunBucketName(names.SystemNamespace)}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.claimed == now.Config.S3.Endpoint {
		return out, nil
	}
	ns := &corev1.Namespace{}
	if err := s.live.Get(ctx, types.NamespacedName{Name: names.SystemNamespace}, ns); err != nil {
		return out, fmt.Errorf("reading the controller's namespace: %w", err)
	}
	err = s3.ClaimBucket(ctx, c, out.Bucket, now.Config.S3.Region,
		databox.Owner{Namespace: names.SystemNamespace, NamespaceUID: string(ns.UID), Box: databox.RunsBox})
	if err != nil {
		return out, fmt.Errorf("the spool: %w", err)
	}
	s.claimed = now.Config.S3.Endpoint
	return out, nil
}
