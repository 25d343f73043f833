package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	appsv1 "k8s.io/api/apps/v1"
	batchv1 "k8s.io/api/batch/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/runtime"
	utilruntime "k8s.io/apimachinery/pkg/util/runtime"
	servingv1 "knative.dev/serving/pkg/apis/serving/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
)

// Cluster is a connection to the cluster under test.
type Cluster struct {
	client.WithWatch
	// Ingress is the URL at which the cluster's ingress listens for this machine.
	Ingress string
	// Root is the checkout: where ko finds the sources and examples/ lies.
	Root string
	// site is the one host of all modules, at which they are called; "" : each at its own.
	site string
}

// Connect connects to the cluster of the environment.
func Connect() (*Cluster, error) {
	ingress := os.Getenv("UNIP_CLUSTER_INGRESS")
	if os.Getenv("KUBECONFIG") == "" || ingress == "" {
		return nil,
			errors.New(
				"KUBECONFIG and UNIP_CLUSTER_INGRESS must name the cluster: run this by make, or eval \"$(bin/cluster env)\" first")
	}
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return nil, fmt.Errorf("reading KUBECONFIG: %w", err)
	}
	cfg.QPS, cfg.Burst = 50, 100
	scheme := runtime.NewScheme()
	for _, add := range []func(*runtime.Scheme) error{
		corev1.AddToScheme, appsv1.AddToScheme, batchv1.AddToScheme, servingv1.AddToScheme, platformv1.AddToScheme,
		runtimev1.AddToScheme, coordinationv1.AddToScheme,
	} {
		utilruntime.Must(add(scheme))
	}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, fmt.Errorf("connecting to the cluster: %w", err)
	}
	root, err := exec.Command("git", "rev-parse", "--show-toplevel").Output()
	if err != nil {
		return nil, fmt.Errorf("finding the checkout: %w", err)
	}
	cluster := &Cluster{
		WithWatch: c, Ingress: strings.TrimSuffix(ingress, "/"), Root: strings.TrimSpace(string(root)),
	}
	if os.Getenv("UNIP_ONE_HOST") == "" {
		return cluster, nil
	}
	return cluster.AtOneHost(context.Background())
}

// Installation is what the cluster's unip.yaml says.
func (c *Cluster) Installation(ctx context.Context) (installation.Config, error) {
	var config corev1.ConfigMap
	if err := c.Get(ctx, client.ObjectKey{Namespace: names.SystemNamespace, Name: names.Config}, &config); err != nil {
		return installation.Config{}, err
	}
	return installation.Parse([]byte(config.Data[names.ConfigFile]))
}

// Run runs a command of this machine in the checkout with stdin, and returns what it printed. The
// error carries its stderr.
func (c *Cluster) Run(ctx context.Context, stdin []byte, name string, args ...string) ([]byte, error) {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Dir = c.Root
	cmd.Stdin = bytes.NewReader(stdin)
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		return out.Bytes(), fmt.Errorf("%s %s: %w\n%s", name, strings.Join(args, " "), err, tail(errOut.String(), 30))
	}
	return out.Bytes(), nil
}

// Kubectl runs kubectl.
func (c *Cluster) Kubectl(ctx context.Context, args ...string) (string, error) {
	out, err := c.Run(ctx, nil, "kubectl", args...)
	return string(out), err
}

// Await calls check until it returns nil, the context ends, or the timeout is over; then the last
// error of check comes back with what.
func Await(ctx context.Context, timeout time.Duration, what string, check func(context.Context) error) error {
	// A check may go on a little longer, so that what is still wanted is told, not that its own
	// time was up.
	ctx, cancel := context.WithTimeout(ctx, timeout+10*time.Second)
	defer cancel()
	late := time.NewTimer(timeout)
	defer late.Stop()
	tick := time.NewTicker(250 * time.Millisecond)
	defer tick.Stop()
	for start := time.Now(); ; {
		err := check(ctx)
		if err == nil {
			return nil
		}
		var final *FinalError
		if errors.As(err, &final) {
			return fmt.Errorf("%s: %w", what, err)
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("%s: %w: %w", what, ctx.Err(), err)
		case <-late.C:
			return fmt.Errorf("%s: not within %s: %w", what, time.Since(start).Round(time.Second), err)
		case <-tick.C:
		}
	}
}

// FinalError tells Await that waiting longer will not help.
type FinalError struct{ Err error }

func (e *FinalError) Error() string { return e.Err.Error() }

// Unwrap returns the reason.
func (e *FinalError) Unwrap() error { return e.Err }

// UnlessWebhook makes an error of applying final, unless it is of one of Knative's own webhooks, which
// may take longer than they are given on a machine that has much to do.
func UnlessWebhook(err error) error {
	if err == nil || strings.Contains(err.Error(), "failed calling webhook") {
		return err
	}
	return &FinalError{err}
}

func tail(s string, lines int) string {
	all := strings.Split(strings.TrimRight(s, "\n"), "\n")
	return strings.Join(all[max(0, len(all)-lines):], "\n")
}
