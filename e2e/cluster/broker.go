package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// What carries the events of modules on a cluster: Knative's in-memory channel, or NATS JetStream,
// which keeps them.
const (
	inMemory  = "in-memory"
	jetstream = "jetstream"
)

// nats is the server of JetStream, a process of the node as MinIO is.
var nats = program{module: "nats", packages: []string{"github.com/nats-io/nats-server/v2"}}

const natsUser = "knative"

// broker is the one that the instance was made with, or is to be made with.
func (i instance) broker() (string, error) {
	b, err := os.ReadFile(i.dir("broker"))
	if errors.Is(err, fs.ErrNotExist) {
		return inMemory, nil
	}
	return string(b), err
}

// chooseBroker takes what was asked for, "" for any. A cluster keeps the one that it was made with.
func (i instance) chooseBroker(wanted string) (string, error) {
	has, err := i.broker()
	if err != nil || wanted == "" || wanted == has {
		return has, err
	}
	if wanted != inMemory && wanted != jetstream {
		return "", fmt.Errorf("--broker %s: it is %s or %s", wanted, inMemory, jetstream)
	}
	if exists(i.kubeconfig()) {
		return "", fmt.Errorf("cluster %d has the broker %s; end it (`cluster down`) for one with %s", i.ID, has, wanted)
	}
	return wanted, nil
}

// keepBroker writes down which one the instance has.
func (i instance) keepBroker(broker string) error {
	return os.WriteFile(i.dir("broker"), []byte(broker), 0o600)
}

// brokerPrograms are what has to be built for it.
func brokerPrograms(broker string) []program {
	if broker != jetstream {
		return nil
	}
	return []program{nats}
}

// configureBroker writes what its server reads.
func (i instance) configureBroker() error {
	if b, err := i.broker(); err != nil || b != jetstream {
		return err
	}
	password, err := i.secret("nats-password")
	if err != nil {
		return err
	}
	if err := os.MkdirAll(i.dir("nats"), 0o700); err != nil {
		return err
	}
	// Whatever it has taken is on the disk before it says so: else a message could be taken, and lost
	// with the server.
	return os.WriteFile(i.dir("nats.conf"), fmt.Appendf(nil, `server_name: node
listen: "%s:4222"
http: "127.0.0.1:8222"
jetstream {
  store_dir: "%s"
  sync_interval: always
  max_file_store: 2GB
}
authorization { user: %s, password: "%s" }
`, i.nodeIP(), i.dir("nats"), natsUser, password), 0o600)
}

// brokerDaemons are its programs on the node.
func (i instance) brokerDaemons() ([]daemon, error) {
	b, err := i.broker()
	if err != nil || b != jetstream {
		return nil, err
	}
	return []daemon{{name: "nats", args: []string{"nats-server", "--config", i.dir("nats.conf")}}}, nil
}

// brokerSettings are the lines of the installation's unip.yaml that name it.
func (i instance) brokerSettings() (string, error) {
	b, err := i.broker()
	if err != nil || b != jetstream {
		return "", err
	}
	return "    " + jetstreamSettings + "\n", nil
}

const jetstreamSettings = "broker: {config: " +
	"{apiVersion: v1, kind: ConfigMap, name: unip-broker-jetstream, namespace: knative-eventing}}"

// renderedBroker is the file of its objects in the cluster, named by a hash of all that it is made
// from.
func (i instance) renderedBroker() (string, error) {
	sum, err := hashFolder(filepath.Join(i.root, "e2e", "cluster", jetstream))
	if err != nil {
		return "", err
	}
	h := sha256.Sum256([]byte(baseImage + sum))
	return filepath.Join(cacheDir(), "rendered-"+jetstream+"-"+hex.EncodeToString(h[:])[:16]+".yaml"), nil
}

// renderBroker builds the images of Knative's JetStream channel, unless that has been done.
func (i instance) renderBroker(ctx context.Context, step func(string, func() error) error) error {
	b, err := i.broker()
	if err != nil || b != jetstream {
		return err
	}
	out, err := i.renderedBroker()
	if err != nil || exists(out) {
		return err
	}
	return step("images of the JetStream channel", func() error {
		if err := download(ctx, i.root, []string{jetstream}); err != nil {
			return err
		}
		dir := filepath.Join(i.root, "e2e", "cluster", jetstream)
		all, err := yamlOf(ctx, dir, "knative.dev/eventing-natss", []string{"config/jetstream/*.yaml"})
		if err != nil {
			return err
		}
		ours, err := os.ReadFile(filepath.Join(dir, "jetstream.yaml"))
		if err != nil {
			return err
		}
		in := out + ".in"
		defer os.Remove(in)
		if err := os.WriteFile(in, append(all, ours...), 0o644); err != nil {
			return err
		}
		if err := i.ko(ctx, jetstream, in, out+".part"); err != nil {
			return err
		}
		return os.Rename(out+".part", out)
	})
}

// installBroker applies it.
func (i instance) installBroker(ctx context.Context) error {
	b, err := i.broker()
	if err != nil || b != jetstream {
		return err
	}
	file, err := i.renderedBroker()
	if err != nil {
		return err
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	password, err := i.secret("nats-password")
	if err != nil {
		return err
	}
	_, err = i.kubectlIn(ctx, strings.NewReplacer("NODE_IP", i.nodeIP(), "NATS_USER", natsUser, "NATS_PASSWORD", password).
		Replace(string(text)), "apply", "--server-side", "--force-conflicts", "-f", "-")
	return err
}
