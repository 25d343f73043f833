// Command cluster is what `make demo-cluster` shows: the module examples/digits goes live on the
// cluster, an uploaded table starts the pipeline that trains a model, and predict is called from
// zero through the gateway with digits that the model has never seen. It may run again and again.
// When a step fails it says which and why, and exits with 1. With --unip it uses that program, of a
// release, and no ko.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/unip-knative/unip/e2e/demo/show"
	"github.com/unip-knative/unip/e2e/digits"
	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
)

const (
	namespace      = "pu-ann-pa-digits"
	user, password = "ann", "change-me"
	digitsImage    = "registry.localhost:5000/examples/digits:v1"
)

func main() {
	unip := flag.String("unip", "", "apply the module by this program, not by bin/unip and ko")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := run(ctx, *unip); err != nil {
		fmt.Fprintf(os.Stderr, "\ndemo: %v\n", err)
		os.Exit(1)
	}
}

// demo carries what one step leaves for the next.
type demo struct {
	*live.Module
	calls show.Calls
	csv   []byte
	unip  string
}

func run(ctx context.Context, unip string) error {
	cluster, err := live.Connect()
	if err != nil {
		return err
	}
	d := &demo{Module: cluster.Module(namespace), unip: unip}
	d.calls.Module = d
	if err := show.Steps(ctx, os.Stdout, slices.Concat([]show.Step{
		{Title: d.how(), Do: d.apply},
		{Title: "wait until the module is ready", Do: d.ready},
		{Title: "write a table of labelled digits", Do: d.table},
		{Title: "upload it: the pipeline starts by itself, two classifiers learn in parallel, the better becomes the model",
			Do: d.train},
		{Title: "wait until nothing of the module runs", Do: d.sleep},
		{Title: "call predict from zero: the gateway and the model wake up", Do: d.calls.First},
	}, d.calls.Further(), []show.Step{
		{Title: "wait until nothing runs again", Do: d.sleep},
	})); err != nil {
		return err
	}
	return d.look(ctx)
}

const module = "examples/digits/manifests"

func (d *demo) how() string {
	if d.unip != "" {
		return "unip apply -f " + module
	}
	return "translate " + module + " and apply the result with ko"
}

func (d *demo) apply(ctx context.Context) (string, error) {
	if d.unip == "" {
		return "", d.Apply(ctx, module)
	}
	_, err := d.Run(ctx, nil, os.Getenv("CLUSTER"), "exec", "--", d.unip, "apply", "-f", module)
	return "", err
}

func (d *demo) ready(ctx context.Context) (string, error) {
	return "", d.AwaitReady(ctx, 3*time.Minute)
}

// table writes the table in a pod of the module's image, which has scikit-learn's digits, and takes
// it out with those that are not in it.
func (d *demo) table(ctx context.Context) (string, error) {
	const pod = "digits-table"
	gone := func(ctx context.Context) error {
		_, err := d.Kubectl(ctx, "-n", namespace, "delete", "pod", pod, "--ignore-not-found", "--now")
		return err
	}
	if err := gone(ctx); err != nil {
		return "", err
	}
	defer func() { _ = gone(context.WithoutCancel(ctx)) }()
	if _, err := d.Kubectl(ctx, "-n", namespace, "run", pod, "--image="+digitsImage, "--image-pull-policy=Always",
		"--restart=Never", "--command", "--", "sleep", "600"); err != nil {
		return "", err
	}
	if _, err := d.Kubectl(ctx, "-n", namespace, "wait", "--for=condition=Ready", "pod/"+pod,
		"--timeout=90s"); err != nil {
		return "", fmt.Errorf("%w\n%s", err, d.Diagnose(ctx))
	}
	exec := func(args ...string) ([]byte, error) {
		return d.Run(ctx, nil, "kubectl", append([]string{"-n", namespace, "exec", pod, "--"}, args...)...)
	}
	if _, err := exec("python3", "-m", "digits.data", "--table", "/tmp/digits.csv", "--held-out",
		"/tmp/held-out.json"); err != nil {
		return "", err
	}
	var err error
	if d.csv, err = exec("cat", "/tmp/digits.csv"); err != nil {
		return "", err
	}
	held, err := exec("cat", "/tmp/held-out.json")
	if err != nil {
		return "", err
	}
	if d.calls.HeldOut, err = digits.ReadHeldOut(held); err != nil {
		return "", err
	}
	return fmt.Sprintf("%d KiB ", len(d.csv)>>10), nil
}

