//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/databox"
)

// uploads is a module with a pipeline that uploads start. Few of its runs are under way at once, for
// only that they begin is looked at.
type uploads struct {
	*live.Module
	s3     *minio.Client
	bucket string
	want   int // runs
}

func applyUploads(t *testing.T) *uploads {
	t.Helper()
	const ns = "pu-e2e-pa-uploads"
	m := applyRuns(t, ns, pipelineOf(ns, "quick", "table result",
		`knative.unified-platform.cs.hse.ru/max-parallel-runs: "1", `+
			`knative.unified-platform.cs.hse.ru/on-upload: `+
			`'[{"box":"userdata","prefix":"incoming/","input":"table"}]'`,
		stage("quick", "table", "result", `cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_RESULT/"`)))
	c, session, err := m.Bucket(t.Context(), "userdata")
	if err != nil {
		t.Fatal(err)
	}
	return &uploads{Module: m, s3: c, bucket: session.Bucket}
}

// put puts files as the links of the file API do, each until it is accepted.
func (u *uploads) put(t *testing.T, name string, n int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			key := databox.UserPrefix(user) + fmt.Sprintf("incoming/%s/%d.csv", name, i)
			err := live.Await(t.Context(), 2*time.Minute, key+" to be accepted", func(ctx ctx) error {
				ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
				defer cancel()
				_, err := u.s3.PutObject(ctx, u.bucket, key, strings.NewReader("x"), 1, minio.PutObjectOptions{})
				return err
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	u.want += n
}

// await waits until each file has started one run.
func (u *uploads) await(t *testing.T, within time.Duration) {
	t.Helper()
	began := time.Now()
	err := live.Await(t.Context(), within, "the uploads' runs", func(ctx ctx) error {
		runs, err := u.Runs(ctx)
		if err != nil {
			return err
		}
		seen := map[string]bool{}
		for _, r := range runs {
			path := r.Spec.Inputs["table"].Path
			if seen[path] {
				return &live.FinalError{Err: fmt.Errorf("two runs of %s", path)}
			}
			seen[path] = true
		}
		if len(runs) != u.want {
			return fmt.Errorf("%d runs, want %d", len(runs), u.want)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d runs in all after %s", u.want, time.Since(began).Round(time.Second))
}

// kill kills what runs in Eventing's pods with a label.
func (u *uploads) kill(t *testing.T, labels client.MatchingLabels) {
	t.Helper()
	var pods corev1.PodList
	err := u.List(t.Context(), &pods, client.InNamespace("knative-eventing"), labels)
	if err == nil && len(pods.Items) == 0 {
		err = errors.New("no such pods")
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range pods.Items {
		signal(t.Context(), t, "KILL", "pod/"+string(p.UID), 0)
	}
}

// Whatever is lost between an upload and its run, each upload starts one run. It kills what all
// modules use, so no other test runs beside it.
func TestUploadsAreNeverLost(t *testing.T) {
	u := applyUploads(t)
	u.put(t, "quiet", 1)
	u.await(t, 30*time.Second)

	t.Run("the Broker's dispatcher is killed with events in its memory", func(t *testing.T) {
		u.put(t, "dispatcher", 40)
		time.Sleep(800 * time.Millisecond) // the fault's moment
		u.kill(t, client.MatchingLabels{"messaging.knative.dev/role": "dispatcher"})
		u.await(t, 3*time.Minute)
	})
	t.Run("the Broker's filter is killed while uploads come", func(t *testing.T) {
		killed := make(chan struct{})
		go func() {
			defer close(killed)
			time.Sleep(200 * time.Millisecond)
			u.kill(t, client.MatchingLabels{"eventing.knative.dev/brokerRole": "filter"})
		}()
		u.put(t, "filter", 40)
		<-killed
		u.await(t, 3*time.Minute)
	})
	t.Run("the API server is away at the moment of an upload", func(t *testing.T) {
		away := make(chan struct{})
		go func() {
			defer close(away)
			signal(t.Context(), t, "KILL", "kube-apiserver", 20*time.Second)
		}()
		u.put(t, "api-server", 5)
		<-away
		u.await(t, 3*time.Minute)
	})
	t.Run("S3 tells nothing in its first seconds", func(t *testing.T) {
		signal(t.Context(), t, "KILL", "s3", 3*time.Second)
		u.put(t, "s3", 40)
		u.await(t, 3*time.Minute)
	})
	t.Run("somebody has removed the box's notifications", func(t *testing.T) {
		if server := os.Getenv("UNIP_S3_SERVER"); server == "seaweedfs" {
			t.Skip(server + " has one webhook for all buckets")
		}
		if err := u.s3.RemoveAllBucketNotification(t.Context(), u.bucket); err != nil {
			t.Fatal(err)
		}
		u.put(t, "notifications", 5)
		u.await(t, 3*time.Minute) // a sweep every minute, on the local cluster
		u.put(t, "notifications-again", 5)
		u.await(t, time.Minute)
	})
}
