package main

// daemons are the programs of a node: first those that need nothing, later those that need the API
// server.
func (n node) daemons() (first, later []daemon, err error) {
	work := []daemon{
		{name: "kubelet", args: []string{
			"kubelet", "--config=" + n.dir("kubelet.yaml"), "--kubeconfig=" + n.dir("pki", "kubelet.kubeconfig"),
			"--root-dir=/var/lib/kubelet", "--cert-dir=" + n.dir("pki"), "--node-ip=" + n.ip(),
			"--hostname-override=" + n.hostname(),
		}},
		{name: "kube-proxy", args: []string{"kube-proxy", "--config=" + n.dir("proxy.yaml")}},
	}
	runtime := daemon{name: "containerd",
		args: []string{"containerd", "--config", n.dir("containerd.toml"), "--log-level=warn"}}
	if n.number > 1 {
		return []daemon{runtime}, work, nil
	}
	first, later, err = n.controlPlane()
	if err != nil {
		return nil, nil, err
	}
	broker, err := n.brokerDaemons()
	return append(append(first, broker...), runtime), append(later, work...), err
}

// controlPlane are the programs that a cluster has once, with the registry and S3.
func (i instance) controlPlane() (first, later []daemon, err error) {
	s3, err := i.s3Daemons()
	if err != nil {
		return nil, nil, err
	}
	pki := func(name string) string { return i.dir("pki", name) }
	first = []daemon{
		{name: "registry", args: []string{"registry", "serve", i.dir("registry.yaml")}},
		{name: "etcd", args: []string{
			"etcd", "--name=node", "--data-dir=" + i.dir("etcd"), "--unsafe-no-fsync", "--log-level=warn",
			"--listen-client-urls=http://127.0.0.1:2379", "--advertise-client-urls=http://127.0.0.1:2379",
			"--listen-peer-urls=http://127.0.0.1:2380", "--initial-advertise-peer-urls=http://127.0.0.1:2380",
			"--initial-cluster=node=http://127.0.0.1:2380",
		}},
		{name: "kube-apiserver", args: []string{
			"kube-apiserver", "--etcd-servers=http://127.0.0.1:2379",
			"--bind-address=0.0.0.0", "--secure-port=6443", "--advertise-address=" + i.nodeIP(),
			"--service-cluster-ip-range=" + i.svcCIDR(), "--service-node-port-range=30000-32767",
			"--tls-cert-file=" + pki("apiserver.crt"), "--tls-private-key-file=" + pki("apiserver.key"),
			"--client-ca-file=" + pki("ca.crt"),
			"--authorization-mode=Node,RBAC", "--enable-admission-plugins=NodeRestriction",
			"--kubelet-client-certificate=" + pki("apiserver-kubelet-client.crt"),
			"--kubelet-client-key=" + pki("apiserver-kubelet-client.key"),
			"--kubelet-certificate-authority=" + pki("ca.crt"), "--kubelet-preferred-address-types=InternalIP",
			"--service-account-issuer=https://kubernetes.default.svc.cluster.local",
			"--service-account-key-file=" + pki("sa.pub"), "--service-account-signing-key-file=" + pki("sa.key"),
			"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"),
			"--requestheader-allowed-names=front-proxy-client",
			"--requestheader-extra-headers-prefix=X-Remote-Extra-", "--requestheader-group-headers=X-Remote-Group",
			"--requestheader-username-headers=X-Remote-User",
			"--proxy-client-cert-file=" + pki("front-proxy-client.crt"),
			"--proxy-client-key-file=" + pki("front-proxy-client.key"),
			"--allow-privileged", "--profiling=false", "--endpoint-reconciler-type=lease",
		}},
	}
	first = append(first, s3...)
	later = []daemon{
		{name: "kube-controller-manager", args: []string{
			"kube-controller-manager", "--kubeconfig=" + pki("kcm.kubeconfig"),
			"--authentication-kubeconfig=" + pki("kcm.kubeconfig"),
			"--authorization-kubeconfig=" + pki("kcm.kubeconfig"),
			"--leader-elect=false", "--use-service-account-credentials", "--root-ca-file=" + pki("ca.crt"),
			"--service-account-private-key-file=" + pki("sa.key"), "--client-ca-file=" + pki("ca.crt"),
			"--requestheader-client-ca-file=" + pki("front-proxy-ca.crt"),
			"--cluster-signing-cert-file=" + pki("ca.crt"), "--cluster-signing-key-file=" + pki("ca.key"),
			"--bind-address=127.0.0.1", "--profiling=false",
		}},
		{name: "kube-scheduler", args: []string{
			"kube-scheduler", "--kubeconfig=" + pki("scheduler.kubeconfig"),
			"--authentication-kubeconfig=" + pki("scheduler.kubeconfig"),
			"--authorization-kubeconfig=" + pki("scheduler.kubeconfig"),
			"--leader-elect=false", "--bind-address=127.0.0.1", "--profiling=false",
		}},
	}
	return first, later, nil
}
