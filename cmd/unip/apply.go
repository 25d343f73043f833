package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os/exec"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/util/yaml"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/translate/encode"
)

// deployment is what apply, diff and delete have in common.
type deployment struct {
	translation
	kubeconfig, context string
	force, prune, boxes bool
}

func (d *deployment) flags(c *cobra.Command) {
	d.translation.flags(c)
	clusterFlags(c, &d.kubeconfig, &d.context)
	c.Flags().StringVar(&d.images, "images", "", "unip's own images: ko (built by the ko command) or release; default what this build knows")
	c.Flags().BoolVar(&d.noNamespace, "no-namespace", false, "leave the Namespace object alone")
	complete(c, "images", "ko", "release")
}

func (d *deployment) applyFlags(c *cobra.Command) {
	c.Flags().BoolVar(&d.force, "force-conflicts", false, "take over fields that another field manager holds")
	c.Flags().BoolVar(&d.prune, "prune", true, "remove what unip made and the module no longer has")
	c.Flags().BoolVar(&d.boxes, "prune-boxes", false, "remove DataBoxes as well that the module no longer has; what becomes of their data is the installation's policy")
}

func clusterFlags(c *cobra.Command, kubeconfig, kubeContext *string) {
	c.Flags().StringVar(kubeconfig, "kubeconfig", "", "the kubeconfig file (default: kubectl's)")
	c.Flags().StringVar(kubeContext, "context", "", "the kubeconfig's context (default: its current one)")
}

// target is a translated module beside the cluster it is meant for.
type target struct {
	*cluster.Cluster
	namespace string
	objects   []*cluster.Object
}

// open translates the manifests and connects. With images, those that ko has to build are built.
func (d *deployment) open(c *cobra.Command, images bool) (*target, error) {
	objects, _, err := d.run(c, false)
	if err != nil {
		return nil, err
	}
	b, err := encode.YAML(objects)
	if err != nil {
		return nil, err
	}
	if images && bytes.Contains(b, []byte("ko://")) {
		if b, err = resolve(c, b); err != nil {
			return nil, err
		}
	}
	m := &target{}
	if m.objects, err = parse(b); err != nil {
		return nil, err
	}
	for _, o := range m.objects { // what came to the module from elsewhere may lie anywhere
		if o.GetLabels()["app.kubernetes.io/managed-by"] != "unip" {
			continue
		}
		if m.namespace = o.GetNamespace(); o.GetKind() == "Namespace" {
			m.namespace = o.GetName() // all that there is of a module whose last component has gone
		}
		break
	}
	m.Cluster, err = cluster.Connect(d.kubeconfig, d.context, c.ErrOrStderr())
	return m, err
}

func parse(b []byte) ([]*cluster.Object, error) {
	var all []*cluster.Object
	for d := yaml.NewYAMLOrJSONDecoder(bytes.NewReader(b), len(b)); ; {
		o := &cluster.Object{}
		err := d.Decode(&o.Object)
		if errors.Is(err, io.EOF) {
			return all, nil
		}
		if err != nil {
			return nil, fmt.Errorf("reading what was translated: %w", err)
		}
		if len(o.Object) > 0 {
			all = append(all, o)
		}
	}
}

// resolve lets ko build the images of a development build.
func resolve(c *cobra.Command, b []byte) ([]byte, error) {
	fmt.Fprintln(c.ErrOrStderr(), "building unip's images with ko …")
	ko := exec.CommandContext(c.Context(), "ko", "resolve", "--sbom=none", "-f", "-")
	ko.Stdin = bytes.NewReader(b)
	var out, said bytes.Buffer
	ko.Stdout, ko.Stderr = &out, &said
	err := ko.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil, errors.New("this development build of unip knows no released images, and there is no ko to build them; install ko, or use a release of unip")
	case err != nil:
		return nil, fmt.Errorf("ko resolve: %w\n%s", err, strings.TrimSpace(said.String()))
	}
	return out.Bytes(), nil
}

// surplus are the objects that have to go.
func (d *deployment) surplus(ctx context.Context, m *target) ([]*cluster.Object, error) {
	if !d.prune || m.namespace == "" {
		return nil, nil
	}
	return m.Surplus(ctx, m.namespace, m.objects, d.boxes)
}

// results prints what was done: a line each as it comes, or everything as JSON at the end.
type results struct {
	c    *cobra.Command
	json bool
	all  []cluster.Result
}

func (r *results) tell(x cluster.Result) {
	r.all = append(r.all, x)
	if r.json {
		return
	}
	line := x.Object + " " + x.Result
	if x.Reason != "" {
		line += ": " + x.Reason
	}
	fmt.Fprintln(r.c.OutOrStdout(), printable.Line(line))
}

func (r *results) end(err error) error {
	if !r.json {
		return err
	}
	return errors.Join(writeJSON(r.c.OutOrStdout(), append([]cluster.Result{}, r.all...)), err)
}

// outputs checks -o.
func outputs(output string) error {
	if output != "text" && output != "json" {
		return &usageError{fmt.Errorf("-o: %q is neither text nor json", output)}
	}
	return nil
}

