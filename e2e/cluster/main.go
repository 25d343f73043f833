package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spf13/cobra"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := command().ExecuteContext(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "cluster:", err)
		os.Exit(1)
	}
}

func command() *cobra.Command {
	var id string
	root := &cobra.Command{
		Use:           "cluster",
		Short:         "A real Kubernetes with Knative and S3 on this machine",
		SilenceUsage:  true,
		SilenceErrors: true,
	}
	root.PersistentFlags().StringVar(&id, "id", os.Getenv("UNIP_CLUSTER_ID"),
		"which of up to four clusters on this machine, 0 to 3 (default: this checkout's own)")
	// with gives a command its instance.
	with := func(do func(context.Context, instance, []string) error) func(*cobra.Command, []string) error {
		return func(c *cobra.Command, args []string) error {
			i, err := find(id)
			if err != nil {
				return err
			}
			return do(c.Context(), i, args)
		}
	}
	var asJSON bool
	status := &cobra.Command{Use: "status", Short: "say what runs", Args: cobra.NoArgs,
		RunE: with(func(ctx context.Context, i instance, _ []string) error {
			return i.status(ctx, asJSON)
		})}
	status.Flags().BoolVar(&asJSON, "json", false, "as JSON")

	var spec imageSpec
	img := &cobra.Command{
		Use:   "image --tag " + registryName + "/NAME:TAG --debian PACKAGE[,PACKAGE…] [--add SOURCE:TARGET …]",
		Short: "make a container image of Debian's packages and push it to the cluster's registry",
		Args:  cobra.NoArgs,
		RunE:  with(func(ctx context.Context, i instance, _ []string) error { return i.buildImage(ctx, spec) }),
	}
	img.Flags().StringVar(&spec.Tag, "tag", "", "the image's name in the registry")
	img.Flags().StringSliceVar(&spec.Packages, "debian", nil, "packages, with all that they depend on")
	img.Flags().StringArrayVar(&spec.Add, "add", nil,
		"SOURCE:TARGET, a file or folder of this machine and its place in the image")
	img.Flags().StringVar(&spec.Workdir, "workdir", "/", "working directory")
	img.Flags().StringVar(&spec.User, "user", "", "uid that the container runs as")
	_ = img.MarkFlagRequired("tag") // the flag is there

	var o upOptions
	upCommand := &cobra.Command{Use: "up", Short: "bring the cluster up; build what is missing; nothing to do is fine",
		Args: cobra.NoArgs, RunE: func(c *cobra.Command, args []string) error { return with(o.up)(c, args) }}
	upCommand.Flags().IntVar(&o.nodes, "nodes", 1,
		"1 or 2; the second has the taint "+secondTaint+", and comes back when it was killed")
	upCommand.Flags().StringVar(&o.s3, "s3", "",
		"the S3 server, one of "+s3Names()+" (default: the one that it has, or "+defaultS3+")")
	upCommand.Flags().StringVar(&o.broker, "broker", "", "what carries the modules' events, "+inMemory+" or "+jetstream+
		" (default: what the cluster was made with, or "+inMemory+")")
	var number int
	nodeCommand := &cobra.Command{Use: "node", Hidden: true, Args: cobra.NoArgs,
		RunE: with(func(_ context.Context, i instance, _ []string) error { return node{i, number}.run() })}
	nodeCommand.Flags().IntVar(&number, "number", 1, "which node")

	var hold time.Duration
	sig := &cobra.Command{Use: "signal SIGNAL NAME…",
		Short: "signal processes of the node: a component (kube-apiserver, etcd, s3, …), pod/UID[/CONTAINER], shim/UID",
		Args:  cobra.MinimumNArgs(2),
		RunE: with(func(ctx context.Context, i instance, args []string) error {
			s, err := signalOf(args[0])
			if err != nil {
				return err
			}
			return i.signal(ctx, s, hold, args[1:])
		}),
	}
	sig.Flags().DurationVar(&hold, "for", 0, "keep what is killed from coming back, and what is stopped from going on")

	root.AddCommand(
		upCommand,
		&cobra.Command{Use: "down", Short: "end the cluster and remove all it left on the machine but the cache",
			Args: cobra.NoArgs, RunE: with(down)},
		status,
		&cobra.Command{Use: "env",
			Short: "print the environment that points kubectl, ko and the tests at the cluster: eval \"$(cluster env)\"", Args: cobra.NoArgs, RunE: with(env)},
		&cobra.Command{Use: "exec -- COMMAND…",
			Short: "run a command where the registry's name resolves (ko needs that)", Args: cobra.MinimumNArgs(1),
			RunE: with(execute)},
		&cobra.Command{Use: "build", Short: "build the cluster's programs into the cache, start nothing",
			Args: cobra.NoArgs, RunE: with(build)},
		&cobra.Command{Use: "bin kube|minio|…",
			Short: "build one module's programs and print their folder (tests start an S3 or API server of their own)",
			Args:  cobra.ExactArgs(1), RunE: with(bin)},
		img, sig,
		&cobra.Command{Use: "second-node kill|cut|join",
			Short: "kill the second node's processes, or cut its link and join it again", Args: cobra.ExactArgs(1),
			RunE: with(secondNode)},
		nodeCommand,
	)
	return root
}

