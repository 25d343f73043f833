//go:build integration

package plan

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	s3client "github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/stage"
)

// longPath is a file's path of n bytes in a group.
func longPath(i, n int) string {
	p := fmt.Sprintf("group/%03d-", i)
	return p + strings.Repeat("x", n-len(p))
}

// sessionsOf makes the sessions of a stage at a real S3 server, as the controller does.
func sessionsOf(t *testing.T, server *miniotest.Server, p Sessions) map[string]*minio.Client {
	t.Helper()
	out := map[string]*minio.Client{}
	for file, grants := range p.Grants {
		policy, err := databox.Policy(grants...)
		must(t, err)
		keys := s3client.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}
		const region, life = "us-east-1", 15 * time.Minute
		s, err := s3client.AssumeRole(t.Context(), http.DefaultClient, server.Endpoint, region, keys, policy, life)
		must(t, err)
		s.Endpoint, s.Region = server.Endpoint, "us-east-1"
		out[file], err = s3client.NewClient(s, s3client.Static(s))
		must(t, err)
	}
	return out
}

func put(ctx context.Context, c *minio.Client, bucket, key string) error {
	_, err := c.PutObject(ctx, bucket, key, strings.NewReader("x"), 1, minio.PutObjectOptions{})
	return err
}

func readable(ctx context.Context, c *minio.Client, bucket, key string) error {
	body, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return err
	}
	defer body.Close()
	_, err = body.Stat()
	return err
}

// Sixty-four files with paths of 200 bytes need more policy than one session holds. Each is read
// with its own session, and nothing else with any.
func TestManyInputsAreReadWithSeveralSessions(t *testing.T) {
	t.Parallel()
	const n = 64
	server := miniotest.Start(t)
	box, runBucket := databox.UsualBuckets.Box("ns", "userdata"), databox.UsualBuckets.Runs("ns")
	for _, b := range []string{box, runBucket} {
		must(t, server.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}))
	}
	r := newRun(func(r *runtimev1.PipelineRun) {
		r.Spec.Inputs = map[string]runtimev1.InputPath{}
		for i := range n {
			r.Spec.Inputs[fmt.Sprintf("v%d", i)] = runtimev1.InputPath{Path: "userdata/" + longPath(i, 200)}
		}
	})
	x, err := makePlan(r, []*runtimev1.Pipeline{wide(n)}, func(string) (Box, error) { return Box{Bucket: box}, nil })
	must(t, err)
	st := &x.Stages[0]
	for _, in := range st.Inputs {
		server.Put(t, box, in.Key, "mine")
	}
	others := map[string]string{
		databox.UserPrefix("bob") + "group/secret": box, databox.UserPrefix("ann") + "group/another": box,
		"models/m": box, "users/x": box, st.Inputs[0].Key + "-longer": box,
		"runs/run-2/fit/commit": runBucket, "runs/run-1/fit/commit": runBucket, "starts/k": runBucket,
	}
	for key, bucket := range others {
		server.Put(t, bucket, key, "theirs")
	}

	p, err := MakeSessions(databox.UsualBuckets, r, st)
	must(t, err)
	if len(p.Fetch) < 2 || len(p.Fetch) > 20 || len(p.inputs) != n {
		t.Fatalf("%d sessions", len(p.Fetch))
	}
	t.Logf("%d sessions for %d inputs", len(p.Fetch), n)
	clients := sessionsOf(t, server, p)
	for i, in := range st.Inputs {
		if err := readable(t.Context(), clients[p.inputs[i]], box, in.Key); err != nil {
			t.Errorf("input %s with %s: %v", in.Name, p.inputs[i], err)
		}
	}
	for _, file := range p.Fetch {
		c := clients[file]
		for key, bucket := range others {
			if err := readable(t.Context(), c, bucket, key); !s3client.IsRefused(err) {
				t.Errorf("%s reads %s: %v", file, key, err)
			}
		}
		for _, bucket := range []string{box, runBucket} {
			for o := range c.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
				if !s3client.IsRefused(o.Err) {
					t.Errorf("%s lists %s: %s %v", file, bucket, o.Key, o.Err)
				}
				break
			}
		}
		if err := put(t.Context(), c, box, st.Inputs[0].Key); !s3client.IsRefused(err) {
			t.Errorf("%s writes an input: %v", file, err)
		}
	}
	// The plan carries the session of each path.
	f, _ := Transfers(r, st, Attempt{Number: 1}, p)
	for i, in := range f.Inputs {
		if in.Session != p.inputs[i] {
			t.Errorf("input %s is read with %s, not with %s", in.Name, in.Session, p.inputs[i])
		}
	}
	if _, err := stage.Encode(f); err != nil {
		t.Error(err)
	}
}

