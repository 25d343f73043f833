// Package installation is the configuration of one unip installation, the file unip.yaml: what the
// translator, the controller and the gateway must know of the cluster around them. Every key has a
// default that works on the local cluster.
package installation

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"time"

	"gopkg.in/yaml.v3"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"

	"github.com/unip-knative/unip/eventing/brokers"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/quantity"
	"github.com/unip-knative/unip/eventing/routes"
)

// Config is the whole file.
type Config struct {
	// ClusterDomain is the DNS suffix of the cluster's Services. Default cluster.local.
	ClusterDomain string `yaml:"clusterDomain"`
	// Host is where the router answers for all modules, https://unip.example.org. Default none:
	// each module has a host of its own only.
	Host     string   `yaml:"host"`
	S3       S3       `yaml:"s3"`
	Security Profile  `yaml:"security"`
	Defaults Defaults `yaml:"defaults"`
	Runs     Runs     `yaml:"runs"`
	Broker   Broker   `yaml:"broker"`
	OIDC     OIDC     `yaml:"oidc"`

	NetworkPolicies NetworkPolicies `yaml:"networkPolicies"`
	Tracing         Tracing         `yaml:"tracing"`
	Limits          Limits          `yaml:"limits"`
	Storage         Storage         `yaml:"storage"`
	Gateway         Gateway         `yaml:"gateway"`
	Uploads         Uploads         `yaml:"uploads"`
	Mounts          Mounts          `yaml:"mounts"`
}

// Mounts are the folders of boxes that components have in their containers.
type Mounts struct {
	// MaxSize is how much all mounts of one component may bring to its pod at the start, as a
	// Kubernetes quantity. Default 5Gi. It lies on the node's disk.
	MaxSize string `yaml:"maxSize"`
}

// UsualMounts is the usual MaxSize.
const UsualMounts = "5Gi"

// Bytes are MaxSize.
func (m Mounts) Bytes() int64 {
	q := resource.MustParse(m.MaxSize)
	return q.Value()
}

func (m Mounts) validate() error {
	q, err := quantity.Size(m.MaxSize)
	if most := resource.MustParse("1Ti"); err != nil || q.Cmp(most) > 0 {
		return fmt.Errorf("mounts.maxSize: %q is not a size up to 1Ti; write 5Gi or the like", m.MaxSize)
	}
	return nil
}

// Uploads are how files are found that start runs.
type Uploads struct {
	// SweepMinutes is how often the boxes with on-upload rules are looked through for files of which
	// the S3 server has not told, 0 to 1440. Default 5; 0 is never, for a server that tells all.
	SweepMinutes int `yaml:"sweepMinutes"`
}

// SweepEvery is SweepMinutes; 0 is never.
func (u Uploads) SweepEvery() time.Duration { return time.Duration(u.SweepMinutes) * time.Minute }

func (u Uploads) validate() error {
	if u.SweepMinutes < 0 || u.SweepMinutes > 24*60 {
		return fmt.Errorf("uploads.sweepMinutes: %d is not within 0 to 1440", u.SweepMinutes)
	}
	return nil
}

// Storage is how boxes are looked after.
type Storage struct {
	// CountMinutes is how often the objects of a box are counted at the least, 1 to 1440. Default
	// 10; a box whose changes the S3 server tells is counted soon after each.
	CountMinutes int `yaml:"countMinutes"`
}

// CountEvery is CountMinutes.
func (s Storage) CountEvery() time.Duration { return time.Duration(s.CountMinutes) * time.Minute }

func (s Storage) validate() error {
	if s.CountMinutes < 1 || s.CountMinutes > 24*60 {
		return fmt.Errorf("storage.countMinutes: %d is not within 1 to 1440", s.CountMinutes)
	}
	return nil
}

// Gateway of each module.
type Gateway struct {
	// MaxScale is the most pods at once, 0 to 1000; 0 is no limit. Default 10.
	MaxScale int `yaml:"maxScale"`
	// Origins are the sites whose pages may call the APIs of all modules from a browser, as
	// https://app.example.org. Default none; the annotation origins of an API replaces them.
	Origins []string `yaml:"origins"`
}

func (g Gateway) validate() error {
	errs := []error{validateScale("gateway.maxScale", g.MaxScale)}
	for _, o := range g.Origins {
		if err := routes.CheckOrigin(o); err != nil {
			errs = append(errs, fmt.Errorf("gateway.origins: %w", err))
		}
	}
	return errors.Join(errs...)
}

// maxMaxScale is the largest maxScale; more pods of one function than that are a mistake.
const maxMaxScale = 1000

func validateScale(key string, n int) error {
	if n < 0 || n > maxMaxScale {
		return fmt.Errorf("%s: %d is not within 0 to %d", key, n, maxMaxScale)
	}
	return nil
}

// Limits of what callers may send.
type Limits struct {
	// BodyMiB is the largest body of a predict call, 1 to 250. Default 64. Larger data goes by
	// file.
	BodyMiB int `yaml:"bodyMiB"`
	// UploadLinks is how many links for files of unknown size a user gets for one box within an
	// hour from each pod of the gateway, 1 to 1000000. Default 10000. It bounds how far a box can
	// be filled beyond its capacity; links for a size that is told beforehand are not counted.
	UploadLinks int `yaml:"uploadLinks"`
}