// train uploads the table through the file API and watches the run that this starts.
func (d *demo) train(ctx context.Context) (string, error) {
	before, err := d.Runs(ctx)
	if err != nil {
		return "", err
	}
	start := time.Now()
	if err := d.Upload(ctx, "userdata/incoming/digits.csv", d.csv); err != nil {
		return "", err
	}
	fmt.Printf("   %5.1f s  uploaded\n", time.Since(start).Seconds())
	var name string
	err = live.Await(ctx, time.Minute, "waiting for the run that the upload starts", func(ctx context.Context) error {
		now, err := d.Runs(ctx)
		if err != nil {
			return err
		}
		for _, r := range now {
			if !slices.ContainsFunc(before, func(b runtimev1.PipelineRun) bool { return b.Name == r.Name }) {
				name = r.Name
				return nil
			}
		}
		return fmt.Errorf("there are %d runs, none of them new", len(now))
	})
	if err != nil {
		return "", err
	}
	fmt.Printf("   %5.1f s  run %s\n", time.Since(start).Seconds(), name)
	run, err := d.AwaitRun(ctx, name, 5*time.Minute, func(st runtimev1.StageStatus) {
		fmt.Printf("   %5.1f s  %-10s %s %s\n", time.Since(start).Seconds(), st.Name, st.State, st.Message)
	})
	if err != nil {
		return "", err
	}
	if run.Status.State != runtimev1.Succeeded {
		return "", fmt.Errorf("run %s is %s: %s\n%s", name, run.Status.State, run.Status.Message, d.Diagnose(ctx))
	}
	report, err := d.Download(ctx, user, password, run.Status.Outputs["report"]+"report.json")
	if err != nil {
		return "", fmt.Errorf("reading the report: %w", err)
	}
	return show.Report(report)
}

func (d *demo) sleep(ctx context.Context) (string, error) {
	if err := d.AwaitZero(ctx, 2*time.Minute, "digits", "gateway"); err != nil {
		return "", err
	}
	return "0 pods ", d.AwaitGone(ctx, 2*time.Minute)
}

// Upload, Predict and Guess are those of show.Module.
func (d *demo) Upload(ctx context.Context, path string, data []byte) error {
	return d.Module.Upload(ctx, user, password, path, data)
}

// Predict calls the function.
func (d *demo) Predict(ctx context.Context, i show.Image) ([]int, time.Duration, error) {
	v := live.Variable{Name: "image", Datatype: i.Datatype}
	var err error
	if v.Data, err = json.Marshal(i.Data); err != nil {
		return nil, 0, err
	}
	if i.Shape != nil {
		if v.Shape, err = json.Marshal(i.Shape); err != nil {
			return nil, 0, err
		}
	}
	a, err := d.Module.Predict(ctx, "digits", user, password, v)
	if err != nil {
		return nil, 0, err
	}
	if a.Status != http.StatusOK {
		return nil, 0, fmt.Errorf("predict answered %d: %s\n%s", a.Status, a.Body, d.Diagnose(ctx))
	}
	var read []int
	err = a.Output("digit", &read)
	return read, a.Took, err
}

// Guess calls it with a wrong password.
func (d *demo) Guess(ctx context.Context) (int, []byte, error) {
	a, err := d.Module.Predict(ctx, "digits", user, "wrong")
	if err != nil {
		return 0, nil, err
	}
	return a.Status, a.Body, nil
}

func (d *demo) look(ctx context.Context) error {
	host, err := d.Host(ctx)
	if err != nil {
		return err
	}
	fmt.Printf(`
== look further
   eval "$(bin/cluster env)"
   kubectl -n %[1]s get databoxes,ksvc,pods,secrets,configmaps
   kubectl -n %[1]s get pipelines,pipelineruns,jobs,triggers
   curl -u %[2]s:%[3]s -H 'Host: %[4]s' %[5]s/%[1]s/pipelines/runs
   curl -u %[2]s:%[3]s -H 'Host: %[4]s' %[5]s/%[1]s/files/userdata/train/
   kubectl -n %[1]s logs -l serving.knative.dev/service=digits -c server
   kubectl -n unip-system logs deploy/unip-controller
   curl -u %[2]s:%[3]s -H 'Host: %[4]s' %[5]s/%[1]s/digits/openapi.json
   curl -u %[2]s:%[3]s -H 'Host: %[4]s' %[5]s/%[1]s/digits/predict -d '{"inputs":[{"name":"image","datatype":"INT32","shape":[1,8,8],"data":%[6]s}]}'
   kubectl delete namespace %[1]s      # the end of the module, its bucket included on the local cluster
`, namespace, user, password, host, d.Ingress, compact(d.calls.HeldOut.Images[2]))
	return nil
}

func compact(image []float64) string {
	b, _ := json.Marshal(image) // numbers always encode
	return string(b)
}
