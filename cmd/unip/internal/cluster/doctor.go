package cluster

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/controller-runtime/pkg/client"

	platformv1 "github.com/unip-knative/unip/eventing/apis/platform/v1"
	"github.com/unip-knative/unip/eventing/label"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
)

// Finding is what one check found. Cure is empty when it is fine.
type Finding struct {
	Check   string `json:"check"`
	OK      bool   `json:"ok"`
	Message string `json:"message"`
	Cure    string `json:"cure,omitempty"`
}

const systemNamespace = names.SystemNamespace

// headTimeout bounds the question whether anybody answers at an address.
const headTimeout = 5 * time.Second

// Examine looks whether a cluster has what modules need, and tells of each thing as it is found. own is
// the release of this unip, without images in a development build.
func (c *Cluster) Examine(ctx context.Context, own installation.Release, tell func(Finding)) {
	check := checker(tell)
	if !c.examineGround(ctx, check) {
		return // nothing else can be seen, and nothing of it is to blame
	}
	const config = "`unip install` of a release, or its unip.yaml; in a checkout of unip `ko apply -f config/`"
	check("unip", config, func() (string, error) {
		return c.checkRunning(ctx, []string{"databoxes.unified-platform.cs.hse.ru",
			"pipelines.runtime.unified-platform.cs.hse.ru", "pipelineruns.runtime.unified-platform.cs.hse.ru",
			"boxputs.runtime.unified-platform.cs.hse.ru"},
			systemNamespace, "unip-controller")
	})
	check("leader", "kubectl -n "+systemNamespace+" logs deploy/unip-controller says why no replica can lead",
		func() (string, error) { return c.checkLeader(ctx, time.Now()) })
	var conf installation.Config
	check("configuration",
		"correct ConfigMap "+systemNamespace+"/unip-config, key unip.yaml; the message names what is wrong",
		func() (message string, err error) {
			conf, message, err = c.readConfig(ctx)
			return message, err
		})
	check("release", "take the unip of the installation's version, or install this one's (`unip install`): its controller "+
		"writes ConfigMap "+systemNamespace+"/"+names.Release,
		func() (string, error) { return c.checkRelease(ctx, own) })
	check("Broker", "install the Broker of broker.class and make the object of broker.config, or name others in "+
		systemNamespace+"/unip-config; a module's Broker that was made otherwise: `kubectl -n NAMESPACE delete broker NAME`, "+
		"then `unip apply` of the module", func() (string, error) { return c.checkBroker(ctx, conf.Broker) })
	check("ingress", "add the namespace to networkPolicies.ingressNamespaces in "+systemNamespace+
		"/unip-config and in the unip.yaml that translate is given",
		func() (string, error) { return c.checkIngress(ctx, conf.NetworkPolicies) })
	check("S3 keys", "make Secret "+systemNamespace+"/unip-s3 with accessKeyId, secretAccessKey and webhookToken",
		func() (string, error) { return c.checkS3Keys(ctx, conf.S3.STS.None) })
	check("S3", "look whether the server runs and s3.publicEndpoint in "+systemNamespace+
		"/unip-config is its address for callers outside the cluster",
		func() (string, error) { return checkS3Answers(ctx, conf.S3.PublicEndpoint) })
	if conf.Host != "" {
		check("host", "pass it to Service "+systemNamespace+"/unip-router, or correct host in "+systemNamespace+
			"/unip-config", func() (string, error) { return checkHost(ctx, conf.Host) })
	}
	check("modules",
		"apply each of them again: `unip apply -f <manifests>`, or `unip translate -f <manifests> | ko apply -f -`",
		func() (string, error) { return c.checkModules(ctx) })
	check("boxes and their notifications",
		"the reason says what the S3 server refused, or which keys are missing; for notifications it must know the target "+
			"s3.notificationARN, MinIO by the variables MINIO_NOTIFY_WEBHOOK_… of its environment (docs/operating.md)",
		func() (string, error) { return c.checkBoxes(ctx) })
}

