package main

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
)

// configure writes the configuration of the node's programs. It may be repeated; keys and passwords
// that are there stay.
func (i instance) configure(bins map[string]string) error {
	for _, d := range []string{"etcd"} {
		if err := os.MkdirAll(i.dir(d), 0o700); err != nil {
			return err
		}
	}
	if err := os.MkdirAll(i.registryDir(), 0o755); err != nil {
		return err
	}
	if !exists(i.kubeconfig()) {
		if err := writePKI(i.dir("pki"), i.nodeIP(), i.apiIP()); err != nil {
			return fmt.Errorf("making certificates: %w", err)
		}
	}
	if err := i.configureS3(); err != nil {
		return err
	}
	if err := i.configureBroker(); err != nil {
		return err
	}
	return i.first().configure(bins)
}

// configure writes the files that the programs of every node have.
func (n node) configure(bins map[string]string) error {
	for _, d := range []string{"log", "run", "var/lib", "var/log", "cni", "pki", "certs.d/" + registryName} {
		if err := os.MkdirAll(n.dir(d), 0o700); err != nil {
			return err
		}
	}
	if n.number > 1 && !exists(n.dir("pki", "proxy.kubeconfig")) {
		if err := n.writePKI(); err != nil {
			return fmt.Errorf("making certificates of %s: %w", n.hostname(), err)
		}
	}
	for name, content := range n.configFiles(bins) {
		if b, err := os.ReadFile(n.dir(name)); err == nil && string(b) == content {
			continue // kube-proxy ends when its file is written
		}
		if err := os.WriteFile(n.dir(name), []byte(content), 0o600); err != nil {
			return err
		}
	}
	return nil
}

// registryDir holds the images of all instances; nothing in it is ever changed in place.
func (i instance) registryDir() string { return filepath.Join(cacheDir(), "registry") }

// secret is a random word of the instance, made when first asked for.
func (i instance) secret(name string) (string, error) {
	if b, err := os.ReadFile(i.dir(name)); err == nil {
		return string(b), nil
	}
	var b [20]byte
	if _, err := rand.Read(b[:]); err != nil {
		return "", err
	}
	s := hex.EncodeToString(b[:])
	return s, os.WriteFile(i.dir(name), []byte(s), 0o600)
}

// secondTaint keeps pods off the second node until a test wants them there.
const secondTaint = "unip-e2e/second-node"

// configFiles are the files by their place in the node's folder.
func (n node) configFiles(bins map[string]string) map[string]string {
	r := strings.NewReplacer(
		"{dir}", n.dir(), "{name}", n.netns(), "{host}", n.hostname(), "{node}", n.ip(), "{pods}", n.pods(),
		"{allPods}", n.podCIDR(), "{dns}", n.dnsIP(), "{registry}", registryName, "{registryHost}", n.registry(),
		"{registryDir}", n.registryDir(), "{cni}", bins["containerd"], "{runc}", bins["runc"],
	)
	files := map[string]string{}
	for name, template := range configTemplates {
		files[r.Replace(name)] = r.Replace(template)
	}
	if n.number > 1 {
		files["kubelet.yaml"] += "registerWithTaints: [{key: " + secondTaint + ", effect: NoSchedule}]\n"
	}
	return files
}

var configTemplates = map[string]string{
	"resolv.conf": "", // pods with dnsPolicy Default have no upstream
	"registry.yaml": `version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: {registryDir}}
  delete: {enabled: true}
http: {addr: "{registryHost}"}
`,
	"certs.d/{registry}/hosts.toml": `server = "http://{registryHost}"
[host."http://{registryHost}"]
  capabilities = ["pull", "resolve"]
`,
	"containerd.toml": `version = 3
root = "{dir}/containerd"
state = "{dir}/run/containerd"
oom_score = 0
disabled_plugins = ["io.containerd.nri.v1.nri", "io.containerd.internal.v1.tracing", "io.containerd.tracing.processor.v1.otlp",
  "io.containerd.snapshotter.v1.blockfile", "io.containerd.snapshotter.v1.erofs", "io.containerd.differ.v1.erofs"]
[grpc]
  address = "{dir}/run/containerd.sock"
[plugins."io.containerd.cri.v1.images"]
  snapshotter = "overlayfs"
  [plugins."io.containerd.cri.v1.images".pinned_images]
    sandbox = "{registry}/cluster/pause:1"
  [plugins."io.containerd.cri.v1.images".registry]
    config_path = "{dir}/certs.d"
[plugins."io.containerd.cri.v1.runtime"]
  # Without it every sandbox fails in "runc create" on a machine that does not let go below its own score.
  restrict_oom_score_adj = true
  [plugins."io.containerd.cri.v1.runtime".cni]
    bin_dirs = ["{cni}"]
    conf_dir = "{dir}/cni"
  [plugins."io.containerd.cri.v1.runtime".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.cri.v1.runtime".containerd.runtimes.runc.options]
        BinaryName = "{runc}"
        SystemdCgroup = false
`,
	"cni/10-unip.conflist": `{
  "cniVersion": "1.0.0",
  "name": "unip",
  "plugins": [
    {
      "type": "ptp",
      "ipMasq": false,
      "ipam": {
        "type": "host-local",
        "dataDir": "{dir}/run/cni",
        "ranges": [[{"subnet": "{pods}"}]],
        "routes": [{"dst": "0.0.0.0/0"}]
      }
    },
    {"type": "portmap", "backend": "nftables", "capabilities": {"portMappings": true}}
  ]
}
`,
	"kubelet.yaml": `apiVersion: kubelet.config.k8s.io/v1beta1
kind: KubeletConfiguration
address: {node}
authentication:
  anonymous: {enabled: false}
  webhook: {enabled: true}
  x509: {clientCAFile: {dir}/pki/ca.crt}
authorization: {mode: Webhook}
tlsCertFile: {dir}/pki/kubelet.crt
tlsPrivateKeyFile: {dir}/pki/kubelet.key
containerRuntimeEndpoint: unix://{dir}/run/containerd.sock
cgroupDriver: cgroupfs
cgroupRoot: /{name}
failCgroupV1: false
failSwapOn: false
oomScoreAdj: 0
clusterDomain: cluster.local
clusterDNS: [{dns}]
resolvConf: {dir}/resolv.conf
evictionHard: {memory.available: 100Mi, nodefs.available: "1%", imagefs.available: "1%", nodefs.inodesFree: "1%"}
imageGCHighThresholdPercent: 100
imageGCLowThresholdPercent: 99
serializeImagePulls: false
maxPods: 200
registryPullQPS: 0
eventRecordQPS: 0
shutdownGracePeriod: 0s
syncFrequency: 30s
maxOpenFiles: 20000
`,
	"proxy.yaml": `apiVersion: kubeproxy.config.k8s.io/v1alpha1
kind: KubeProxyConfiguration
bindAddress: {node}
clientConnection: {kubeconfig: {dir}/pki/proxy.kubeconfig}
clusterCIDR: {allPods}
hostnameOverride: {host}
mode: nftables
# What conntrack may hold is the machine's affair, and not to be written from inside a network namespace.
conntrack: {maxPerCore: 0, min: 0, tcpEstablishedTimeout: 0s, tcpCloseWaitTimeout: 0s}
metricsBindAddress: 127.0.0.1:10249
`,
}
