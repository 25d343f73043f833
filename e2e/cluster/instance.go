package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// maxInstances is how many clusters may be on one machine at a time; the address ranges are cut for
// as many.
const maxInstances = 4

// registryName is how everything in and around a cluster calls its registry. The suffix .localhost
// makes ko, crane and Knative speak plain HTTP to it.
const registryName = "registry.localhost:5000"

// instance is one cluster: its number decides its addresses, its namespace's name and where its
// state lies.
type instance struct {
	ID   int
	root string // the checkout
}

// network namespace, cgroup, and in the link's name
func (i instance) name() string   { return fmt.Sprintf("unip%d", i.ID) }
func (i instance) link() string   { return "veth-" + i.name() }
func (i instance) hostIP() string { return fmt.Sprintf("198.18.%d.1", i.ID) }

// a link-local address of the machine, as metadata servers of clouds have one
func (i instance) linkIP() string   { return fmt.Sprintf("169.254.77.%d", 1+i.ID) }
func (i instance) nodeIP() string   { return fmt.Sprintf("198.18.%d.2", i.ID) }
func (i instance) podCIDR() string  { return fmt.Sprintf("198.18.%d.0/19", 64+32*i.ID) }
func (i instance) svcNet() string   { return fmt.Sprintf("198.19.%d", 64*i.ID) }
func (i instance) svcCIDR() string  { return i.svcNet() + ".0/18" }
func (i instance) apiIP() string    { return i.svcNet() + ".1" }
func (i instance) dnsIP() string    { return i.svcNet() + ".10" }
func (i instance) registry() string { return i.nodeIP() + ":5000" }
func (i instance) s3() string       { return "http://" + i.nodeIP() + ":9000" }
func (i instance) ingress() string  { return "http://" + i.nodeIP() + ":30881" }

// node is one machine of a cluster, in namespaces of its own. Number 1 also has the control plane,
// the registry and MinIO. Number 2, of a cluster made with `up --nodes 2`, hangs behind it. Pods come
// to it only when somebody takes its taint away.
type node struct {
	instance
	number int
}

// maxNodes of one cluster.
const maxNodes = 2

func (i instance) first() node  { return node{i, 1} }
func (i instance) second() node { return node{i, 2} }

// hostname is what Kubernetes calls it.
func (n node) hostname() string {
	if n.number == 1 {
		return "node"
	}
	return fmt.Sprintf("node-%d", n.number)
}

// netns is also the name of its cgroup.
func (n node) netns() string {
	if n.number == 1 {
		return n.name()
	}
	return fmt.Sprintf("%s-%d", n.name(), n.number)
}

func (n node) ip() string { return fmt.Sprintf("198.18.%d.%d", n.ID, 1+n.number) }

// pods is the node's part of the cluster's addresses of pods.
func (n node) pods() string { return fmt.Sprintf("198.18.%d.0/20", 64+32*n.ID+16*(n.number-1)) }

// dir is the node's state; the first one's is the instance's.
func (n node) dir(join ...string) string {
	if n.number > 1 {
		join = append([]string{n.hostname()}, join...)
	}
	return n.instance.dir(join...)
}

// dir is the instance's state; join goes below it.
func (i instance) dir(join ...string) string {
	return filepath.Join(append([]string{cacheDir(), "instances", strconv.Itoa(i.ID)}, join...)...)
}

func (i instance) kubeconfig() string { return i.dir("pki", "admin.kubeconfig") }

// cacheDir holds everything this program keeps between runs. UNIP_CACHE moves it.
func cacheDir() string {
	if d := os.Getenv("UNIP_CACHE"); d != "" {
		return filepath.Join(d, "cluster")
	}
	d, err := os.UserCacheDir()
	if err != nil {
		d = "/root/.cache"
	}
	return filepath.Join(d, "unip", "cluster")
}

// checkout finds the folder that holds e2e/cluster, from one of these upwards: the working directory
// first, and then the program's own place, bin/ of a checkout. So whoever has the program's path may
// call it from anywhere.
func checkout(working, program string) (string, error) {
	for _, d := range []string{working, program} {
		if root, ok := above(d); ok {
			return root, nil
		}
	}
	return "", fmt.Errorf("neither %s nor %s lies in a checkout of unip", working, program)
}

// above finds a checkout that a folder lies in.
func above(d string) (root string, ok bool) {
	for {
		if exists(filepath.Join(d, "e2e", "cluster", "kube", "go.mod")) {
			return d, true
		}
		if d == filepath.Dir(d) {
			return "", false
		}
		d = filepath.Dir(d)
	}
}

// find returns the checkout's instance: the one given, the one it had before, or the first that no
// other checkout has.
func find(given string) (instance, error) {
	working, err := os.Getwd()
	if err != nil {
		return instance{}, err
	}
	program, err := os.Executable()
	if err != nil {
		return instance{}, err
	}
	root, err := checkout(working, filepath.Dir(program))
	if err != nil {
		return instance{}, err
	}
	if given != "" {
		id, err := strconv.Atoi(given)
		if err != nil || id < 0 || id >= maxInstances {
			return instance{}, fmt.Errorf("instance id %q is not one of 0 to %d", given, maxInstances-1)
		}
		return instance{id, root}, nil
	}
	free := -1
	for id := range maxInstances {
		i := instance{id, root}
		owner, err := os.ReadFile(i.dir("checkout"))
		switch {
		case err != nil && free < 0:
			free = id
		case strings.TrimSpace(string(owner)) == root:
			return i, nil
		case err == nil && free < 0 && !exists(strings.TrimSpace(string(owner))) && !i.running():
			free = id // its checkout is gone and so is its node
		}
	}
	if free < 0 {
		return instance{}, fmt.Errorf("all %d instances belong to other checkouts; see %s", maxInstances,
			filepath.Join(cacheDir(), "instances"))
	}
	return instance{free, root}, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
