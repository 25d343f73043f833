package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"sync"

	"github.com/spf13/cobra"

	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/output"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/translate/encode"
	"github.com/unip-knative/unip/translate/module"
)

// deployment is what apply, diff and delete have in common: a module and a cluster.
type deployment struct {
	option.Translation
	cluster option.Cluster
	format  option.Format

	forceConflicts, prune, pruneBoxes bool
}

func (d *deployment) addFlags(c *cobra.Command) {
	d.Translation.AddFlags(c)
	d.AddObjectFlags(c, "unip's own images: ko (built by the ko command, in a checkout of unip) or release (those that "+
		"this build knows); default what the installation says", "leave the Namespace object alone")
	d.cluster.AddFlags(c)
	d.format.AddTextOrJSON(c)
}

// addChangeFlags adds those of commands that bring a cluster to the state of a module.
func (d *deployment) addChangeFlags(c *cobra.Command) {
	d.AddDigests(c, true)
	c.Flags().BoolVar(&d.forceConflicts, "force-conflicts", false, "take over fields that another field manager holds")
	c.Flags().BoolVar(&d.prune, "prune", true, "remove what unip made and the module no longer has")
	c.Flags().BoolVar(&d.pruneBoxes, "prune-boxes", false,
		"remove DataBoxes as well that the module no longer has; what becomes of their data is the installation's policy")
}

// target is a translated module beside the cluster it is meant for.
type target struct {
	*cluster.Cluster
	module    *module.Module
	namespace string
	objects   []*cluster.Object
	host      string // of all modules, where the installation has one
}

// open connects and translates the manifests, by the cluster's installation. With buildImages, those
// that ko has to build are built.
func (d *deployment) open(c *cobra.Command, buildImages bool) (*target, error) {
	d.Translation.Cluster = sync.OnceValues(func() (*cluster.Cluster, error) { return d.cluster.Connect(c) })
	d.AnyImages = !buildImages
	m, objects, err := d.Objects(c)
	if err != nil {
		return nil, err
	}
	b, err := encode.YAML(objects)
	if err != nil {
		return nil, err
	}
	if buildImages && bytes.Contains(b, []byte("ko://")) {
		if b, err = koResolve(c, b); err != nil {
			return nil, err
		}
	}
	t := &target{module: m, host: d.Host}
	if t.objects, err = cluster.ParseYAML(b); err != nil {
		return nil, fmt.Errorf("reading what was translated: %w", err)
	}
	for _, o := range t.objects { // what came to the module from elsewhere may lie anywhere
		if o.GetLabels()[label.ManagedBy] != label.Unip {
			continue
		}
		if t.namespace = o.GetNamespace(); o.GetKind() == "Namespace" {
			t.namespace = o.GetName() // all that there is of a module whose last component has gone
		}
		break
	}
	t.Cluster, err = d.Translation.Cluster()
	return t, err
}

// koResolve lets ko build the images of a development build.
func koResolve(c *cobra.Command, b []byte) ([]byte, error) {
	fmt.Fprintln(c.ErrOrStderr(), "building unip's images with ko …")
	ko := exec.CommandContext(c.Context(), "ko", "resolve", "--sbom=none", "-f", "-")
	ko.Stdin = bytes.NewReader(b)
	var stdout, stderr bytes.Buffer
	ko.Stdout, ko.Stderr = &stdout, &stderr
	err := ko.Run()
	switch {
	case errors.Is(err, exec.ErrNotFound):
		return nil,
			errors.New("there is no ko to build unip's images; install ko, or leave out --images=ko: the installation " +
				"says the images")
	case err != nil:
		return nil, fmt.Errorf("ko resolve: %w\n%s\nko finds unip's sources in a checkout of unip alone; without "+
			"--images=ko the installation says the images", err, strings.TrimSpace(stderr.String()))
	}
	return stdout.Bytes(), nil
}

// surplus are the objects that have to go.
func (d *deployment) surplus(ctx context.Context, t *target) ([]*cluster.Object, error) {
	if !d.prune || t.namespace == "" {
		return nil, nil
	}
	return t.Surplus(ctx, t.namespace, t.objects, d.pruneBoxes)
}

// results shows what was done to each object: a line as it comes, or everything as JSON at the end.
type results struct {
	c    *cobra.Command
	json bool
	all  []cluster.Result
}

// add takes what was done to one object.
func (r *results) add(x cluster.Result) {
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

// answers notes where the module answers.
func (r *results) answers(address string) {
	for i := range r.all {
		if r.all[i].Object == "service.serving.knative.dev/"+names.Gateway {
			r.all[i].URL = address
		}
	}
}

// finish writes the JSON, whatever the command ended with, which is err.
func (r *results) finish(err error) error {
	if !r.json {
		return err
	}
	return errors.Join(output.WriteJSON(r.c.OutOrStdout(), append([]cluster.Result{}, r.all...)), err)
}
