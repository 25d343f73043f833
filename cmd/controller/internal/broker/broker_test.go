package broker

import (
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/unip-knative/unip/eventing/brokers"
	"github.com/unip-knative/unip/translate/installation"
)

func made(class, label, address string) *unstructured.Unstructured {
	return &unstructured.Unstructured{Object: map[string]any{
		"metadata": map[string]any{
			"name": "default", "namespace": "pu-a", "labels": map[string]any{"app.kubernetes.io/managed-by": label},
			"annotations": map[string]any{brokers.ClassAnnotation: class},
		},
		"status": map[string]any{"address": map[string]any{"url": address}},
	}}
}

// An editor of the namespace may write any status: the controller posts nowhere but to where
// Brokers receive.
func TestAddressIsBelievedOnlyWhereBrokersAre(t *testing.T) {
	t.Parallel()
	c := installation.Default()
	const class, ours = "MTChannelBasedBroker", "unip"
	for _, good := range []string{
		"http://broker-ingress.knative-eventing.svc.cluster.local/pu-a/default",
		"https://broker-ingress.knative-eventing.svc.cluster.local:8443/pu-a/default",
		"http://stage-broker-ingress.pu-a.svc.cluster.local",
	} {
		if got, err := address(made(class, ours, good), c); got != good || err != nil {
			t.Errorf("%s: %q, %v", good, got, err)
		}
	}
	for _, bad := range []string{
		"", "http://198.18.0.1:18099/latest/meta-data?x=", "http://169.254.169.254/", "http://[fd00:ec2::254]/",
		"http://localhost:8082/",
		"http://minio.minio.svc.cluster.local:9000/", "http://unip-events.unip-system.svc.cluster.local/",
		"http://kubernetes.default.svc.cluster.local/",
		"http://evil.example/.knative-eventing.svc.cluster.local",
		"http://evil.example#.knative-eventing.svc.cluster.local",
		"http://broker-ingress.knative-eventing.svc.cluster.local.evil.example/",
		"http://broker-ingress.knative-eventing.svc.cluster.local@evil.example/",
		"http://user:password@broker-ingress.knative-eventing.svc.cluster.local/",
		"http://knative-eventing.svc.cluster.local/",
		"http://a.b.knative-eventing.svc.cluster.local/", "http://.knative-eventing.svc.cluster.local/",
		"http://broker-ingress.knative-eventing.svc/",
		"file:///etc/unip/s3/accessKeyId", "gopher://broker-ingress.knative-eventing.svc.cluster.local/",
		"//broker-ingress.knative-eventing.svc.cluster.local/",
		"http://broker-ingress.knative-eventing.svc.cluster.local:80:80/",
		"http://a b.knative-eventing.svc.cluster.local/", "%zz",
		"http://evil.example\\.knative-eventing.svc.cluster.local/",
		"http://evil.example?.knative-eventing.svc.cluster.local",
	} {
		if got, err := address(made(class, ours, bad), c); err == nil {
			t.Errorf("%s is taken: %q", bad, got)
		}
	}
	const fine = "http://broker-ingress.knative-eventing.svc.cluster.local/pu-a/default"
	if _, err := address(made("nobody", ours, fine), c); err == nil ||
		!strings.Contains(err.Error(), `broker.class is "MTChannelBasedBroker"`) {
		t.Errorf("another class: %v", err)
	}
	if _, err := address(made(class, "somebody", fine), c); err == nil {
		t.Error("somebody else's Broker is taken")
	}
}

func TestBrokerOfTheTriggers(t *testing.T) {
	t.Parallel()
	triggers := func(brokers ...string) (all []unstructured.Unstructured) {
		for _, b := range brokers {
			all = append(all, unstructured.Unstructured{Object: map[string]any{"spec": map[string]any{"broker": b}}})
		}
		return all
	}
	for want, in := range map[string][]string{"default": {"aaa", "default"},
		"stage-default": {"stage-default", "stage-default"}} {
		if got, err := named(triggers(in...)); got != want || err != nil {
			t.Errorf("%v: %s, %v", in, got, err)
		}
	}
	if got, err := named(nil); got != "default" || err != nil {
		t.Errorf("without Triggers: %s, %v", got, err)
	}
	if got, err := named(triggers("a", "b")); err == nil {
		t.Errorf("of two: %s", got)
	}
}

// Only the in-memory channel answers after its subscribers have. Of what is not known nothing is
// given up early.
func TestWhoDeliversBeforeItAnswers(t *testing.T) {
	t.Parallel()
	of := func(class, channel string) *unstructured.Unstructured {
		b := made(class, "unip", "")
		if channel != "" {
			b.Object["status"] = map[string]any{"annotations": map[string]any{brokers.ChannelAnnotation: channel}}
		}
		return b
	}
	if !delivered(of(brokers.MTChannelBased, brokers.InMemoryChannel)) {
		t.Error("the in-memory channel does not deliver")
	}
	for _, other := range [][2]string{
		{brokers.MTChannelBased, ""}, {brokers.MTChannelBased, brokers.NATSJetStreamChannel},
		{brokers.Kafka, ""}, {"Nobodys", brokers.InMemoryChannel},
	} {
		if delivered(of(other[0], other[1])) {
			t.Errorf("%v is taken for one that delivers before it answers", other)
		}
	}
	if f := (&Finder{}); f.Delivered("ns") {
		t.Error("a Broker that nobody has looked at delivers")
	}
}
