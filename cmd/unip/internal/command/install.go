package command

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"strings"
	"time"

	"github.com/spf13/cobra"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/unip-knative/unip/cmd/internal/exit"
	"github.com/unip-knative/unip/cmd/unip/internal/cluster"
	"github.com/unip-knative/unip/cmd/unip/internal/option"
	"github.com/unip-knative/unip/cmd/unip/internal/release"
	"github.com/unip-knative/unip/eventing/printable"
)

// setup is what install and upgrade have in common: the objects of a release, and a cluster.
type setup struct {
	build    release.Build
	cluster  option.Cluster
	format   option.Format
	file     string
	registry string
	wait     bool
	timeout  time.Duration
}

func (i *setup) addFlags(c *cobra.Command) {
	i.cluster.AddFlags(c)
	c.Flags().StringVarP(&i.file, "filename", "f", "", "a release's unip.yaml, - for standard input (default: its own)")
	c.Flags().StringVar(&i.registry, "registry", "",
		"where the release's images have been copied to, such as registry.example.org/unip")
	c.Flags().BoolVar(&i.wait, "wait", true, "wait until the new pods run")
	c.Flags().DurationVar(&i.timeout, "timeout", 5*time.Minute, "how long to wait")
}

func installCommand(build release.Build) *cobra.Command {
	i := setup{build: build}
	var dryRun bool
	c := &cobra.Command{
		Use:   "install",
		Short: "Install unip itself on a cluster",
		Long: `Install writes the objects of this release's unip.yaml by server-side apply, as kubectl apply does with
that file. It looks first whether Knative runs, whether the API server is new enough and whether you
may write them all; where something is missing it says so and writes nothing. What is there is brought
to this release; how many replicas there are stays, and so do CRDs of a later release.

It makes no Secret: at the end it says how to give unip the keys of your S3 server.`,
		Example: `  unip install
  unip install --dry-run
  unip install --registry registry.example.org/unip -o yaml > unip.yaml`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := i.format.Check(); err != nil {
				return err
			}
			objects, err := i.objects(c)
			if err != nil {
				return err
			}
			if i.format.Is("yaml") {
				return writeYAML(c.OutOrStdout(), objects)
			}
			k, err := i.cluster.Connect(c)
			if err != nil {
				return err
			}
			if !k.CanInstall(c.Context(), objects, i.tellOf(c)) {
				return unable(c)
			}
			return i.install(c, k, objects, dryRun)
		},
	}
	i.addFlags(c)
	c.Flags().BoolVar(&dryRun, "dry-run", false, "only say what would be written")
	i.format.AddTo(c, c.Flags(), "text, json, or yaml: the objects themselves, for no cluster", "text", "json", "yaml")
	return c
}

func upgradeCommand(build release.Build) *cobra.Command {
	i := setup{build: build}
	var check bool
	c := &cobra.Command{
		Use:   "upgrade",
		Short: "Bring the installed unip to this release",
		Long: `Upgrade says what it meets before it does what install does: the version that is there, what becomes
of CRDs and of what is stored, runs under way, and modules with another release's images. When
something that is stored would be lost it writes nothing. Runs go on; modules keep what they have
until they are applied again.

With --check it only says so, and what would be written: exit code 1 when something stands in the
way.`,
		Example: `  unip upgrade --check
  unip upgrade`,
		Args: noArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := i.format.Check(); err != nil {
				return err
			}
			objects, err := i.objects(c)
			if err != nil {
				return err
			}
			k, err := i.cluster.Connect(c)
			if err != nil {
				return err
			}
			tell := i.tellOf(c)
			able := k.CanInstall(c.Context(), objects, tell)
			fine, err := k.ExamineUpgrade(c.Context(), objects, gatewayOf(objects), tell)
			if errors.Is(err, cluster.ErrNotInstalled) {
				return fmt.Errorf("%w; `unip install` installs it", err)
			}
			if err != nil {
				return err
			}
			if !able || !fine {
				return unable(c)
			}
			return i.install(c, k, objects, check)
		},
	}
	i.addFlags(c)
	c.Flags().BoolVar(&check, "check", false, "only say what it meets and what would be written")
	i.format.AddTextOrJSON(c)
	return c
}

// unable is the end of a command that has found what stands in its way, and shown it.
func unable(c *cobra.Command) error {
	fmt.Fprintln(c.ErrOrStderr(), "nothing was written")
	return exit.Shown(exit.Unhealthy, "something stands in the way")
}

// tellOf shows findings to people; data is about what is written.
func (i *setup) tellOf(c *cobra.Command) func(cluster.Finding) {
	w := c.OutOrStdout()
	if i.format.JSON() {
		w = c.ErrOrStderr()
	}
	return func(f cluster.Finding) { showFinding(w, f) }
}

// maxManifest bounds a unip.yaml.
const maxManifest = 16 << 20

