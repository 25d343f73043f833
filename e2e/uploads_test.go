//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

// uploads is a module with a pipeline that uploads start. Few of its runs are under way at once, for
// only that they begin is looked at.
type uploads struct {
	*live.Module
	s3     *minio.Client
	bucket string

	mu sync.Mutex
	// tries are how often each file has come to S3, perhaps, by its path: without an answer nobody knows.
	tries map[string]int
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
	return &uploads{Module: m, s3: c, bucket: session.Bucket, tries: map[string]int{}}
}

// put puts files as the links of the file API do, each until it is accepted.
func (u *uploads) put(t *testing.T, name string, n int) {
	t.Helper()
	var all sync.WaitGroup
	for i := range n {
		all.Go(func() {
			file := fmt.Sprintf("incoming/%s/%d.csv", name, i)
			err := live.Await(t.Context(), 2*time.Minute, file+" to be accepted", func(ctx ctx) error {
				return u.send(ctx, file)
			})
			if err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
}

// send sends a file once: the S3 client would try again by itself.
func (u *uploads) send(ctx context.Context, file string) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	link, err := u.s3.PresignedPutObject(ctx, u.bucket, databox.UserPrefix(user)+file, time.Minute)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, link.String(), strings.NewReader("x"))
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	var dial *net.OpError
	if !errors.As(err, &dial) || dial.Op != "dial" {
		u.mu.Lock()
		u.tries["userdata/"+file]++
		u.mu.Unlock()
	}
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("putting %s: %s", file, resp.Status)
	}
	return nil
}

// await waits until each file has started one run, and none has more than it was sent.
func (u *uploads) await(t *testing.T, within time.Duration) {
	t.Helper()
	began := time.Now()
	err := live.Await(t.Context(), within, "the uploads' runs", func(ctx ctx) error {
		runs, err := u.Runs(ctx)
		if err != nil {
			return err
		}
		seen := map[string]int{}
		for _, r := range runs {
			path := r.Spec.Inputs["table"].Path
			if seen[path]++; seen[path] > u.tries[path] {
				return &live.FinalError{Err: fmt.Errorf("%s was sent %d times and has %d runs", path, u.tries[path],
					seen[path])}
			}
		}
		if len(seen) != len(u.tries) {
			return fmt.Errorf("%d files have runs, want %d", len(seen), len(u.tries))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("runs of all %d files after %s", len(u.tries), time.Since(began).Round(time.Second))
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
	t.Run("what S3 tells does not come", func(t *testing.T) {
		arrives := u.deaf(t)
		u.put(t, "deaf", 5)
		u.await(t, 3*time.Minute) // a sweep every minute, on the local cluster
		arrives()
		u.put(t, "deaf-no-more", 5)
		u.await(t, time.Minute)
	})
	t.Run("somebody has removed the box's notifications", func(t *testing.T) {
		installed, err := cluster.Installation(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		if installed.S3.NotificationARN == "" {
			t.Skipf("with dialect %s no bucket has notifications of its own", installed.S3.Dialect)
		}
		err = u.s3.RemoveAllBucketNotification(t.Context(), u.bucket)
		if minio.ToErrorResponse(err).Code == "MalformedXML" {
			t.Skipf("the server takes no configuration without notifications: %v", err)
		}
		if err != nil {
			t.Fatal(err)
		}
		u.put(t, "notifications", 5)
		u.await(t, 3*time.Minute)
		u.put(t, "notifications-again", 5)
		u.await(t, time.Minute)
	})
}

// deaf leaves the Service that S3 tells uploads to without pods, until arrives is called.
func (u *uploads) deaf(t *testing.T) (arrives func()) {
	t.Helper()
	const app = "app.kubernetes.io/name"
	is := func(ctx context.Context, value string) error {
		patch := fmt.Sprintf(`{"spec":{"selector":{%q:%q}}}`, app, value)
		_, err := u.Kubectl(ctx, "-n", names.SystemNamespace, "patch", "service", "s3-events", "--patch", patch)
		return err
	}
	if err := is(t.Context(), "nobody"); err != nil {
		t.Fatal(err)
	}
	back := sync.OnceFunc(func() {
		if err := is(context.WithoutCancel(t.Context()), names.Controller); err != nil {
			t.Error(err)
		}
	})
	t.Cleanup(back)
	// Connections that are there go on, whatever the Service says.
	signal(t.Context(), t, "KILL", "s3", 0)
	return back
}
