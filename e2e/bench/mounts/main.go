// Command mounts measures, on the cluster of the environment, what a component pays at its start for
// the files that it mounts: from zero, one that mounts many files and the same without them, beside
// `s5cmd cp` of these files in a container with the limits of `server`. The three take turns in who is
// first. `make bench-mounts` runs it. It removes what it made.
package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"golang.org/x/sync/errgroup"

	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/databox"
)

var (
	pairs   = flag.Int("rounds", 5, "starts of each; the medians count")
	files   = flag.Int("files", 1000, "how many files are mounted")
	total   = flag.Int64("mib", 2048, "how large they are together, in MiB")
	program = flag.String("s5cmd", "s5cmd", "s5cmd")
)

const (
	module = "unip-bench-mounts"
	image  = "registry.localhost:5000/e2e/echo:v1"

	manifests = `
apiVersion: unified-platform.cs.hse.ru/v1
kind: DataBox
metadata: {name: big, namespace: unip-bench-mounts}
spec: {s3DefaultStorage: {capacity: 100G}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: with, namespace: unip-bench-mounts}
spec:
  image: {existingImageName: ` + image + `}
  mlService: {inference: 'echo:echo'}
  connectedBoxes: [{name: big, mountS3Box: {s3Path: big, mountPath: /big, readOnly: true}}]
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: MLComponent
metadata: {name: without, namespace: unip-bench-mounts}
spec:
  image: {existingImageName: ` + image + `}
  mlService: {inference: 'echo:echo'}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: with, namespace: unip-bench-mounts}
spec: {published: true, mlComponent: {name: with}, restfulApi: {path: with, auth: {basic: {credentials: users}}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: APIComponent
metadata: {name: without, namespace: unip-bench-mounts}
spec: {published: true, mlComponent: {name: without}, restfulApi: {path: without, auth: {basic: {credentials: users}}}}
---
apiVersion: unified-platform.cs.hse.ru/v1
kind: Secret
metadata: {name: users, namespace: unip-bench-mounts}
stringData: {ann: change-me}
`
	// The limits are those of the container server.
	pod = `
apiVersion: v1
kind: Pod
metadata: {name: s5cmd, namespace: unip-bench-mounts}
spec:
  containers:
  - name: s5cmd
    image: ` + image + `
    command: [sleep, "86400"]
    resources: {requests: {cpu: 25m, memory: 64Mi}, limits: {memory: 512Mi}}
    volumeMounts: [{name: work, mountPath: /work}]
  volumes: [{name: work, emptyDir: {}}]
`
)

func main() {
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "bench:", err)
		os.Exit(1)
	}
}

// bench is the module, with its files.
type bench struct {
	*live.Module
	session databox.Session
}

func run(ctx context.Context) error {
	c, err := live.Connect()
	if err != nil {
		return err
	}
	b := &bench{Module: c.Module(module)}
	defer func() { _ = b.Delete(context.WithoutCancel(ctx)) }()
	if err := b.prepare(ctx); err != nil {
		return err
	}
	sides := []struct {
		name string
		do   func(context.Context) (time.Duration, error)
		all  []time.Duration
	}{
		{name: "without mounts", do: func(ctx context.Context) (time.Duration, error) { return b.call(ctx, "without") }},
		{name: "s5cmd", do: b.s5cmd},
		{name: "with mounts", do: func(ctx context.Context) (time.Duration, error) { return b.call(ctx, "with") }},
	}
	for round := range *pairs {
		for i := range sides {
			s := &sides[(i+round)%len(sides)]
			took, err := s.do(ctx)
			if err != nil {
				return fmt.Errorf("%s: %w", s.name, err)
			}
			s.all = append(s.all, took)
		}
		fmt.Printf("round %d: without %.2f s, s5cmd %.2f s, with %.2f s\n", round+1, sides[0].all[round].Seconds(),
			sides[1].all[round].Seconds(), sides[2].all[round].Seconds())
	}
	median := func(i int) float64 { return slices.Sorted(slices.Values(sides[i].all))[*pairs/2].Seconds() }
	without, s5cmd, with := median(0), median(1), median(2)
	fmt.Printf("\n%d files of %d MiB together; medians of %d: without %.2f s, s5cmd %.2f s, with %.2f s\n"+
		"the files cost %.2f of s5cmd (to be: 1.2)\n", *files, *total, *pairs, without, s5cmd, with, (with-without)/s5cmd)
	return nil
}

