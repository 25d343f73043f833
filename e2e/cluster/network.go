package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// whole is the range that all instances share. The machine refuses to route it anywhere but to the
// nodes, so that nothing leaks out.
const whole = "198.18.0.0/15"

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// networkUp makes the network namespace, its link to the machine, and the routes; what is there
// stays.
func (i instance) networkUp(ctx context.Context) error {
	if !exists("/run/netns/" + i.name()) {
		if err := ip(ctx, "netns", "add", i.name()); err != nil {
			return err
		}
	}
	steps := [][]string{{"route", "replace", "unreachable", whole}}
	if !exists("/sys/class/net/" + i.link()) {
		steps = append(steps, []string{"link", "add", i.link(), "type", "veth", "peer", "name", "eth0", "netns",
			i.name()})
	}
	steps = append(steps, [][]string{
		{"addr", "replace", i.hostIP() + "/24", "dev", i.link()},
		{"addr", "replace", i.linkIP() + "/32", "dev", i.link()},
		{"link", "set", i.link(), "up"},
		{"-n", i.name(), "link", "set", "lo", "up"},
		{"-n", i.name(), "addr", "replace", i.nodeIP() + "/24", "dev", "eth0"},
		{"-n", i.name(), "link", "set", "eth0", "up"},
		// A ClusterIP needs some route before kube-proxy's output hook rewrites it: without this
		// the node itself (API server -> webhook) finds no Service.
		{"-n", i.name(), "route", "replace", i.svcCIDR(), "dev", "eth0"},
		{"-n", i.name(), "route", "replace", i.linkIP() + "/32", "via", i.hostIP()},
		// The machine may reach Services and pods too, for tests.
		{"route", "replace", i.svcCIDR(), "via", i.nodeIP()},
		{"route", "replace", i.podCIDR(), "via", i.nodeIP()},
	}...)
	for _, s := range steps {
		if err := ip(ctx, s...); err != nil {
			return err
		}
	}
	if err := i.queueNewConnections(ctx); err != nil {
		return err
	}
	return i.first().writeNames()
}

// writeNames writes names for the programs that run in the node's namespace by `ip netns exec`,
// which brings these files.
func (n node) writeNames() error {
	etc := filepath.Join("/etc/netns", n.netns())
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return err
	}
	hosts := fmt.Sprintf("127.0.0.1 localhost\n%s registry.localhost node\n", n.nodeIP())
	resolv := fmt.Sprintf("nameserver %s\nsearch svc.cluster.local cluster.local\n", n.dnsIP())
	return errors.Join(os.WriteFile(filepath.Join(etc, "hosts"), []byte(hosts), 0o644),
		os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte(resolv), 0o644))
}

// policyQueue is the number of the kernel's queue that manifests/network-policies.yaml reads.
const policyQueue = "98"

// queueNewConnections has the kernel ask kube-network-policies about each new connection from and
// to a pod. It would make such rules itself, but by an expression of nftables (queue) that not
// every kernel has; this one is iptables' target. The node's own connections, probes among them,
// are let through, and all are while nobody reads the queue; so is UDP: of a resolver's two
// questions at once from one socket the second got lost behind the queue, and each lookup then took
// 5 s.
func (i instance) queueNewConnections(ctx context.Context) error {
	for _, side := range []string{"-s", "-d"} {
		rule := []string{"POSTROUTING", "-p", "tcp", "-m", "conntrack", "--ctstate", "NEW", "-m", "owner", "!",
			"--uid-owner", "0", side, i.podCIDR(), "-j", "NFQUEUE", "--queue-num", policyQueue, "--queue-bypass"}
		iptables := func(do string) error {
			out, err := exec.CommandContext(ctx, "ip", append([]string{"netns", "exec", i.name(), "iptables-nft", "-w",
				"-t", "mangle", do}, rule...)...).CombinedOutput()
			if err != nil {
				return fmt.Errorf("iptables %s: %w: %s", do, err, strings.TrimSpace(string(out)))
			}
			return nil
		}
		if iptables("-C") == nil {
			continue
		}
		if err := iptables("-A"); err != nil {
			return err
		}
	}
	return nil
}

// networkUp makes the second node's network namespace behind the first one: a link between the two,
// over which each finds the other and its pods, and the second all the rest.
func (n node) networkUp(ctx context.Context) error {
	if !exists("/run/netns/" + n.netns()) {
		if err := ip(ctx, "netns", "add", n.netns()); err != nil {
			return err
		}
		if err := ip(ctx, "-n", n.name(), "link", "add", n.hostname(), "type", "veth", "peer", "name", "eth0", "netns",
			n.netns()); err != nil {
			return err
		}
	}
	for _, s := range [][]string{
		{"-n", n.netns(), "link", "set", "lo", "up"},
		{"-n", n.netns(), "addr", "replace", n.ip() + "/32", "dev", "eth0"},
		{"-n", n.netns(), "link", "set", "eth0", "up"},
		{"-n", n.netns(), "route", "replace", n.nodeIP() + "/32", "dev", "eth0"},
		{"-n", n.netns(), "route", "replace", "default", "via", n.nodeIP(), "dev", "eth0"},
		{"-n", n.name(), "link", "set", n.hostname(), "up"},
		{"-n", n.name(), "route", "replace", n.ip() + "/32", "dev", n.hostname(), "src", n.nodeIP()},
		{"-n", n.name(), "route", "replace", n.pods(), "via", n.ip(), "dev", n.hostname(), "onlink"},
		{"route", "replace", n.ip() + "/32", "via", n.nodeIP()},
	} {
		if err := ip(ctx, s...); err != nil {
			return err
		}
	}
	return n.writeNames()
}

// setLink takes the second node's link down or up: without it the node is cut off, and goes on
// working.
func (n node) setLink(ctx context.Context, state string) error {
	if err := ip(ctx, "-n", n.netns(), "link", "set", "eth0", state); err != nil {
		return err
	}
	if state == "down" {
		return nil
	}
	return n.networkUp(ctx) // its routes have gone with the link
}

// networkDown takes all of that away. The link goes with the namespace, its routes with the link.
func (i instance) networkDown(ctx context.Context) error {
	var errs []error
	if second := i.second(); exists("/run/netns/" + second.netns()) {
		errs = append(errs, ip(ctx, "netns", "del", second.netns()))
		errs = append(errs, os.RemoveAll(filepath.Join("/etc/netns", second.netns())))
	}
	if exists("/sys/class/net/" + i.link()) {
		errs = append(errs, ip(ctx, "link", "del", i.link()))
	}
	if exists("/run/netns/" + i.name()) {
		errs = append(errs, ip(ctx, "netns", "del", i.name()))
	}
	errs = append(errs, os.RemoveAll(filepath.Join("/etc/netns", i.name())))
	_ = os.Remove("/etc/netns") // only when it is empty
	if left, _ := filepath.Glob("/run/netns/unip[0-9]"); len(left) == 0 {
		_ = ip(ctx, "route", "del", "unreachable", whole) // the last instance; the route may be gone
	}
	return errors.Join(errs...)
}