// readManifest reads all of a unip.yaml, or nothing.
func readManifest(from io.Reader) ([]byte, error) {
	b, err := io.ReadAll(io.LimitReader(from, maxManifest+1))
	if err == nil && len(b) > maxManifest {
		err = exit.Errorf(exit.InputWrong, "that is no unip.yaml of a release: it has more than %d MiB", maxManifest>>20)
	}
	return b, err
}

// objects are those of the release.
func (i *setup) objects(c *cobra.Command) ([]*cluster.Object, error) {
	text, err := i.build.YAML()
	switch {
	case i.file == "-":
		text, err = readManifest(c.InOrStdin())
	case i.file != "":
		var f *os.File
		if f, err = os.Open(i.file); err == nil {
			text, err = readManifest(f)
			f.Close()
		}
	case err == nil && text == nil:
		err = exit.Errorf(exit.UsageWrong, "this is a development build, which has no unip.yaml: -f FILE names one; in "+
			"a checkout of unip `make deploy` installs what lies there")
	}
	if err != nil {
		return nil, err
	}
	objects, err := cluster.ParseYAML(text)
	if err != nil {
		return nil, exit.Because(exit.InputWrong, fmt.Errorf("reading %s: %w", i.file, err))
	}
	if len(objects) == 0 || gatewayOf(objects) == "" {
		return nil, exit.Errorf(exit.InputWrong, "%s is no unip.yaml of a release: no Deployment in it names the image of "+
			"gateways by digest", i.file)
	}
	if i.registry != "" {
		eachImage(objects, func(name, digest string) string {
			return strings.TrimSuffix(i.registry, "/") + name[strings.LastIndex(name, "/"):] + "@" + digest
		})
	}
	return objects, nil
}

var byDigest = regexp.MustCompile(`^([^@\s]+/[^@\s]+)@(sha256:[0-9a-f]{64})$`)

// eachImage puts what f returns in the place of each image by digest, in containers and in their
// environment, by which the controller knows the images of modules.
func eachImage(objects []*cluster.Object, f func(name, digest string) string) {
	replace := func(m map[string]any, key string) {
		value, _ := m[key].(string)
		if parts := byDigest.FindStringSubmatch(value); parts != nil {
			m[key] = f(parts[1], parts[2])
		}
	}
	for _, o := range objects {
		if o.GetKind() != "Deployment" {
			continue
		}
		path := []string{"spec", "template", "spec", "containers"}
		containers, _, _ := unstructured.NestedSlice(o.Object, path...)
		for _, x := range containers {
			container, _ := x.(map[string]any)
			replace(container, "image")
			env, _ := container["env"].([]any)
			for _, e := range env {
				if v, ok := e.(map[string]any); ok {
					replace(v, "value")
				}
			}
		}
		if containers != nil {
			_ = unstructured.SetNestedSlice(o.Object, containers, path...) // where it was
		}
	}
}

// gatewayOf is the image of modules' gateways.
func gatewayOf(objects []*cluster.Object) (gateway string) {
	eachImage(objects, func(name, digest string) string {
		if strings.HasSuffix(name, "/gateway") {
			gateway = name + "@" + digest
		}
		return name + "@" + digest
	})
	return gateway
}

func writeYAML(w io.Writer, objects []*cluster.Object) error {
	for _, o := range objects {
		text, err := yaml.Marshal(o.Object)
		if err != nil {
			return err
		}
		if _, err := fmt.Fprintf(w, "---\n%s", text); err != nil {
			return err
		}
	}
	return nil
}

// install writes the objects, waits, and says what is left to do.
func (i *setup) install(c *cobra.Command, k *cluster.Cluster, objects []*cluster.Object, dryRun bool) error {
	r := &results{c: c, json: i.format.JSON()}
	err := k.Install(c.Context(), objects, dryRun, func(x cluster.Result) {
		if dryRun && x.Reason == "" {
			x.Reason = "dry run"
		}
		r.add(x)
	})
	if err == nil && i.wait && !dryRun {
		ctx, cancel := context.WithTimeout(c.Context(), i.timeout)
		defer cancel()
		err = k.AwaitInstalled(ctx, objects, func(object, news string) {
			fmt.Fprintf(c.ErrOrStderr(), "%s: %s\n", printable.Line(object), news)
		})
	}
	if err = r.finish(err); err != nil || dryRun {
		return err
	}
	if err := k.S3Keys(c.Context()); err != nil {
		fmt.Fprintf(c.ErrOrStderr(), `%s
unip needs the keys of your S3 server:

  kubectl -n unip-system create secret generic unip-s3 --from-literal=accessKeyId=… \
    --from-literal=secretAccessKey=… --from-literal=webhookToken=$(openssl rand -hex 32)

`, printable.Line(err.Error()))
	}
	return nil
}
