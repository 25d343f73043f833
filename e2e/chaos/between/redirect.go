package between

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"runtime"
	"time"

	"golang.org/x/sys/unix"
)

// table is nftables' in the cluster's network namespace. Connections of pods to the addresses of its
// map go to a Way; those of the node's own programs and of this machine do not. An entry lives for
// lease and is renewed: when this program is killed, all is soon as it was.
const (
	table = "unip-chaos"
	lease = 40 * time.Second
)

// Redirect sends what pods send to an address to another one of the node.
type Redirect struct{ From, To string } // host:port

// Listen listens in the network namespace.
func Listen(netns, address string) (net.Listener, error) {
	ns, err := os.Open("/run/netns/" + netns)
	if err != nil {
		return nil, err
	}
	defer ns.Close()
	type result struct {
		net.Listener
		error
	}
	done := make(chan result)
	go func() { // this thread enters the network namespace, and ends with the goroutine
		runtime.LockOSThread()
		if err := unix.Setns(int(ns.Fd()), unix.CLONE_NEWNET); err != nil {
			done <- result{nil, fmt.Errorf("entering the network namespace %s: %w", netns, err)}
			return
		}
		l, err := net.Listen("tcp", address)
		done <- result{l, err}
	}()
	r := <-done
	return r.Listener, r.error
}

// Hold sets the redirects, and renews them until the context ends; then they are taken away, and the
// channel is closed. What an earlier one has left is taken away first.
func Hold(ctx context.Context, netns string, redirects []Redirect) (<-chan struct{}, error) {
	if err := nft(ctx, netns, "add table ip "+table+"\ndelete table ip "+table+"\n"+rules(redirects)); err != nil {
		return nil, err
	}
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		tick := time.NewTicker(lease / 4)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				if err := nft(context.WithoutCancel(ctx), netns, "delete table ip "+table+"\n"); err != nil {
					fmt.Fprintln(os.Stderr, "redirects are left for", lease, err)
				}
				return
			case <-tick.C:
				err := nft(ctx, netns, "flush map ip "+table+" via\n"+elements(redirects))
				if err != nil && ctx.Err() == nil {
					fmt.Fprintln(os.Stderr, "redirects end:", err)
				}
			}
		}
	}()
	return gone, nil
}

func rules(redirects []Redirect) string {
	return "table ip " + table + ` {
  map via { type ipv4_addr . inet_service : ipv4_addr . inet_service; flags timeout; }
  chain from-pods { type nat hook prerouting priority dstnat - 1; policy accept;
    iifname != "eth0" dnat to ip daddr . tcp dport map @via
  }
}
` + elements(redirects)
}

func elements(redirects []Redirect) string {
	var b bytes.Buffer
	for _, r := range redirects {
		host, port, _ := net.SplitHostPort(r.From)
		toHost, toPort, _ := net.SplitHostPort(r.To)
		fmt.Fprintf(&b, "add element ip %s via { %s . %s timeout %ds : %s . %s }\n", table, host, port,
			int(lease.Seconds()), toHost, toPort)
	}
	return b.String()
}

// nft runs a script, all of it or nothing.
func nft(ctx context.Context, netns, script string) error {
	cmd := exec.CommandContext(ctx, "ip", "netns", "exec", netns, "nft", "-f", "-")
	cmd.Stdin = bytes.NewBufferString(script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("nft: %w: %s", err, out)
	}
	return nil
}