// checker makes a finding of each look.
func checker(tell func(Finding)) func(name, cure string, look func() (string, error)) bool {
	return func(name, cure string, look func() (string, error)) bool {
		message, err := look()
		f := Finding{Check: name, OK: err == nil, Message: message}
		if err != nil {
			f.Message, f.Cure = strings.Join(strings.Fields(err.Error()), " "), cure // one line
		}
		tell(f)
		return f.OK
	}
}

// examineGround looks at what unip stands on, and reports whether the API server answers.
func (c *Cluster) examineGround(ctx context.Context, check func(string, string, func() (string, error)) bool) bool {
	if !check("API server", "look at the kubeconfig, its current context (or --context), and whether the server is up",
		func() (string, error) {
			v, err := c.version.ServerVersion()
			if err != nil {
				return "", err
			}
			return c.Host + " answers; version " + v.GitVersion, nil
		}) {
		return false
	}
	const install = "install Knative (knative.dev/docs/install), the version of `unip version` or a later one"
	check("Knative Serving", install, func() (string, error) {
		return c.checkRunning(ctx, []string{"services.serving.knative.dev", "revisions.serving.knative.dev"},
			"knative-serving", "controller", "activator", "autoscaler", "webhook")
	})
	check("Knative Eventing", install, func() (string, error) {
		return c.checkRunning(ctx, []string{"brokers.eventing.knative.dev", "triggers.eventing.knative.dev",
			"pingsources.sources.knative.dev"}, "knative-eventing", "eventing-controller", "eventing-webhook")
	})
	return true
}

var crdKind = schema.GroupVersionKind{
	Group: "apiextensions.k8s.io", Version: "v1", Kind: "CustomResourceDefinition",
}

// checkRunning wants CRDs and Deployments that are available.
func (c *Cluster) checkRunning(ctx context.Context, crds []string, namespace string, deployments ...string) (string,
	error) {
	version := ""
	for _, name := range crds {
		o, err := c.getExisting(ctx, crdKind, "", name)
		if err != nil {
			return "", err
		}
		version = o.GetLabels()[label.Version]
	}
	for _, name := range deployments {
		o, err := c.getExisting(ctx, schema.GroupVersionKind{Group: "apps", Version: "v1", Kind: "Deployment"},
			namespace,
			name)
		if err != nil {
			return "", err
		}
		if n, _, _ := unstructured.NestedInt64(o.Object, "status", "availableReplicas"); n == 0 {
			return "", fmt.Errorf("deployment %s/%s has no available replica", namespace, name)
		}
	}
	message := strings.Join(deployments, ", ") + " run"
	if version != "" {
		message += "; version " + version
	}
	return message, nil
}

// checkLeader wants one of the controller's replicas to lead: the others only receive.
func (c *Cluster) checkLeader(ctx context.Context, now time.Time) (string, error) {
	o, err := c.getExisting(ctx, schema.GroupVersionKind{Group: "coordination.k8s.io", Version: "v1", Kind: "Lease"},
		systemNamespace, names.Controller)
	if err != nil {
		return "", err
	}
	holder, _, _ := unstructured.NestedString(o.Object, "spec", "holderIdentity")
	renewed, _, _ := unstructured.NestedString(o.Object, "spec", "renewTime")
	lasts, _, _ := unstructured.NestedInt64(o.Object, "spec", "leaseDurationSeconds")
	at, err := time.Parse(time.RFC3339, renewed)
	if holder == "" || err != nil {
		return "", errors.New("no replica leads")
	}
	const clocks = 30 * time.Second // may differ by so much
	if late := now.Sub(at) - time.Duration(lasts)*time.Second; late > clocks {
		return "", fmt.Errorf("no replica leads: the lease was renewed last at %s", renewed)
	}
	pod, _, _ := strings.Cut(holder, "_")
	return pod + " leads", nil
}

func newObject(k schema.GroupVersionKind, namespace, name string) *Object {
	o := &Object{}
	o.SetGroupVersionKind(k)
	o.SetNamespace(namespace)
	o.SetName(name)
	return o
}

// getExisting reads an object that has to be there.
func (c *Cluster) getExisting(ctx context.Context, k schema.GroupVersionKind, namespace, name string) (*Object, error) {
	o := newObject(k, namespace, name)
	live, err := c.get(ctx, o)
	if err == nil && live == nil {
		err = fmt.Errorf("there is no %s", strings.TrimPrefix(namespace+" "+Name(o), " "))
	}
	return live, err
}

