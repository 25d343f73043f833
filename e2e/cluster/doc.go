// Command cluster is a real Kubernetes with Knative and S3 on a bare Linux machine: no
// container engine, no image registry elsewhere. Every program of it is built from pinned Go
// modules (the folders kube, containerd, tools, coredns, knative and minio beside this file, each a
// module of its own) into a cache; runc and nft come from Debian's packages.
//
// The node is this program again, as PID 1 of a PID namespace with a mount and a network namespace
// of its own. When that process ends, the kernel ends everything of the cluster, pods included, and
// drops every mount. All addresses lie in 198.18.0.0/15 (the benchmarking range), which the machine
// routes nowhere but to the node.
//
// cgroup v1 is what it was run on. On cgroup v2 it follows the documentation of kubelet and runc,
// untried.
package main
