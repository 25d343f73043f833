package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/minio/minio-go/v7"
	appsv1 "k8s.io/api/apps/v1"
	coordinationv1 "k8s.io/api/coordination/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	policyclient "k8s.io/client-go/kubernetes/typed/policy/v1"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/chaos/between"
	"github.com/unip-knative/unip/e2e/chaos/work"
	"github.com/unip-knative/unip/e2e/live"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/names"
)

// The modules: one that is judged, and one that is removed in the middle.
const (
	judged  = "pu-chaos-pa-judged"
	removed = "pu-chaos-pa-removed"
)

// world is the cluster, with what stands between.
type world struct {
	*live.Cluster
	evictions     policyclient.EvictionsGetter
	module, other *live.Module
	host          string // of the module's gateway
	admin         *minio.Client
	box, runs     string // the module's buckets

	s3, api, broker *between.Way
	http            *http.Client // calls S3 as the module's pods do: by the way between
	// As seen from here. The Brokers' is their own address: what is forged is not meddled with.
	s3URL, brokerURL string

	endRedirects context.CancelFunc
	redirects    <-chan struct{}
	removing     chan error // of the other module; nil before
	replicas     int        // of the controller, before it was scaled
	controllers  int        // replicas of it now
	commit       string     // of the checkout
	removedOnes  []string   // its buckets
}

// connect finds the local cluster and stands between its pods and what they call.
func connect(ctx context.Context) (*world, error) {
	c, err := live.Connect()
	if err != nil {
		return nil, err
	}
	netns := os.Getenv("UNIP_CLUSTER_NETNS")
	if netns == "" {
		return nil, errors.New("chaos kills by PID: it is for the local cluster (UNIP_CLUSTER_NETNS)")
	}
	cfg, err := ctrl.GetConfig()
	if err != nil {
		return nil, err
	}
	evictions, err := policyclient.NewForConfig(cfg)
	if err != nil {
		return nil, err
	}
	w := &world{Cluster: c, evictions: evictions, module: c.Module(judged), other: c.Module(removed)}
	if err := w.between(ctx, netns); err != nil {
		return nil, errors.Join(err, w.close(context.WithoutCancel(ctx), true))
	}
	return w, nil
}

// between opens the ways, and redirects pods to them.
func (w *world) between(ctx context.Context, netns string) error {
	out, err := w.Run(ctx, nil, os.Getenv("CLUSTER"), "status", "--json")
	if err != nil {
		return err
	}
	var status struct{ State, S3 string }
	if err := json.Unmarshal(out, &status); err != nil {
		return err
	}
	s3, err := url.Parse(status.S3)
	if err != nil {
		return err
	}
	w.s3URL = status.S3
	const brokers = "http:"
	node := s3.Hostname()
	pki := func(name string) string { return filepath.Join(status.State, "pki", name) }
	keys, err := tls.LoadX509KeyPair(pki("apiserver.crt"), pki("apiserver.key"))
	if err != nil {
		return err
	}
	ca, err := os.ReadFile(pki("ca.crt"))
	if err != nil {
		return err
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(ca)
	var redirects []between.Redirect
	open := func(port string, service types.NamespacedName, servicePort, to string,
		keys *tls.Certificate) (*between.Way, error) {
		svc := &corev1.Service{}
		if err := w.Get(ctx, service, svc); err != nil {
			return nil, err
		}
		address := net.JoinHostPort(node, port)
		l, err := between.Listen(netns, address)
		if err != nil {
			return nil, err
		}
		target, err := url.Parse(to)
		if err != nil {
			return nil, err
		}
		if target.Host == "" { // the Service's own address: this machine is not redirected
			target.Host = net.JoinHostPort(svc.Spec.ClusterIP, servicePort)
		}
		if to == brokers {
			w.brokerURL = target.String()
		}
		redirects = append(redirects, between.Redirect{From: net.JoinHostPort(svc.Spec.ClusterIP, servicePort),
			To: address})
		way := between.New(target, &http.Transport{
			DisableCompression: true, ForceAttemptHTTP2: keys != nil, MaxIdleConnsPerHost: 100,
			IdleConnTimeout: 5 * time.Second,
			TLSClientConfig: &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12},
		})
		go way.Serve(l, keys)
		return way, nil
	}
	var errs [3]error
	w.s3, errs[0] = open("19000", types.NamespacedName{Namespace: "s3", Name: "s3"}, "9000", status.S3, nil)
	w.api, errs[1] = open("19443", types.NamespacedName{Namespace: "default", Name: "kubernetes"}, "443",
		"https://"+net.JoinHostPort(node, "6443"), &keys)
	w.broker, errs[2] = open("19080", types.NamespacedName{Namespace: "knative-eventing", Name: "broker-ingress"}, "80",
		brokers, nil)
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	w.http = &http.Client{Transport: &http.Transport{DisableKeepAlives: true,
		DialContext: func(ctx context.Context, network, address string) (net.Conn, error) {
			if address == s3.Host {
				address = net.JoinHostPort(node, "19000")
			}
			return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, network, address)
		}}}
	holding, end := context.WithCancel(context.WithoutCancel(ctx))
	w.endRedirects = end
	w.redirects, err = between.Hold(holding, netns, redirects)
	return err
}

