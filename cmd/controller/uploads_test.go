//go:build integration

package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/freeport"
	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// uploadBuckets are other names of buckets than usual.
const uploadBuckets databox.BucketNames = "hse-unip-"

// uploading is a controller with an own way to the API server, to which a real S3 server tells of a
// module's uploads. No Broker takes their events. settings are further lines of unip.yaml.
type uploading struct {
	*cluster
	gated
	bucket string
	start  func()
}

func newUploading(t *testing.T, settings ...string) *uploading {
	t.Helper()
	address := freeport.Address(t)
	c, cfg := startServers(t, ofTheOperator(t, address)...)
	c.operator(t, "unip.yaml", fmt.Sprintf("s3: {endpoint: %q, bucketPrefix: %s}\nruns: {graceSeconds: 1}\n%s", c.s3.Endpoint,
		uploadBuckets, strings.Join(settings, "\n")))
	c.operator(t, "accessKeyId", miniotest.AccessKey)
	c.operator(t, "secretAccessKey", miniotest.SecretKey)
	c.listens = address
	way, cfg := throughGate(t, cfg)
	u := &uploading{cluster: c}
	u.start = func() { u.gated = gated{c.startReplica(t, cfg), way} }
	u.start()
	box := c.box(t, "module", "data")
	c.waitFor(t, box, platformv1.ReasonReady)
	u.bucket = box.Status.Bucket
	u.pipeline(t)
	t.Cleanup(func() {
		all, err := c.s3.ListBuckets(context.Background())
		for _, b := range all {
			if !strings.HasPrefix(b.Name, string(uploadBuckets)) {
				t.Errorf("bucket %s does not begin with s3.bucketPrefix", b.Name)
			}
		}
		if err != nil || len(all) < 3 { // of the box, the runs and the installation
			t.Errorf("buckets %v: %v", all, err)
		}
	})
	return u
}

// ofTheOperator are the variables of MinIO that docs/operating.md names, for a controller at an address.
func ofTheOperator(t *testing.T, address string) (env []string) {
	t.Helper()
	page, err := os.ReadFile("../../docs/operating.md")
	must(t, err)
	for _, v := range regexp.MustCompile(`(?m)^MINIO_\w+=.*$`).FindAllString(string(page), -1) {
		env = append(env, strings.NewReplacer(`"`, "", "$WEBHOOK_TOKEN", webhookToken,
			"s3-events.unip-system.svc.cluster.local:8080", address,
			"/data/.unip-events", filepath.Join(t.TempDir(), "events")).Replace(v))
	}
	return env
}

func (u *uploading) pipeline(t *testing.T) {
	t.Helper()
	p := &runtimev1.Pipeline{}
	p.Namespace, p.Name = "module", "train"
	p.Spec = runtimev1.PipelineSpec{
		Variables: []runtimev1.Variable{{Name: "x"}, {Name: "y"}},
		Stages: []runtimev1.Stage{{Name: "fit", Image: "image", Inputs: []string{"x"}, Outputs: []string{"y"},
			TimeoutSeconds: 60}},
		DefaultBox: "data", OnUpload: []runtimev1.UploadRule{{Box: "data", Prefix: "in/", Input: "x"}},
	}
	must(t, u.Create(t.Context(), p))
	u.waitForPipeline(t, p, "Ready")
	must(t, u.Get(t.Context(), client.ObjectKeyFromObject(p), p))
	if _, ok := p.Status.Uploads.Since(p.Spec.OnUpload[0].ID()); !ok {
		t.Fatalf("a pipeline that is ready does not say since when its rules hold: %+v", p.Status)
	}
}

func (u *uploading) put(t *testing.T, file string) {
	t.Helper()
	u.s3.Put(t, u.bucket, "users/ann/file_groups/in/"+file, file)
}

// wait waits until each file has started one run.
func (u *uploading) wait(t *testing.T, files ...string) {
	t.Helper()
	eventually(t, "the runs of "+strings.Join(files, ", "), func() error {
		var all runtimev1.PipelineRunList
		if err := u.List(t.Context(), &all, client.InNamespace("module")); err != nil {
			return err
		}
		n := map[string]int{}
		for _, r := range all.Items {
			n[strings.TrimPrefix(r.Spec.Inputs["x"].Path, "data/in/")]++
		}
		for _, f := range files {
			if n[f] != 1 {
				return fmt.Errorf("%d runs of %s", n[f], f)
			}
		}
		if len(all.Items) != len(files) {
			return fmt.Errorf("%d runs of %v", len(all.Items), n)
		}
		return nil
	})
}

// inbox is how many notifications wait.
func (u *uploading) inbox(t *testing.T) (n int) {
	t.Helper()
	for o := range u.s3.ListObjects(t.Context(), uploadBuckets.System(),
		minio.ListObjectsOptions{Prefix: "spool/", Recursive: true}) {
		must(t, o.Err)
		n++
	}
	return n
}

// Whatever is away when a file comes, it starts one run.
func TestUploads(t *testing.T) {
	u := newUploading(t)
	u.put(t, "told")
	u.wait(t, "told") // no Broker has told the controller

	u.way.shut()
	before := u.inbox(t)
	u.put(t, "api-server-away")
	eventually(t, "the notification lies in the inbox", func() error {
		if n := u.inbox(t); n <= before {
			return fmt.Errorf("%d entries", n)
		}
		return nil
	})
	u.way.reopen()
	u.wait(t, "told", "api-server-away")

	// Nobody is told, for there is nobody, and S3 has forgotten to tell. A new controller finds no API
	// server, and takes a notification all the same.
	u.stop()
	<-u.ended
	must(t, u.s3.RemoveAllBucketNotification(context.Background(), u.bucket))
	u.put(t, "nobody-told")
	u.way.shut()
	u.start()
	before = u.inbox(t)
	u.cluster.s3Events = u.gated.s3Events
	u.put(t, "told-by-hand")
	u.notify(t, u.bucket, "users/ann/file_groups/in/told-by-hand", 1)
	if n := u.inbox(t); n != before+1 {
		t.Errorf("%d entries in the inbox, want %d", n, before+1)
	}
	u.way.reopen()
	u.wait(t, "told", "api-server-away", "nobody-told", "told-by-hand")
	eventually(t, "the box tells of uploads again", func() error {
		told, err := s3.HasNotification(t.Context(), u.s3.Client, u.bucket, "arn:minio:sqs::UNIP:webhook")
		if err == nil && !told {
			err = fmt.Errorf("it does not")
		}
		return err
	})
	began := time.Now()
	u.put(t, "told-again")
	u.wait(t, "told", "api-server-away", "nobody-told", "told-by-hand", "told-again")
	t.Logf("a file starts its run after %s", time.Since(began).Round(10*time.Millisecond))
}