// UsualUploadLinks is the UploadLinks that the gateway's image knows by itself.
const UsualUploadLinks = 10_000

// UsualBody is the BodyMiB that the images know by themselves.
const UsualBody = 64

// maxBody is below the largest frame between server and worker.
const maxBody = 250

func (l Limits) validate() error {
	if l.BodyMiB < 1 || l.BodyMiB > maxBody {
		return fmt.Errorf("limits.bodyMiB: %d is not within 1 to %d", l.BodyMiB, maxBody)
	}
	if l.UploadLinks < 1 || l.UploadLinks > 1_000_000 {
		return fmt.Errorf("limits.uploadLinks: %d is not within 1 to 1000000", l.UploadLinks)
	}
	return nil
}

// endpoints are the URLs by their keys that pods of modules connect to.
func (c Config) endpoints() map[string]string {
	all := map[string]string{"s3.endpoint": c.S3.Endpoint}
	if c.Tracing.Endpoint != "" {
		all["tracing.endpoint"] = c.Tracing.Endpoint
	}
	return all
}

// maxPatience is a week: no pod need live longer than some weeks.
const maxPatience = 7 * 24 * 60

// maxKeepDays is below the 90 days that start records live.
const maxKeepDays = 89

// Runs are the times of pipelines' runs.
type Runs struct {
	// ImagePullSeconds is how long a stage's image may fail to be pulled before the stage fails.
	// Default 300.
	ImagePullSeconds int `yaml:"imagePullSeconds"`
	// GraceSeconds is how long a step that is due waits for its event. Default 30.
	GraceSeconds int `yaml:"graceSeconds"`
	// JobTTLSeconds is how long the Job of a stage that has ended can still be looked at. Default
	// 3600.
	JobTTLSeconds int `yaml:"jobTTLSeconds"`
	// PatienceMinutes is how long a stage waits in all for what is not its doing, such as storage
	// that does not answer, before its run fails; 1 to 10080. Default 120.
	PatienceMinutes int `yaml:"patienceMinutes"`
	// LostNodeSeconds is how long a node may not answer until its stages begin elsewhere anew.
	// Default 60.
	LostNodeSeconds int `yaml:"lostNodeSeconds"`
	// KeepDays is how long the PipelineRun of a run that has ended stays. Default 30; run.json
	// stays with the outputs.
	KeepDays int `yaml:"keepDays"`
}

// ImagePull is ImagePullSeconds.
func (r Runs) ImagePull() time.Duration { return time.Duration(r.ImagePullSeconds) * time.Second }

// Grace is GraceSeconds.
func (r Runs) Grace() time.Duration { return time.Duration(r.GraceSeconds) * time.Second }

// Patience is PatienceMinutes.
func (r Runs) Patience() time.Duration { return time.Duration(r.PatienceMinutes) * time.Minute }

// Keep is KeepDays.
func (r Runs) Keep() time.Duration { return time.Duration(r.KeepDays) * 24 * time.Hour }

// Profile is a Pod Security level.
type Profile string

// The profiles: what users' containers must keep to. unip's own containers always keep to
// restricted, where their work allows.
const (
	Baseline   Profile = "baseline"
	Restricted Profile = "restricted"
)

// Defaults are written where a manifest is silent.
type Defaults struct {
	// Requests and Limits of a user's container that names none, as Kubernetes quantities by
	// resource name.
	Requests map[string]string `yaml:"requests"`
	Limits   map[string]string `yaml:"limits"`
	// TimeoutSeconds of one predict call, 1 to 600.
	TimeoutSeconds int `yaml:"timeoutSeconds"`
	// MaxScale is the most pods of a component at once, 0 to 1000; 0 is no limit. Default 20, so
	// that slow callers cannot take the whole cluster.
	MaxScale int `yaml:"maxScale"`
}

// smallCPU is what a container asks for at most unless it says more: a limit alone would become the
// request, and a limit of two CPUs would never fit a small node.
var smallCPU = resource.MustParse("100m")

// Resources are the limits that a container is given, or the installation's, with requests beside
// them: CPU as above, everything else as its limit.
func (d Defaults) Resources(limits corev1.ResourceList) corev1.ResourceRequirements {
	r := corev1.ResourceRequirements{Requests: corev1.ResourceList{}, Limits: corev1.ResourceList{}}
	for name, q := range d.Requests {
		r.Requests[corev1.ResourceName(name)] = resource.MustParse(q)
	}
	for name, q := range d.Limits {
		r.Limits[corev1.ResourceName(name)] = resource.MustParse(q)
	}
	for name, limit := range limits {
		r.Limits[name], r.Requests[name] = limit, limit
		if name == corev1.ResourceCPU && limit.Cmp(smallCPU) > 0 {
			r.Requests[name] = smallCPU
		}
	}
	return r
}

