// Package live drives unip on a real cluster the way its users do: manifests through `unip
// translate | ko apply`, objects into boxes by S3, predict through the cluster's ingress. The demo,
// the benchmarks and the e2e tests share it.
//
// The cluster is the one that the environment names: KUBECONFIG, UNIP_CLUSTER_INGRESS (the ingress
// as seen from here), and CLUSTER (the program that runs a command where the registry's name
// resolves); `cluster env` prints them. With UNIP_ONE_HOST modules are called at the one host of all,
// through the router, and not each at its own.
package live
