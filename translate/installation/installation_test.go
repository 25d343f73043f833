package installation_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/translate/installation"
)

func TestNothingIsTheDefault(t *testing.T) {
	t.Parallel()
	want := installation.Default()
	want.S3.PublicEndpoint = want.S3.Endpoint
	for _, in := range []string{"", "# nothing\n", "{}"} {
		got, err := installation.Parse([]byte(in))
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%q (-want +got):\n%s", in, diff)
		}
	}
}

func TestParse(t *testing.T) {
	t.Parallel()
	got, err := installation.Parse(
		[]byte("clusterDomain: example.org\nsecurity: restricted\ns3: {endpoint: 'https://s3.example.org', reclaimPolicy: Delete}\ndefaults: {timeoutSeconds: 600}\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got.ClusterDomain != "example.org" || got.Security != installation.Restricted ||
		got.S3.ReclaimPolicy != installation.Delete ||
		got.S3.PublicEndpoint != "https://s3.example.org" || got.S3.Region != "us-east-1" ||
		got.Defaults.TimeoutSeconds != 600 {
		t.Errorf("%+v", got)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]string{
		"domain: x":                    "field domain not found",
		"s3: {endpoint: 'minio:9000'}": `s3.endpoint: "minio:9000" is not a URL`,
		"s3: {sessionSeconds: 7200}":   "s3.sessionSeconds: 7200 is not within 900 to 3600",
		"s3: {sessionSeconds: 60}":     "s3.sessionSeconds: 60 is not within 900 to 3600",
		"s3: {reclaimPolicy: Keep}":    `s3.reclaimPolicy: "Keep" is neither Retain nor Delete`,
		"s3: {dialect: rustfs}":        `s3.dialect: "rustfs" is none of minio (RustFS, too)`,
		"s3: {dialect: ceph, notificationARN: 'arn:minio:sqs::UNIP:webhook'}": "is not of the form arn:PARTITION:sns:",
		"s3: {notificationARN: webhook}":                                      "is not of the form arn:PARTITION:sqs:",
		"s3: {dialect: versitygw, notificationARN: 'arn:aws:sns:::unip'}":     "leave it out with s3.dialect versitygw",
		"s3: {sts: {endpoint: 'sts.example.org'}}":                            `s3.sts.endpoint: "sts.example.org" is not a URL`,
		"s3: {sts: {roleARN: unip}}":                                          `s3.sts.roleARN: "unip" is not of the form arn:`,
		"s3: {sts: {none: true, roleARN: 'arn:aws:iam::1:role/u'}}":           "with it there is no s3.sts.endpoint",
		"security: none":                                                        `security: "none" is neither baseline nor restricted`,
		"defaults: {timeoutSeconds: 601}":                                       "defaults.timeoutSeconds: 601 is not within 1 to 600",
		"defaults: {maxScale: -1}":                                              "defaults.maxScale: -1 is not within 0 to 1000",
		"runs: {patienceMinutes: 0}":                                            "runs.patienceMinutes: 0 is not within 1 to 10080",
		"runs: {patienceMinutes: 10081}":                                        "runs.patienceMinutes: 10081 is not within 1 to 10080",
		"runs: {lostNodeSeconds: 0}":                                            "runs.lostNodeSeconds: 0 is not within 1 to 604800",
		"gateway: {origins: ['*']}":                                             `gateway.origins: "*" is not an origin`,
		"gateway: {origins: ['https://a.example/x']}":                           `gateway.origins: "https://a.example/x" is not an origin`,
		"gateway: {maxScale: 1001}":                                             "gateway.maxScale: 1001 is not within 0 to 1000",
		"defaults: {limits: {memory: much}}":                                    `defaults.limits.memory: "much" is not a size`,
		"oidc: {issuer: 'sso.example.org'}":                                     `oidc.issuer: "sso.example.org" is not a URL`,
		"oidc: {issuer: 'http://a.example'}":                                    `oidc.issuer: "http://a.example": write https`,
		"oidc: {clientId: \"a\\tc\"}":                                           `oidc.clientId: "a\tc" is not the id of a client`,
		"oidc: {userClaim: ''}":                                                 `oidc.userClaim: "" is not the name of a claim`,
		"oidc: {userClaim: 'a\"b'}":                                             `is not the name of a claim`,
		"oidc: {userPrefix: 'oidc-'}":                                           `oidc.userPrefix: "oidc-" is not at most`,
		"oidc: {userPrefix: 'a b:'}":                                            `oidc.userPrefix: "a b:" is not at most`,
		"oidc: {userPrefix: ''}":                                                "oidc.sameAsBasic: true",
		"oidc: {sameAsBasic: true, userClaim: sub}":                             "there is no oidc.issuer",
		"oidc: {sameAsBasic: true, issuer: 'https://a.example'}":                "write oidc.userClaim beside it",
		"{oidc: {sameAsBasic: true, issuer: 'https://a.example', userClaim: }}": "write oidc.userClaim beside it",
		"oidc: {sameAsBasic: true, issuer: 'https://a.example', userClaim: ''}": "is not the name of a claim",
		"oidc: {sameAsBasic: true, issuer: 'https://a.example', userClaim: a, userPrefix: ''}": "oidc.userPrefix is empty",
		"oidc: {sameAsBasic: yes please}":     "cannot unmarshal",
		"broker: {class: ''}":                 `broker.class: "" is no class`,
		"broker: {class: 'a b'}":              `broker.class: "a b" is no class`,
		"broker: {config: {kind: ConfigMap}}": "broker.config: apiVersion, name, namespace is missing",
		"broker: {config: {apiVersion: a/b/c, kind: ConfigMap, name: a, namespace: b}}":           `broker.config.apiVersion: "a/b/c" is none`,
		"broker: {config: {apiVersion: v1, kind: config map, name: a, namespace: b}}":             `broker.config.kind: "config map" is no kind`,
		"broker: {config: {apiVersion: v1, kind: ConfigMap, name: A, namespace: b}}":              `broker.config.name: "A"`,
		"broker: {config: {apiVersion: v1, kind: ConfigMap, name: a, namespace: b.c}}":            `broker.config.namespace: "b.c"`,
		"broker: {config: {group: v1}}":                                                           "field group not found",
		"networkPolicies: {egress: Closed}":                                                       `networkPolicies.egress: "Closed" is neither Open nor Restricted`,
		"networkPolicies: {ingressNamespaces: [ingress]}":                                         "networkPolicies.ingressNamespaces: knative-serving is missing",
		"networkPolicies: {ingressNamespaces: [knative-serving, A.b]}":                            `networkPolicies.ingressNamespaces: "A.b" is not the name of a namespace`,
		"tracing: {endpoint: 'collector:4318'}":                                                   "tracing.endpoint is not a URL",
		"tracing: {endpoint: 'http://a:secret@b'}":                                                "tracing.endpoint is not a URL",
		"limits: {bodyMiB: 251}":                                                                  "limits.bodyMiB: 251 is not within 1 to 250",
		"tracing: {samplingRate: 2}":                                                              "tracing.samplingRate: 2 is not within 0 to 1",
		"tracing: {samplingRate: .nan}":                                                           "tracing.samplingRate: NaN is not within 0 to 1",
		"networkPolicies: {egress: Restricted}\ntracing: {endpoint: 'https://otel.example.org'}":  "name the addresses of tracing.endpoint here",
		"networkPolicies: {egressCIDRs: [10.0.0.1]}":                                              `networkPolicies.egressCIDRs: "10.0.0.1" is not a range`,
		"networkPolicies: {egressCIDRs: [10.0.0.1/8]}":                                            `networkPolicies.egressCIDRs: "10.0.0.1/8" is not a range`,
		"{s3: {endpoint: 'https://s3.example.org'}, networkPolicies: {egress: Restricted}}":       "networkPolicies.egressCIDRs: with egress Restricted, name the addresses of s3.endpoint",
		"{s3: {endpoint: 'http://minio.minio.svc.other'}, networkPolicies: {egress: Restricted}}": "networkPolicies.egressCIDRs: with egress Restricted, name the addresses of s3.endpoint",
		"{networkPolicies: {denied: [a]}}":                                                        "field denied not found",
		"s3: {bucketPrefix: unip}":                                                                `s3.bucketPrefix: "unip" is not up to 24 of a-z, 0-9 and -, with a - at the end`,
		"s3: {bucketPrefix: ''}":                                                                  `s3.bucketPrefix: "" is not`,
		"uploads: {sweepMinutes: -1}":                                                             "uploads.sweepMinutes: -1 is not within 0 to 1440",
		"defaults: {limits: {memory: 512m}}":                                                      "write 512M or 512Mi",
		"defaults: {requests: {cpu: '2000'}}":                                                     "write 2000m",
		"mounts: {maxSize: 5m}":                                                                   "mounts.maxSize",
		"oidc: {audience: x}":                                                                     "field audience not found",
	} {
		if _, err := installation.Parse([]byte(in)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", in, err, want)
		}
	}
}

// Another server than MinIO has another target, or none.
func TestS3OfAnotherServer(t *testing.T) {
	t.Parallel()
	for in, want := range map[string]installation.S3{
		"s3: {}":                                       {Dialect: installation.MinIO, NotificationARN: "arn:minio:sqs::UNIP:webhook"},
		"s3: {dialect: minio}":                         {Dialect: installation.MinIO, NotificationARN: "arn:minio:sqs::UNIP:webhook"},
		"s3: {notificationARN: ''}":                    {Dialect: installation.MinIO},
		"s3: {dialect: seaweedfs}":                     {Dialect: installation.SeaweedFS},
		"s3: {dialect: ceph, bucketPrefix: hse-unip-}": {Dialect: installation.Ceph, Buckets: "hse-unip-"},
		"s3: {dialect: versitygw, sts: {none: true}}":  {Dialect: installation.VersityGW, STS: installation.STS{None: true}},
		"s3: {dialect: ceph, notificationARN: 'arn:aws:sns:default::unip'}": {Dialect: installation.Ceph,
			NotificationARN: "arn:aws:sns:default::unip"},
		"s3: {dialect: aws, sts: {endpoint: 'https://sts.eu-central-1.amazonaws.com', roleARN: 'arn:aws:iam::1:role/unip'}}": {
			Dialect: installation.AWS, STS: installation.STS{Endpoint: "https://sts.eu-central-1.amazonaws.com",
				RoleARN: "arn:aws:iam::1:role/unip"}},
	} {
		got, err := installation.Parse([]byte(in))
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		want.Endpoint, want.PublicEndpoint, want.Region = got.S3.Endpoint, got.S3.Endpoint, got.S3.Region
		if want.Buckets == "" {
			want.Buckets = databox.UsualBuckets
		}
		want.SessionSeconds, want.ReclaimPolicy = 3600, installation.Retain
		if d := cmp.Diff(want, got.S3); d != "" {
			t.Errorf("%s (-want +got)\n%s", in, d)
		}
	}
}

func TestOIDC(t *testing.T) {
	t.Parallel()
	got, err := installation.Parse([]byte("oidc: {issuer: 'https://sso.example.org/realms/r', clientId: end-users}"))
	if err != nil {
		t.Fatal(err)
	}
	want := installation.OIDC{Issuer: "https://sso.example.org/realms/r", ClientID: "end-users",
		UserClaim: "preferred_username", UserPrefix: "oidc:"}
	if diff := cmp.Diff(want, got.OIDC); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	got, err = installation.Parse([]byte(
		"oidc: {issuer: 'https://sso.example.org', userClaim: preferred_username, sameAsBasic: true}"))
	if err != nil || !got.OIDC.SameAsBasic || got.OIDC.UserPrefix != "oidc:" {
		t.Errorf("the same users, on purpose: %+v, %v", got.OIDC, err)
	}
}

func TestCheckIssuer(t *testing.T) {
	t.Parallel()
	for issuer, good := range map[string]bool{
		"https://sso.example.org":                 true,
		"https://sso.example.org/":                true,
		"https://sso.example.org:8443/realms/a":   true,
		"http://idp.auth.svc":                     true,
		"http://idp.auth.svc:8080/realms/a":       true,
		"http://idp.auth.svc.cluster.example":     true,
		"http://idp.auth.svc.cluster.example:80/": true,
		"http://sso.example.org":                  false,
		"http://idp.auth":                         false,
		"http://idp.auth.svc.cluster.local":       false, // another domain than the cluster's
		"http://evil.example/.svc":                false,
		"http://evil.example?.svc":                false,
		"http://idp.auth.svc@evil.example":        false,
		"http://evil.example#.svc":                false,
		"https://user:secret@sso.example.org":     false,
		"https://sso.example.org?x=1":             false,
		"https://sso.example.org?":                false,
		"https://sso.example.org#":                false,
		"https://":                                false,
		"https:///realms/a":                       false,
		"https://:443":                            false,
		"ftp://sso.example.org":                   false,
		"sso.example.org":                         false,
		" https://sso.example.org":                false,
		"https://sso.example.org\nX: y":           false,
		"":                                        false,
	} {
		if err := installation.CheckIssuer(issuer, "cluster.example"); (err == nil) != good {
			t.Errorf("%q: %v, good should be %v", issuer, err, good)
		}
	}
}

// An operator bounds the disk of users' containers; a manifest's own limit wins, and without either
// there is none.
func TestDiskIsBoundedByTheOperator(t *testing.T) {
	t.Parallel()
	none := installation.Default().Defaults.Resources(nil)
	if _, ok := none.Limits[corev1.ResourceEphemeralStorage]; ok {
		t.Error("there is a limit that nobody has asked for")
	}
	c, err := installation.Parse([]byte("defaults: {limits: {ephemeral-storage: 20Gi}}"))
	if err != nil {
		t.Fatal(err)
	}
	for own, want := range map[string]string{"": "20Gi", "1Gi": "1Gi"} {
		limits := corev1.ResourceList{}
		if own != "" {
			limits[corev1.ResourceEphemeralStorage] = resource.MustParse(own)
		}
		got := c.Defaults.Resources(limits).Limits
		disk, memory := got[corev1.ResourceEphemeralStorage], got[corev1.ResourceMemory]
		if disk.String() != want || memory.String() != "1Gi" {
			t.Errorf("a manifest with %q: %s of disk, %s of memory", own, disk.String(), memory.String())
		}
	}
}