// Default is the configuration of the local cluster.
func Default() Config {
	return Config{
		ClusterDomain: "cluster.local",
		S3: S3{Endpoint: "http://minio.minio.svc:9000", Region: "us-east-1", Buckets: databox.UsualBuckets,
			Dialect: MinIO, NotificationARN: usualTarget, SessionSeconds: maxSession, ReclaimPolicy: Retain},
		Security: Baseline,
		Defaults: Defaults{
			Requests:       map[string]string{"cpu": "100m", "memory": "256Mi"},
			Limits:         map[string]string{"memory": "1Gi"},
			TimeoutSeconds: 300,
			MaxScale:       20,
		},
		Broker: Broker{Class: brokers.MTChannelBased},
		Runs: Runs{
			ImagePullSeconds: 300, GraceSeconds: 30, JobTTLSeconds: 3600, PatienceMinutes: 120, LostNodeSeconds: 60,
			KeepDays: 30,
		},
		OIDC: OIDC{UserClaim: "preferred_username", UserPrefix: "oidc:"},
		NetworkPolicies: NetworkPolicies{
			Enabled: true,
			IngressNamespaces: []string{servingNamespace, "kourier-system", "istio-system", "contour-external",
				"contour-internal"},
			Egress: Open,
		},
		Tracing: Tracing{SamplingRate: 0.1},
		Limits:  Limits{BodyMiB: UsualBody, UploadLinks: UsualUploadLinks},
		Storage: Storage{CountMinutes: 10},
		Gateway: Gateway{MaxScale: 10},
		Uploads: Uploads{SweepMinutes: 5},
		Mounts:  Mounts{MaxSize: UsualMounts},
	}
}

// Parse reads unip.yaml over the defaults. Unknown keys are errors; an empty file is the defaults.
func Parse(b []byte) (Config, error) {
	c := Default()
	if dialectOf(b) != MinIO {
		c.S3.NotificationARN = "" // the default is a target of MinIO's
	}
	d := yaml.NewDecoder(bytes.NewReader(b))
	d.KnownFields(true)
	if err := d.Decode(&c); err != nil && !errors.Is(err, io.EOF) {
		return Config{}, fmt.Errorf("installation config: %w", err)
	}
	if c.S3.PublicEndpoint == "" {
		c.S3.PublicEndpoint = c.S3.Endpoint
	}
	if err := errors.Join(c.validate(), checkSame(b, c.OIDC)); err != nil {
		return Config{}, fmt.Errorf("installation config: %w", err)
	}
	return c, nil
}

func (c Config) validate() error {
	var errs []error
	errs = append(errs, c.S3.validate())
	if c.Host != "" {
		if err := routes.CheckOrigin(c.Host); err != nil {
			errs = append(errs, fmt.Errorf("host: %w", err))
		}
	}
	if c.Security != Baseline && c.Security != Restricted {
		errs = append(errs, fmt.Errorf("security: %q is neither baseline nor restricted", c.Security))
	}
	if t := c.Defaults.TimeoutSeconds; t < 1 || t > 600 {
		errs = append(errs, fmt.Errorf("defaults.timeoutSeconds: %d is not within 1 to 600, Knative's maximum", t))
	}
	errs = append(errs, validateScale("defaults.maxScale", c.Defaults.MaxScale), c.Gateway.validate())
	for key, n := range map[string]int{"imagePullSeconds": c.Runs.ImagePullSeconds, "graceSeconds": c.Runs.GraceSeconds,
		"jobTTLSeconds": c.Runs.JobTTLSeconds, "lostNodeSeconds": c.Runs.LostNodeSeconds} {
		if n < 1 || n > 7*24*3600 {
			errs = append(errs, fmt.Errorf("runs.%s: %d is not within 1 to %d", key, n, 7*24*3600))
		}
	}
	if n := c.Runs.PatienceMinutes; n < 1 || n > maxPatience {
		errs = append(errs, fmt.Errorf("runs.patienceMinutes: %d is not within 1 to %d", n, maxPatience))
	}
	if n := c.Runs.KeepDays; n < 1 || n > maxKeepDays {
		errs = append(errs, fmt.Errorf(
			"runs.keepDays: %d is not within 1 to %d: a run must not outlast the record that it was started", n,
			maxKeepDays))
	}
	for name, m := range map[string]map[string]string{"defaults.requests": c.Defaults.Requests,
		"defaults.limits": c.Defaults.Limits} {
		for k, v := range m {
			if v == "0" && name == "defaults.requests" {
				continue
			}
			if _, err := quantity.Limit(corev1.ResourceName(k), v); err != nil {
				errs = append(errs, fmt.Errorf("%s.%s: %w", name, k, err))
			}
		}
	}
	return errors.Join(append(errs, c.OIDC.validate(c.ClusterDomain), c.Tracing.validate(), c.Limits.validate(),
		c.Storage.validate(), c.Uploads.validate(), c.Mounts.validate(), c.Broker.validate(),
		c.NetworkPolicies.validate(c.endpoints(), c.ClusterDomain))...)
}