// prepare brings the modules onto the cluster. The controller begins anew, so that its connections
// go by the ways between.
func (w *world) prepare(ctx context.Context, two bool, replicas int) error {
	w.say("the controller begins anew")
	out, err := w.Run(ctx, nil, "git", "describe", "--always", "--dirty", "--exclude=*")
	if err != nil {
		return err
	}
	w.commit = strings.TrimSpace(string(out))
	d := &appsv1.Deployment{}
	if err := w.Get(ctx, client.ObjectKey{Namespace: names.SystemNamespace, Name: names.Controller}, d); err != nil {
		return err
	}
	w.controllers = int(*d.Spec.Replicas) // never nil in what is read
	if replicas > 0 {
		w.replicas = w.controllers
		if err := w.scale(ctx, replicas); err != nil {
			return err
		}
		w.controllers = replicas
	}
	if err := w.restart(ctx); err != nil {
		return err
	}
	modules := []*live.Module{w.module}
	if two {
		modules = append(modules, w.other)
	}
	for _, m := range modules {
		if err := m.Delete(ctx); err != nil {
			return err
		}
		w.say("applying %s", m.Namespace)
		if err := w.apply(ctx, m, "first"); err != nil {
			return err
		}
	}
	for _, m := range modules {
		if err := m.AwaitReady(ctx, 3*time.Minute); err != nil {
			return err
		}
	}
	if w.host, err = w.module.Host(ctx); err != nil {
		return err
	}
	var session databox.Session
	if w.admin, session, err = w.module.Bucket(ctx, work.Box); err != nil {
		return err
	}
	w.box, w.runs = session.Bucket, databox.UsualBuckets.Runs(judged)
	return nil
}

func (w *world) scale(ctx context.Context, replicas int) error {
	_, err := w.Kubectl(ctx, "-n", names.SystemNamespace, "scale", "deploy/"+names.Controller, "--replicas",
		strconv.Itoa(replicas))
	return err
}

// restart restarts the controller's pods, one after the other, and returns when the new ones work.
func (w *world) restart(ctx context.Context) error {
	rollout := func(ctx context.Context, do string) error {
		_, err := w.Kubectl(ctx, "-n", names.SystemNamespace, "rollout", do, "deploy/"+names.Controller)
		return err
	}
	// The API server may just have come back.
	err := live.Await(ctx, time.Minute, "a rollout to begin",
		func(ctx context.Context) error { return rollout(ctx, "restart") })
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	return rollout(ctx, "status")
}

// apply applies a module's manifests with a note that changes nothing that counts.
func (w *world) apply(ctx context.Context, m *live.Module, note string) error {
	return m.ApplyText(ctx, work.Manifests(m.Namespace, note))
}

// close undoes what was done to the cluster.
func (w *world) close(ctx context.Context, keep bool) error {
	ctx, cancel := context.WithTimeout(ctx, 8*time.Minute)
	defer cancel()
	if w.endRedirects != nil {
		w.endRedirects()
		if w.redirects != nil {
			<-w.redirects
		}
	}
	var errs []error
	for _, way := range []*between.Way{w.s3, w.api, w.broker} {
		if way != nil {
			errs = append(errs, way.Close())
		}
	}
	errs = append(errs, live.Await(ctx, 3*time.Minute, "the cluster to be whole", w.whole))
	if w.replicas > 0 {
		errs = append(errs, w.scale(ctx, w.replicas))
	}
	if keep {
		return errors.Join(errs...)
	}
	w.say("ending: the modules are removed")
	if w.removing != nil {
		if err := <-w.removing; err != nil { // it is asked for again below, when nothing is in the way
			w.say("removing a module took long: %v", err)
		}
	}
	return errors.Join(append(errs, w.module.Delete(ctx), w.other.Delete(ctx))...)
}

// whole is nil when the node and all of Knative's and unip's Deployments are there again.
func (w *world) whole(ctx context.Context) error {
	out, err := w.Kubectl(ctx, "get", "deploy", "-A", "--no-headers", "--request-timeout=5s")
	if err != nil {
		return err
	}
	for line := range strings.Lines(out) {
		if f := strings.Fields(line); len(f) > 2 && strings.HasPrefix(f[2], "0/") && f[2] != "0/0" &&
			!strings.HasPrefix(f[0], "pu-") {
			return fmt.Errorf("%s/%s is %s", f[0], f[1], f[2])
		}
	}
	return nil
}

// podsOf are the pods with those labels in which something runs.
func (w *world) podsOf(ctx context.Context, namespace string, labels client.ListOption) ([]corev1.Pod, error) {
	var pods corev1.PodList
	if err := w.List(ctx, &pods, client.InNamespace(namespace), labels); err != nil {
		return nil, err
	}
	return slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool {
		return p.DeletionTimestamp != nil || runs(&p) == ""
	}), nil
}

// signal signals processes of the node. When the context ends, who was stopped goes on.
func (w *world) signal(ctx context.Context, signal string, hold time.Duration, name string) error {
	cmd := exec.CommandContext(ctx, os.Getenv("CLUSTER"), "signal", signal, name, "--for", hold.String())
	cmd.Dir = w.Root
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%s %s: %w: %s", signal, name, err, bytes.TrimSpace(out))
	}
	return nil
}

// leader is the controller's pod that leads.
func (w *world) leader(ctx context.Context) string {
	var lease coordinationv1.Lease
	err := w.Get(ctx, client.ObjectKey{Namespace: names.SystemNamespace, Name: names.Controller}, &lease)
	if err != nil || lease.Spec.HolderIdentity == nil {
		return ""
	}
	pod, _, _ := strings.Cut(*lease.Spec.HolderIdentity, "_")
	return pod
}