func (b *bench) prepare(ctx context.Context) error {
	dir, err := os.MkdirTemp("", "unip-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := os.WriteFile(filepath.Join(dir, "module.yaml"), []byte(manifests), 0o600); err != nil {
		return err
	}
	if err := errors.Join(b.Delete(ctx), b.Apply(ctx, dir)); err != nil {
		return err
	}
	if err := b.AwaitReady(ctx, 5*time.Minute); err != nil {
		return err
	}
	if err := b.fill(ctx); err != nil {
		return err
	}
	tool, err := os.ReadFile(*program)
	if err != nil {
		return err
	}
	for _, step := range []struct {
		stdin []byte
		args  []string
	}{
		{[]byte(pod), []string{"apply", "-f", "-"}},
		{nil, []string{"-n", module, "wait", "--for=condition=Ready", "pod/s5cmd", "--timeout=120s"}},
		{tool, []string{"-n", module, "exec", "-i", "s5cmd", "--", "sh", "-c", "cat > /work/s5cmd && chmod +x /work/s5cmd"}},
	} {
		if _, err := b.Run(ctx, step.stdin, "kubectl", step.args...); err != nil {
			return err
		}
	}
	return nil
}

// fill puts the files into the box; none is like another.
func (b *bench) fill(ctx context.Context) error {
	client, session, err := b.Bucket(ctx, "big")
	if err != nil {
		return err
	}
	b.session = session
	size := *total << 20 / int64(*files)
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(8)
	for i := range *files {
		g.Go(func() error {
			content, err := io.ReadAll(io.LimitReader(rand.NewChaCha8([32]byte{byte(i), byte(i >> 8)}), size))
			if err != nil {
				return err
			}
			key := fmt.Sprintf("big/%02d/%d", i%10, i)
			_, err = client.PutObject(ctx, session.Bucket, key, bytes.NewReader(content), size,
				minio.PutObjectOptions{DisableMultipart: true})
			return err
		})
	}
	return g.Wait()
}

// call is a call from zero, with the gateway awake.
func (b *bench) call(ctx context.Context, path string) (time.Duration, error) {
	if err := b.AwaitAsleep(ctx, 5*time.Minute); err != nil {
		return 0, err
	}
	if _, err := b.Call(ctx, live.Request{Method: http.MethodGet, Path: "/"}); err != nil {
		return 0, err
	}
	a, err := b.Predict(ctx, path, "ann", "change-me", live.Variable{Name: "text", Datatype: "str",
		Data: json.RawMessage(`"a"`)})
	if err == nil && a.Status != http.StatusOK {
		err = fmt.Errorf("%d %s", a.Status, a.Body)
	}
	if err != nil {
		return 0, err
	}
	return a.Took, nil
}

// s5cmd copies the files in the pod, which says how long that took and how many came.
func (b *bench) s5cmd(ctx context.Context) (time.Duration, error) {
	const script = `
import os, shutil, subprocess, sys, time
shutil.rmtree("/work/out", ignore_errors=True)
env = dict(os.environ, AWS_ACCESS_KEY_ID=sys.argv[2], AWS_SECRET_ACCESS_KEY=sys.argv[3], AWS_REGION=sys.argv[4])
start = time.monotonic_ns()
subprocess.run(["/work/s5cmd", "--log", "error", "--endpoint-url", sys.argv[1], "cp", "s3://%s/big/*" % sys.argv[5], "/work/out/"], check=True, env=env)
print(time.monotonic_ns() - start, sum(len(names) for _, _, names in os.walk("/work/out")))
shutil.rmtree("/work/out")`
	out, err := b.Run(ctx, []byte(script), "kubectl", "-n", module, "exec", "-i", "s5cmd", "--", "python3", "-",
		b.session.Endpoint, b.session.AccessKeyID, b.session.SecretAccessKey, b.session.Region, b.session.Bucket)
	if err != nil {
		return 0, err
	}
	said := strings.Fields(string(out))
	if len(said) != 2 || said[1] != strconv.Itoa(*files) {
		return 0, fmt.Errorf("it copied %q, not %d files", said, *files)
	}
	n, err := strconv.ParseInt(said[0], 10, 64)
	return time.Duration(n), err
}