// readConfig is the cluster's configuration, and in words where it comes from; with an error it
// is the default one, of which the other checks make the best.
func (c *Cluster) readConfig(ctx context.Context) (installation.Config, string, error) {
	conf, there, err := c.InstalledConfig(ctx)
	switch {
	case !there:
		return conf, "there is no ConfigMap " + systemNamespace + "/unip-config, so the defaults hold", err
	case err != nil:
		return conf, "", err
	}
	return conf, "unip.yaml can be read" + sameUsers(conf.OIDC), nil
}

// checkRelease wants the installation to say which images and worker modules get, and that they are those
// of this unip: a module that it writes is read by them.
func (c *Cluster) checkRelease(ctx context.Context, own installation.Release) (string, error) {
	r, there, err := c.InstalledRelease(ctx)
	switch {
	case err != nil:
		return "", err
	case !there:
		return "", fmt.Errorf("there is no ConfigMap %s/%s, which unip's controller writes when it leads",
			systemNamespace, names.Release)
	}
	said := ""
	if r.Version != "" {
		said = r.Version + ": "
	}
	return said + "images by digest and the worker, of the same version as this unip", differs(own, r)
}

// differs says in what an installation's release is not the one that a unip knows. A development build
// knows the worker alone.
func differs(own, installed installation.Release) error {
	digest := func(image string) string { // an installation may have the image in a registry of its own
		_, d, _ := strings.Cut(image, "@")
		return d
	}
	another := "the installation is of another version than this unip"
	if installed.Version != "" && own.Version != "" {
		another = fmt.Sprintf("the installation is %s, and this unip %s", installed.Version, own.Version)
	}
	for what, images := range map[string][2]string{
		"inference": {own.Inference, installed.Inference}, "gateway": {own.Gateway, installed.Gateway},
	} {
		if d := digest(images[0]); d != "" && d != digest(images[1]) {
			return fmt.Errorf("%s: its image of %s is %s", another, what, images[1])
		}
	}
	if !maps.EqualFunc(own.Worker, installed.Worker, bytes.Equal) {
		return fmt.Errorf("%s: its worker is another one", another)
	}
	return nil
}

// sameUsers says that users of the issuer and of HTTP Basic are the same people, where they are.
func sameUsers(o installation.OIDC) string {
	if !o.SameAsBasic {
		return ""
	}
	return "; oidc.sameAsBasic is on: users of " + o.Issuer + ", named by " + o.UserClaim +
		", and users of HTTP Basic with the same names are the same people"
}

// checkIngress looks whether NetworkPolicies let the calls of Knative's ingress through: what it
// writes into the status of an Ingress says in which namespace its pods are.
func (c *Cluster) checkIngress(ctx context.Context, policies installation.NetworkPolicies) (string, error) {
	if !policies.Enabled {
		return "modules have no NetworkPolicies", nil
	}
	all, err := c.list(ctx, "", schema.GroupVersionKind{Group: "networking.internal.knative.dev", Version: "v1alpha1",
		Kind: "Ingress"})
	if err != nil {
		return "", err
	}
	found := map[string]bool{}
	for _, i := range all {
		for _, which := range []string{"publicLoadBalancer", "privateLoadBalancer"} {
			addresses, _, _ := unstructured.NestedSlice(i.Object, "status", which, "ingress")
			for _, a := range addresses {
				m, _ := a.(map[string]any)
				name, _ := m["domainInternal"].(string)
				if parts := strings.Split(name, "."); len(parts) >= 3 && parts[2] == "svc" {
					found[parts[1]] = true
				}
			}
		}
	}
	inside := slices.Sorted(maps.Keys(found))
	for _, ns := range inside {
		if !slices.Contains(policies.IngressNamespaces, ns) {
			return "",
				fmt.Errorf("calls come from namespace %s, and the NetworkPolicies of modules let in those of %s only",
					ns, strings.Join(policies.IngressNamespaces, ", "))
		}
	}
	if len(inside) == 0 {
		return "no Knative Service yet that would show where its pods are", nil
	}
	return "its pods are in " + strings.Join(inside, ", "), nil
}