// binaries are the folders of the programs, by module, and "runc": the one path of Debian's.
func binaries(root string) (map[string]string, error) {
	bins := map[string]string{}
	for _, p := range known() {
		dir, err := p.bin(root)
		if err != nil {
			return nil, err
		}
		bins[p.module] = dir
	}
	if runc, err := exec.LookPath("runc"); err == nil {
		bins["runc"] = runc
	}
	return bins, nil
}

// foreign is the cluster that KUBECONFIG names, "" when it names none or this one.
func (i instance) foreign() string {
	k := os.Getenv("KUBECONFIG")
	if k == "" || strings.HasPrefix(k, filepath.Join(cacheDir(), "instances")+string(filepath.Separator)) {
		return ""
	}
	return k
}

func build(ctx context.Context, i instance, _ []string) error {
	s3, err := i.s3Server()
	if err != nil {
		return err
	}
	broker, err := i.broker()
	if err != nil {
		return err
	}
	return i.compile(ctx, newSteps(), slices.Concat(programs, s3.programs(), brokerPrograms(broker))...)
}

func bin(ctx context.Context, i instance, args []string) error {
	for _, p := range known() {
		if p.module != args[0] {
			continue
		}
		if err := i.compile(ctx, newSteps(), p); err != nil {
			return err
		}
		dir, err := p.bin(i.root)
		fmt.Println(dir)
		return err
	}
	return fmt.Errorf("there is no module %q", args[0])
}

// secondNode does to the second node what happens to nodes.
func secondNode(ctx context.Context, i instance, args []string) error {
	n := i.second()
	if !n.running() {
		return errors.New("there is no second node; `cluster up --nodes 2` makes one")
	}
	switch args[0] {
	case "kill":
		return n.kill()
	case "cut":
		return n.setLink(ctx, "down")
	case "join":
		return n.setLink(ctx, "up")
	}
	return fmt.Errorf("%q is not one of kill, cut and join", args[0])
}

// env prints shell commands. PATH comes first, so that the cluster's kubectl and ko are the ones
// used.
func env(_ context.Context, i instance, _ []string) error {
	bins, err := binaries(i.root)
	if err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return err
	}
	fmt.Printf("export CLUSTER=%q\nexport PATH=%q:\"$PATH\"\n", self, bins["kube"]+":"+bins["tools"])
	if k := i.foreign(); k != "" {
		fmt.Printf("export KUBECONFIG=%q\n", k)
		return nil
	}
	s3, err := i.s3Server()
	if err != nil {
		return err
	}
	broker, err := i.broker()
	if err != nil {
		return err
	}
	for _, v := range [][2]string{
		{"KUBECONFIG", i.kubeconfig()},
		{"UNIP_CLUSTER_INGRESS", i.ingress()},
		{"UNIP_CLUSTER_NETNS", i.name()},
		{"UNIP_S3_ENDPOINT", i.s3()},
		{"UNIP_S3_SERVER", s3.name},
		{"UNIP_CLUSTER_BROKER", broker},
		// addresses of the machine that pods have a way to: an ordinary one, a link-local one
		{"UNIP_OUTSIDE", i.hostIP() + "," + i.linkIP()},
		{"KO_DOCKER_REPO", registryName + "/unip"},
		{"KO_DEFAULTBASEIMAGE", baseImage},
	} {
		fmt.Printf("export %s=%q\n", v[0], v[1])
	}
	return nil
}

// execute replaces this process by the command.
func execute(_ context.Context, i instance, args []string) error {
	bins, err := binaries(i.root)
	if err != nil {
		return err
	}
	if err := os.Setenv("PATH", bins["kube"]+":"+bins["tools"]+":"+os.Getenv("PATH")); err != nil {
		return err
	}
	if i.foreign() == "" {
		if !i.running() {
			return fmt.Errorf("cluster %d does not run; `cluster up` starts it", i.ID)
		}
		args = append([]string{"ip", "netns", "exec", i.name()}, args...)
	}
	path, err := exec.LookPath(args[0])
	if err != nil {
		return err
	}
	return syscall.Exec(path, args, os.Environ())
}