func applyCommand() *cobra.Command {
	var d deployment
	var output string
	var wait bool
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "apply -f FILE|FOLDER|-",
		Short: "Bring a module to the cluster and wait until it is ready",
		Long: `Apply translates the manifests of one module, writes the objects by server-side apply with the field manager "unip", removes what unip made before and the module no longer has, and waits until
every box, Service, Broker, Trigger and Pipeline is ready, with the reasons of those that are not yet. Nothing is written when the manifests hold an error. What goes is removed one by one;
DataBoxes only with --prune-boxes; a ConfigMap that a Revision still refers to stays until that has gone.`,
		Example: `  unip apply -f manifests/
  unip diff -f manifests/ || unip apply -f manifests/ --timeout 10m`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := outputs(output); err != nil {
				return err
			}
			m, err := d.open(c, true)
			if err != nil {
				return err
			}
			r := &results{c: c, json: output == "json"}
			return r.end(d.apply(c, m, r, wait, timeout))
		},
	}
	d.flags(c)
	d.applyFlags(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.Flags().BoolVar(&wait, "wait", true, "wait until everything is ready")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait")
	complete(c, "output", "text", "json")
	return c
}

func (d *deployment) apply(c *cobra.Command, m *target, r *results, wait bool, timeout time.Duration) error {
	ctx := c.Context()
	if err := m.ApplyAll(ctx, m.objects, d.force, r.tell); err != nil {
		return err
	}
	surplus, err := d.surplus(ctx, m)
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if err := m.Delete(ctx, surplus, false, r.tell); err != nil || !wait {
		return err
	}
	began := time.Now()
	return m.AwaitReady(ctx, m.objects, func(object, news string) {
		fmt.Fprintf(c.ErrOrStderr(), "%6.1f s  %s: %s\n", time.Since(began).Seconds(), printable.Line(object), printable.Line(news))
	})
}

func diffCommand() *cobra.Command {
	var d deployment
	var output string
	c := &cobra.Command{
		Use:   "diff -f FILE|FOLDER|-",
		Short: "Show what apply would change on the cluster",
		Long: `Diff translates the manifests of one module and asks the API server, by a dry run of the server-side apply, what would change; what apply would remove is shown as removed. Values of Secrets are
masked. It exits with 0 when nothing would change, with 1 when something would, and with more when it failed.`,
		Example: `  unip diff -f manifests/
  unip diff -f manifests/ -o json | jq -r '.[].object'`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := outputs(output); err != nil {
				return err
			}
			differences, err := d.differences(c)
			if err != nil {
				if errors.As(err, new(*usageError)) {
					return err
				}
				return fmt.Errorf("no comparison: %w", withoutExitCode(err)) // 1 says that something differs
			}
			if output == "json" {
				if err := writeJSON(c.OutOrStdout(), append([]cluster.Difference{}, differences...)); err != nil {
					return err
				}
			} else {
				for _, x := range differences {
					fmt.Fprint(c.OutOrStdout(), printable.Text(x.Diff))
				}
			}
			if len(differences) > 0 {
				return &inputError{}
			}
			return nil
		},
	}
	d.flags(c)
	d.applyFlags(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	complete(c, "output", "text", "json")
	return c
}

// withoutExitCode is an error that no longer counts as the input's.
func withoutExitCode(err error) error {
	var input *inputError
	if !errors.As(err, &input) {
		return err
	}
	if input.summary == "" {
		return errors.New("the manifests are wrong")
	}
	return errors.New(input.summary)
}

func (d *deployment) differences(c *cobra.Command) ([]cluster.Difference, error) {
	m, err := d.open(c, true)
	if err != nil {
		return nil, err
	}
	surplus, err := d.surplus(c.Context(), m)
	if err != nil {
		return nil, err
	}
	return m.Diff(c.Context(), m.objects, surplus, d.force)
}

func deleteCommand() *cobra.Command {
	var d deployment
	var output string
	var timeout time.Duration
	c := &cobra.Command{
		Use:   "delete -f FILE|FOLDER|-",
		Short: "Remove a module from the cluster",
		Long: `Delete removes the objects of one module, one by one and what calls others first, and waits for the end of each; the Namespace comes last, and with it everything else that lies in it (not with
--no-namespace). What becomes of the data of its boxes is the installation's policy. What is gone already is no error.`,
		Example: `  unip delete -f manifests/`,
		Args:    noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := outputs(output); err != nil {
				return err
			}
			m, err := d.open(c, false)
			if err != nil {
				return err
			}
			r := &results{c: c, json: output == "json"}
			ctx, cancel := context.WithTimeout(c.Context(), timeout)
			defer cancel()
			return r.end(m.remove(ctx, r.tell))
		},
	}
	d.flags(c)
	c.Flags().StringVarP(&output, "output", "o", "text", "text or json")
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Minute, "how long to wait for the end of everything")
	complete(c, "output", "text", "json")
	return c
}

// remove deletes what unip made in the namespace, then what else the module has, in the opposite order of its application.
func (m *target) remove(ctx context.Context, tell func(cluster.Result)) error {
	if m.namespace != "" {
		made, err := m.Surplus(ctx, m.namespace, nil, true)
		if err != nil {
			return err
		}
		if err := m.Delete(ctx, made, true, tell); err != nil {
			return err
		}
	}
	left := make([]*cluster.Object, 0, len(m.objects))
	for i := len(m.objects) - 1; i >= 0; i-- {
		left = append(left, m.objects[i])
	}
	return m.Delete(ctx, left, true, tell)
}
