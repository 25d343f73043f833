package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// upOptions of `cluster up`.
type upOptions struct {
	nodes int
	// s3 is the server's name, broker what carries events; "" is what the cluster has.
	s3, broker string
}

func (o upOptions) up(ctx context.Context, i instance, _ []string) error {
	if o.nodes < 1 || o.nodes > maxNodes {
		return fmt.Errorf("--nodes must be 1 to %d", maxNodes)
	}

	s := newSteps()
	if k := i.foreign(); k != "" {
		if err := s.do("compiling ko and kubectl", func() error { return i.compile(ctx, s, kube, tools) }); err != nil {
			return err
		}
		return i.checkForeign(ctx, s, k)
	}
	s3, err := i.chooseS3(o.s3)
	if err != nil {
		return err
	}
	broker, err := i.chooseBroker(o.broker)
	if err != nil {
		return err
	}
	if err := i.prepare(ctx, s, s3, broker); err != nil {
		return err
	}
	bins, err := binaries(i.root)
	if err != nil {
		return err
	}
	if err := i.own(); err != nil {
		return err
	}
	if err := errors.Join(i.keepS3(s3), i.keepBroker(broker)); err != nil {
		return err
	}
	if err := i.configure(bins); err != nil {
		return err
	}
	if !i.running() {
		err := s.do("network and node", func() error {
			if err := i.kill(); err != nil { // what an up that was killed has left
				return err
			}
			if err := i.networkUp(ctx); err != nil {
				return err
			}
			return i.first().start()
		})
		if err != nil {
			return err
		}
	}
	if err := i.render(ctx, s.do); err != nil {
		return err
	}
	if err := i.renderBroker(ctx, s.do); err != nil {
		return err
	}
	if err := s.do("Kubernetes", func() error { return i.awaitNode(ctx) }); err != nil {
		return err
	}
	if err := i.install(ctx, s); err != nil {
		return err
	}
	if o.nodes > 1 {
		if err := s.do("the second node", func() error { return i.second().up(ctx, bins) }); err != nil {
			return err
		}
	}
	s.say("the cluster is up: eval \"$(%s env)\"", os.Args[0])
	return nil
}

// up brings a further node to a cluster that runs; one that has been killed comes back.
func (n node) up(ctx context.Context, bins map[string]string) error {
	if err := n.configure(bins); err != nil {
		return err
	}
	if !n.running() {
		if err := n.kill(); err != nil { // what an up that was killed has left
			return err
		}
		if err := n.networkUp(ctx); err != nil {
			return err
		}
		if err := n.start(); err != nil {
			return err
		}
	}
	return n.await(ctx)
}

// prepare checks the machine and builds what is missing.
func (i instance) prepare(ctx context.Context, s *steps, s3 s3Server, broker string) error {
	if os.Geteuid() != 0 {
		return errors.New(
			"needs root: it makes network namespaces, mounts and cgroups for kubelet, containerd and runc")
	}
	if err := i.packages(ctx, s, s3); err != nil {
		return err
	}
	return i.compile(ctx, s, slices.Concat(programs, s3.programs(), brokerPrograms(broker))...)
}

// debianPackages are what the node needs of the machine, by the program that shows that it is
// there.
var debianPackages = map[string]string{"runc": "runc", "nft": "nftables", "iptables-nft": "iptables", "ip": "iproute2"}

func (i instance) packages(ctx context.Context, s *steps, s3 s3Server) error {
	var missing []string
	all := maps.Clone(debianPackages)
	maps.Copy(all, s3.debian)
	for program, pkg := range all {
		if _, err := exec.LookPath(program); err != nil {
			missing = append(missing, pkg)
		}
	}
	if len(missing) == 0 {
		return nil
	}
	if _, err := exec.LookPath("apt-get"); err != nil {
		return fmt.Errorf("this machine lacks %s: install them and come back", strings.Join(missing, ", "))
	}
	return s.do("installing "+strings.Join(missing, ", "), func() error {
		if err := logged(exec.CommandContext(ctx, "apt-get", "update", "-q"), "apt-update"); err != nil {
			return err
		}
		cmd := exec.CommandContext(ctx, "apt-get", append([]string{"install", "-y", "-q", "--no-install-recommends"},
			missing...)...)
		cmd.Env = append(os.Environ(), "DEBIAN_FRONTEND=noninteractive")
		return logged(cmd, "apt-install")
	})
}