func (c *Cluster) checkS3Keys(ctx context.Context, noSTS bool) (string, error) {
	o, err := c.getExisting(ctx, schema.GroupVersionKind{Version: "v1", Kind: "Secret"}, systemNamespace, "unip-s3")
	if err != nil {
		return "", err
	}
	data, _, _ := unstructured.NestedMap(o.Object, "data")
	for _, key := range []string{"accessKeyId", "secretAccessKey", "webhookToken"} {
		if v, _ := data[key].(string); v == "" {
			return "", fmt.Errorf("secret %s/unip-s3 has no %s", systemNamespace, key)
		}
	}
	if noSTS {
		return "all three are there; with s3.sts.none pods of modules hold keys of boxes, which have no end and open all " +
			"users' files of a box (docs/security.md)", nil
	}
	return "all three are there", nil
}

// checkS3Answers asks whether there is an HTTP server; without keys every S3 server refuses, which
// is an answer.
func checkS3Answers(ctx context.Context, endpoint string) (string, error) {
	a, err := head(ctx, endpoint)
	if err == nil && a.code >= http.StatusInternalServerError {
		err = fmt.Errorf("%s answers %s", endpoint, a.status)
	}
	return endpoint + " answers", err
}

// checkHost asks the one host for what is not there, which the router answers with a problem.
func checkHost(ctx context.Context, host string) (string, error) {
	a, err := head(ctx, host+"/")
	if err == nil && (a.code != http.StatusNotFound || a.contentType != "application/problem+json") {
		err = fmt.Errorf("%s answers %s, not as unip's router does", host, a.status)
	}
	return "unip's router answers at " + host, err
}

// answer is what an address has answered, but for the body.
type answer struct {
	code                int
	status, contentType string
}

// head is what GET of a URL is answered with.
func head(ctx context.Context, url string) (answer, error) {
	ctx, cancel := context.WithTimeout(ctx, headTimeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return answer{}, err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Status, resp.Header.Get("Content-Type")}, resp.Body.Close()
}

func (c *Cluster) checkBoxes(ctx context.Context) (string, error) {
	all, err := c.list(ctx, "", boxKind)
	if err != nil {
		return "", err
	}
	var wrong []string
	for _, b := range all {
		ok, why := readiness(b)
		if said := readyMessage(b); ok &&
			(strings.Contains(said, platformv1.UploadsUntold) || strings.Contains(said, platformv1.NoUploadLinks)) {
			ok, why = false, said
		}
		if !ok {
			wrong = append(wrong, fmt.Sprintf("%s/%s: %s", b.GetNamespace(), b.GetName(), why))
		}
	}
	if len(wrong) > 0 {
		return "", fmt.Errorf("%d of %d are not in order: %s", len(wrong), len(all), strings.Join(wrong, "; "))
	}
	return fmt.Sprintf("%d, all ready", len(all)), nil
}

// checkModules looks for those in which the controller may not work: their manifests were applied
// by a version of unip that did not write its Role, or somebody has removed it.
func (c *Cluster) checkModules(ctx context.Context) (string, error) {
	found, may := map[string]bool{}, map[string]bool{}
	for _, k := range []schema.GroupVersionKind{boxKind, generated[0], pipelineKind} {
		all, err := c.list(ctx, "", k)
		if err != nil {
			return "", err
		}
		for _, o := range all {
			if k == boxKind || k == pipelineKind || o.GetLabels()[label.ManagedBy] == label.Unip {
				found[o.GetNamespace()] = true
			}
		}
	}
	bindings, err := c.list(ctx, "", bindingKind, client.MatchingLabels{names.ControllerRoleLabel: "true"})
	if err != nil {
		return "", err
	}
	for _, b := range bindings {
		may[b.GetNamespace()] = true
	}
	var without []string
	for _, ns := range slices.Sorted(maps.Keys(found)) {
		if !may[ns] {
			without = append(without, ns)
		}
	}
	if len(without) > 0 {
		return "", fmt.Errorf("in %d of %d the controller may not work, for they have no RoleBinding %s: %s",
			len(without),
			len(found), names.Controller, strings.Join(without, ", "))
	}
	return fmt.Sprintf("%d, the controller may work in all of them", len(found)), nil
}
