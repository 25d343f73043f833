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

// whole is the range that all instances share. The machine refuses to route it anywhere but to the nodes, so that nothing leaks out.
const whole = "198.18.0.0/15"

func ip(ctx context.Context, args ...string) error {
	out, err := exec.CommandContext(ctx, "ip", args...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("ip %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(string(out)))
	}
	return nil
}

// networkUp makes the network namespace, its link to the machine, and the routes; what is there stays.
func (i instance) networkUp(ctx context.Context) error {
	if !exists("/run/netns/" + i.name()) {
		if err := ip(ctx, "netns", "add", i.name()); err != nil {
			return err
		}
	}
	steps := [][]string{{"route", "replace", "unreachable", whole}}
	if !exists("/sys/class/net/" + i.link()) {
		steps = append(steps, []string{"link", "add", i.link(), "type", "veth", "peer", "name", "eth0", "netns", i.name()})
	}
	steps = append(steps, [][]string{
		{"addr", "replace", i.hostIP() + "/24", "dev", i.link()},
		{"link", "set", i.link(), "up"},
		{"-n", i.name(), "link", "set", "lo", "up"},
		{"-n", i.name(), "addr", "replace", i.nodeIP() + "/24", "dev", "eth0"},
		{"-n", i.name(), "link", "set", "eth0", "up"},
		// A ClusterIP needs some route before kube-proxy's output hook rewrites it: without this the node itself (API server -> webhook) finds no Service.
		{"-n", i.name(), "route", "replace", i.svcCIDR(), "dev", "eth0"},
		// The machine may reach Services and pods too, for tests.
		{"route", "replace", i.svcCIDR(), "via", i.nodeIP()},
		{"route", "replace", i.podCIDR(), "via", i.nodeIP()},
	}...)
	for _, s := range steps {
		if err := ip(ctx, s...); err != nil {
			return err
		}
	}
	// Names for the programs that run in the namespace by `ip netns exec`, which brings these files.
	etc := filepath.Join("/etc/netns", i.name())
	if err := os.MkdirAll(etc, 0o755); err != nil {
		return err
	}
	hosts := fmt.Sprintf("127.0.0.1 localhost\n%s registry.localhost node\n", i.nodeIP())
	resolv := fmt.Sprintf("nameserver %s\nsearch svc.cluster.local cluster.local\n", i.dnsIP())
	return errors.Join(os.WriteFile(filepath.Join(etc, "hosts"), []byte(hosts), 0o644), os.WriteFile(filepath.Join(etc, "resolv.conf"), []byte(resolv), 0o644))
}

// networkDown takes all of that away. The link goes with the namespace, its routes with the link.
func (i instance) networkDown(ctx context.Context) error {
	var errs []error
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