// Disk that is needed when nothing is built yet (both module caches included), and what a running
// cluster takes.
const (
	diskCold = 18 << 30
	diskWarm = 2 << 30
)

// compile builds programs that are not in the cache.
func (i instance) compile(ctx context.Context, s *steps, all ...program) error {
	var todo []program
	for _, p := range all {
		bin, err := p.bin(i.root)
		if err != nil {
			return err
		}
		if !exists(bin) {
			todo = append(todo, p)
		}
	}
	need := uint64(diskWarm)
	out, err := rendered(i.root)
	if err != nil {
		return err
	}
	if len(todo) > 0 || !exists(out) {
		need = diskCold
	}
	if err := os.MkdirAll(cacheDir(), 0o755); err != nil {
		return err
	}
	var fs syscall.Statfs_t
	if err := syscall.Statfs(cacheDir(), &fs); err == nil && fs.Bavail*uint64(fs.Bsize) < need && len(todo) > 2 {
		return fmt.Errorf("%d GiB of disk are needed below %s, %d GiB are free", need>>30, cacheDir(),
			fs.Bavail*uint64(fs.Bsize)>>30)
	}
	if len(todo) > 0 || !exists(out) {
		var modules []string
		for _, p := range todo {
			modules = append(modules, p.module)
		}
		if !exists(out) {
			modules = append(modules, renderedModules...)
		}
		if err := s.do("downloading modules", func() error { return download(ctx, i.root, modules) }); err != nil {
			return err
		}
	}
	for _, p := range todo {
		if err := s.do("compiling "+p.module, func() error { _, err := p.build(ctx, i.root); return err }); err != nil {
			return err
		}
	}
	return nil
}

// own writes down that the instance is this checkout's.
func (i instance) own() error {
	if err := os.MkdirAll(i.dir(), 0o700); err != nil {
		return err
	}
	return os.WriteFile(i.dir("checkout"), []byte(i.root+"\n"), 0o600)
}

func (i instance) kubectl(ctx context.Context, args ...string) (string, error) {
	return i.kubectlIn(ctx, "", args...)
}

func (i instance) kubectlIn(ctx context.Context, stdin string, args ...string) (string, error) {
	bins, err := binaries(i.root)
	if err != nil {
		return "", err
	}
	config := i.foreign()
	if config == "" {
		config = i.kubeconfig()
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bins["kube"], "kubectl"),
		append([]string{"--kubeconfig", config}, args...)...)
	cmd.Stdin = strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		return string(out), fmt.Errorf("kubectl %s: %w\n%s", strings.Join(args, " "), err, tail(string(out), 15))
	}
	return string(out), nil
}

// awaitNode waits for the API server and the node.
func (i instance) awaitNode(ctx context.Context) error {
	if err := i.awaitAPI(ctx, 3*time.Minute); err != nil {
		return fmt.Errorf("%w; see %s", err, i.dir("log"))
	}
	return i.first().await(ctx)
}

// await waits until Kubernetes calls the node ready.
func (n node) await(ctx context.Context) error {
	return await(ctx, 2*time.Minute, n.hostname(), func() error {
		_, err := n.kubectl(ctx, "wait", "--for=condition=Ready", "node/"+n.hostname(), "--timeout=60s")
		return err
	})
}

// install applies CoreDNS, Knative, the ingress and what tells unip where S3 is. Repeating it
// changes nothing.
func (i instance) install(ctx context.Context, s *steps) error {
	dir, err := rendered(i.root)
	if err != nil {
		return err
	}
	apply := func(file string) error {
		_, err := i.kubectl(ctx, "apply", "--server-side", "--force-conflicts", "-f", filepath.Join(dir, file))
		return err
	}
	for _, step := range []struct {
		name string
		do   func() error
	}{
		{"CoreDNS", func() error { return i.installDNS(ctx, filepath.Join(dir, dnsYAML)) }},
		{"Knative's resources", func() error {
			if err := apply(crdsYAML); err != nil {
				return err
			}
			_, err := i.kubectl(ctx, "wait", "--for=condition=Established", "crd", "-l",
				"app.kubernetes.io/name in (knative-serving,knative-eventing)", "--timeout=60s")
			return err
		}},
		{"NetworkPolicies, Knative, the ingress, S3", func() error {
			return errors.Join(apply(netpolYAML), apply(coreYAML), apply(ingressYAML), i.installS3(ctx),
				i.installBroker(ctx))
		}},
		{"waiting for Knative", func() error {
			for _, ns := range []string{"kube-system", "knative-serving", "knative-eventing"} {
				if _, err := i.kubectl(ctx, "-n", ns, "wait", "--for=condition=Available", "deploy", "--all",
					"--timeout=240s"); err != nil {
					pods, unread := i.kubectl(ctx, "-n", ns, "get", "pods")
					return fmt.Errorf("%w\n%s", errors.Join(err, unread), pods)
				}
			}
			// The webhooks answer a little after their Deployments are available.
			if err := await(ctx, time.Minute, "Knative's webhooks", func() error { return apply(lateYAML) }); err != nil {
				return err
			}
			return i.awaitDefaults(ctx)
		}},
	} {
		if err := s.do(step.name, step.do); err != nil {
			return err
		}
	}
	return nil
}