// A copy goes from the stage's own part of the run bucket to the place that the run names, and what
// lies there can be looked at, in one session; no other part of the box is written or read.
func TestPublishWritesItsPlacesOnly(t *testing.T) {
	t.Parallel()
	server := miniotest.Start(t)
	weights, data := databox.UsualBuckets.Box("ns", "weights"), databox.UsualBuckets.Box("ns", "userdata")
	runBucket := databox.UsualBuckets.Runs("ns")
	for _, b := range []string{weights, data, runBucket} {
		must(t, server.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}))
	}
	var outputs []string
	r := newRun(func(r *runtimev1.PipelineRun) {
		r.Spec.Origin, r.Spec.Outputs = runtimev1.OriginUpload, map[string]string{"model": "weights:/models/"}
		for i := range 12 {
			name := fmt.Sprintf("o%d", i)
			outputs = append(outputs, name)
			r.Spec.Outputs[name] = "userdata/" + longPath(i, 200) + "/"
		}
	})
	chain := []*runtimev1.Pipeline{newPipeline("train", with("fit: table -> model, "+strings.Join(outputs, ", ")))}
	x, err := makePlan(r, chain, func(box string) (Box, error) {
		return Box{Bucket: databox.UsualBuckets.Box("ns", box)}, nil
	})
	must(t, err)
	st := &x.Stages[0]
	p, err := MakeSessions(databox.UsualBuckets, r, st)
	must(t, err)
	if len(p.Publish) < 2 {
		t.Fatalf("%d sessions", len(p.Publish))
	}
	clients := sessionsOf(t, server, p)
	for key, bucket := range map[string]string{
		"models-2/m": weights, "secret": weights, databox.UserPrefix("bob") + "group/f": data,
		"runs/run-1/other/1/o/f": runBucket, "runs/run-2/fit/1/o/f": runBucket,
	} {
		server.Put(t, bucket, key, "theirs")
		for _, file := range p.Publish {
			if err := readable(t.Context(), clients[file], bucket, key); !s3client.IsRefused(err) {
				t.Errorf("%s reads %s: %v", file, key, err)
			}
			if err := put(t.Context(), clients[file], bucket, key); !s3client.IsRefused(err) {
				t.Errorf("%s writes %s: %v", file, key, err)
			}
		}
	}
	for i, out := range st.Outputs {
		from := stage.AttemptPrefix(r.Name, st.Name, 1, out.Name) + "f"
		first := clients[p.Publish[0]]
		must(t, put(t.Context(), first, runBucket, from))
		pack := stage.PackKey(stage.Prefix(r.Name, st.Name), 1, out.Name, strings.Repeat("0", 64))
		must(t, put(t.Context(), first, runBucket, pack))
		must(t, readable(t.Context(), first, runBucket, pack))
		must(t, put(t.Context(), clients[p.outputs[i]], out.Bucket, out.Prefix+"packed"))
		dst := minio.CopyDestOptions{Bucket: out.Bucket, Object: out.Prefix + "f"}
		src := minio.CopySrcOptions{Bucket: runBucket, Object: from}
		if _, err := clients[p.outputs[i]].CopyObject(t.Context(), dst, src); err != nil {
			t.Errorf("the copy of %s with %s: %v", out.Name, p.outputs[i], err)
		}
		if err := readable(t.Context(), clients[p.outputs[i]], out.Bucket, dst.Object); err != nil {
			t.Errorf("%s does not see the copy of %s: %v", p.outputs[i], out.Name, err)
		}
	}
}
