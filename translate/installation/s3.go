package installation

import (
	"cmp"
	"errors"
	"fmt"
	"net/url"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"github.com/unip-knative/unip/eventing/databox"
)

// S3 says where boxes are kept.
type S3 struct {
	// Endpoint as seen from pods, with its scheme. Default http://minio.minio.svc:9000.
	Endpoint string `yaml:"endpoint"`
	// PublicEndpoint as seen by callers of the modules' APIs. Default: Endpoint.
	PublicEndpoint string `yaml:"publicEndpoint"`
	Region         string `yaml:"region"`
	// Buckets is what the names of the installation's buckets begin with. Default unip-.
	Buckets databox.BucketNames `yaml:"bucketPrefix"`
	// Dialect is in which way the S3 server tells of uploads. Default minio.
	Dialect Dialect `yaml:"dialect"`
	// NotificationARN is the target, known to the S3 server, that posts to unip. Default
	// arn:minio:sqs::UNIP:webhook for MinIO, "" for others. With "" the controller sets no bucket's
	// notifications: the server tells by its own configuration, or not at all.
	NotificationARN string `yaml:"notificationARN"`
	// STS is where the credentials of pods come from.
	STS STS `yaml:"sts"`
	// SessionSeconds is the life of a pod's credentials, 900 (S3's own minimum) to 3600. Default
	// 3600; they are renewed before half of it is over. Sessions that sign links live two hours in
	// any case.
	SessionSeconds int `yaml:"sessionSeconds"`
	// SessionHours was that life in earlier releases. It is taken, and has no effect: an hour is
	// the most.
	SessionHours int `yaml:"sessionHours"`
	// ReclaimPolicy says what happens to a bucket when its DataBox is deleted: Retain (default) or
	// Delete.
	ReclaimPolicy ReclaimPolicy `yaml:"reclaimPolicy"`
}

// Dialect of an S3 server.
type Dialect string

// The dialects, each with a folder in eventing/notification.
const (
	MinIO     Dialect = "minio" // RustFS, too
	AWS       Dialect = "aws"
	Ceph      Dialect = "ceph"
	SeaweedFS Dialect = "seaweedfs"
	VersityGW Dialect = "versitygw"
)

// dialects by what a bucket's notifications may go to: the services that stand in ARNs of the server;
// none where the server has one webhook for all that happens.
var dialects = map[Dialect][]string{
	MinIO: {"sqs"}, AWS: {"sns"}, Ceph: {"sns"}, SeaweedFS: nil, VersityGW: nil,
}

// dialectOf is the dialect that unip.yaml names, which its other defaults follow. What is wrong with
// the file is said by who reads all of it.
func dialectOf(b []byte) Dialect {
	x := struct {
		S3 struct {
			Dialect Dialect `yaml:"dialect"`
		} `yaml:"s3"`
	}{}
	x.S3.Dialect = MinIO
	if err := yaml.Unmarshal(b, &x); err != nil {
		return MinIO
	}
	return x.S3.Dialect
}

// usualTarget is the NotificationARN of MinIO's target UNIP.
const usualTarget = "arn:minio:sqs::UNIP:webhook"

// STS is the service that gives sessions of limited rights.
type STS struct {
	// Endpoint of the service as seen from the controller. Default: that of S3.
	Endpoint string `yaml:"endpoint"`
	// RoleARN is the role that is assumed. Default none, for servers that limit the rights of whoever
	// asks.
	RoleARN string `yaml:"roleARN"`
	// None says that the server has no such service.
	None bool `yaml:"none"`
}

// STSEndpoint is the URL of the service that gives sessions.
func (s S3) STSEndpoint() string { return cmp.Or(s.STS.Endpoint, s.Endpoint) }

// Bounds of a session's life in seconds: S3's own least, and as long as a session may be of use to
// whoever gets hold of it.
const (
	minSession = 900
	maxSession = 3600
)

func (s S3) validate() error {
	var errs []error
	for _, e := range []struct{ key, url string }{{"s3.endpoint", s.Endpoint}, {"s3.publicEndpoint", s.PublicEndpoint},
		{"s3.sts.endpoint", s.STSEndpoint()}} {
		u, err := url.Parse(e.url)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" ||
			(u.Path != "" && u.Path != "/") {
			errs = append(errs, fmt.Errorf("%s: %q is not a URL of the form http://host:port or https://host:port",
				e.key, e.url))
		}
	}
	if n := s.SessionSeconds; n < minSession || n > maxSession {
		errs = append(errs, fmt.Errorf("s3.sessionSeconds: %d is not within %d to %d; leave it out for an hour", n,
			minSession, maxSession))
	}
	if p := s.ReclaimPolicy; p != Retain && p != Delete {
		errs = append(errs, fmt.Errorf("s3.reclaimPolicy: %q is neither Retain nor Delete", p))
	}
	if err := s.Buckets.Check(); err != nil {
		errs = append(errs, fmt.Errorf("s3.bucketPrefix: %w", err))
	}
	return errors.Join(append(errs, s.checkTarget(), s.STS.validate())...)
}

// checkTarget checks that the server knows targets of the form of NotificationARN.
func (s S3) checkTarget() error {
	services, ok := dialects[s.Dialect]
	parts := strings.Split(s.NotificationARN, ":")
	switch {
	case !ok:
		return fmt.Errorf("s3.dialect: %q is none of minio (RustFS, too), aws, ceph, seaweedfs, versitygw", s.Dialect)
	case s.NotificationARN == "":
		return nil
	case len(services) == 0:
		return fmt.Errorf("s3.notificationARN: leave it out with s3.dialect %s: such a server has one webhook for all "+
			"buckets, in its own configuration", s.Dialect)
	case len(parts) != 6 || parts[0] != "arn" || !slices.Contains(services, parts[2]):
		return fmt.Errorf("s3.notificationARN: %q is not of the form arn:PARTITION:%s:REGION:ACCOUNT:NAME", s.NotificationARN,
			services[0])
	}
	return nil
}

func (s STS) validate() error {
	if s.None && (s.Endpoint != "" || s.RoleARN != "") {
		return errors.New("s3.sts.none: with it there is no s3.sts.endpoint and no s3.sts.roleARN")
	}
	if s.RoleARN != "" && !strings.HasPrefix(s.RoleARN, "arn:") {
		return fmt.Errorf("s3.sts.roleARN: %q is not of the form arn:…", s.RoleARN)
	}
	return nil
}

// ReclaimPolicy of buckets, named as Kubernetes names that of volumes.
type ReclaimPolicy string

// The policies.
const (
	Retain ReclaimPolicy = "Retain"
	Delete ReclaimPolicy = "Delete"
)