// awaitDefaults waits until a Broker gets its defaults. The API server may go on with a webhook as it was
// before its last change, for up to 10 minutes: what it makes of a configuration can be stored after the
// news of that change (k8s.io/apiserver 0.36, mutating_webhook_manager.go). Another change is news again.
func (i instance) awaitDefaults(ctx context.Context) error {
	const broker = `{"apiVersion":"eventing.knative.dev/v1","kind":"Broker","metadata":{"name":"defaults"}}`
	return await(ctx, time.Minute, "Knative's defaults", func() error {
		out, err := i.kubectlIn(ctx, broker, "create", "--dry-run=server", "-n", "default", "-f", "-",
			"-o", "jsonpath={.spec.config.kind}")
		if err != nil || strings.Contains(out, "ConfigMap") {
			return err
		}
		_, err = i.kubectl(ctx, "annotate", "--overwrite", "mutatingwebhookconfigurations",
			"webhook.eventing.knative.dev", "e2e.unip/read-again="+strconv.FormatInt(time.Now().UnixNano(), 10))
		return errors.Join(errors.New("a Broker gets no configuration from its webhook"), err)
	})
}

func (i instance) installDNS(ctx context.Context, file string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	_, err = i.kubectlIn(ctx, strings.NewReplacer("NODE_IP", i.nodeIP(), "DNS_IP", i.dnsIP()).Replace(string(b)),
		"apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// installS3 gives the S3 server, a process of the node, a name in the cluster, and writes the
// installation's own configuration for it.
func (i instance) installS3(ctx context.Context) error {
	s3, err := i.s3Server()
	if err != nil {
		return err
	}
	k, err := i.s3Keys(s3)
	if err != nil {
		return err
	}
	broker, err := i.brokerSettings()
	if err != nil {
		return err
	}
	text := strings.Replace(s3.manifest(i, k), "    # BROKER\n", broker, 1)
	_, err = i.kubectlIn(ctx, text, "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}

// checkForeign looks whether the cluster of KUBECONFIG has what unip needs.
func (i instance) checkForeign(ctx context.Context, s *steps, config string) error {
	for _, crd := range []string{"services.serving.knative.dev", "brokers.eventing.knative.dev"} {
		if _, err := i.kubectl(ctx, "get", "crd", crd); err != nil {
			return fmt.Errorf(
				"KUBECONFIG=%s names a cluster without Knative (or unset KUBECONFIG for a local cluster): %w", config,
				err)
		}
	}
	s.say("using the cluster of KUBECONFIG=%s: it has Knative Serving and Eventing", config)
	return nil
}

func down(ctx context.Context, i instance, _ []string) error {
	if i.foreign() != "" {
		return errors.New("KUBECONFIG names another cluster: nothing here is ours to end")
	}
	s := newSteps()
	return s.do(fmt.Sprintf("ending cluster %d", i.ID), func() error {
		if err := i.kill(); err != nil {
			return err
		}
		err := errors.Join(i.networkDown(ctx), i.first().cgroupsDown(), i.second().cgroupsDown())
		mounts, unread := os.ReadFile("/proc/self/mounts")
		err = errors.Join(err, unread) // what may be mounted below is not to be removed
		for line := range strings.Lines(string(mounts)) {
			if strings.Contains(line, " "+i.dir()+"/") {
				err = errors.Join(err, fmt.Errorf("a mount is left: %s", strings.TrimSpace(line)))
			}
		}
		if err != nil {
			return err
		}
		return os.RemoveAll(i.dir())
	})
}
