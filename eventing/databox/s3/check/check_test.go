//go:build integration

package check_test

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/needs"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/databox/s3/check"
	"github.com/unip-knative/unip/eventing/databox/s3/check/weaktest"
)

const region = "us-east-1"

var root = s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}

// server is one of a kind at an endpoint.
func server(endpoint string, kind *miniotest.Server) check.Server {
	sts := s3.STS{Endpoint: endpoint, Region: region, Parent: root, NoDelimiter: kind.SeaweedFS}
	return check.Server{
		Endpoint: endpoint, Region: region, Keys: root,
		Session: func(ctx context.Context, policy string, life time.Duration) (databox.Session, error) {
			return sts.Session(ctx, http.DefaultClient, policy, life)
		},
	}
}

type transport func(*http.Request) (*http.Response, error)

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) { return t(r) }

// all runs the suite and gives its results by their needs. It has left nothing behind.
func all(t *testing.T, s check.Server) map[string]needs.Result {
	t.Helper()
	results := map[string]needs.Result{}
	begin := time.Now()
	left, err := check.All(t.Context(), s, func(r needs.Result) {
		results[r.Check] = r
		t.Logf("%-9s %-34s %5d ms  %s", r.Outcome, r.Check, r.Millis, r.Answer)
	})
	if err != nil || left != "" {
		t.Errorf("%v; left: %s", err, left)
	}
	if len(results) != len(needs.Needs) {
		t.Errorf("%d of %d needs were tried", len(results), len(needs.Needs))
	}
	t.Logf("in %v", time.Since(begin).Round(time.Millisecond))
	return results
}

// With sessions MinIO takes a header that was not signed, and SeaweedFS tags.
func TestWithSessions(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	results := all(t, server(s.Endpoint, s))
	if s.SeaweedFS {
		want(t, results, needs.SessionPlain)
	} else {
		want(t, results, needs.LinkHeaders)
		if a := results[needs.LinkHeaders.Name].Answer; a != "taken though not signed: x-amz-storage-class" {
			t.Error(a)
		}
	}
	left, err := s.ListBuckets(t.Context())
	if err != nil || len(left) > 0 {
		t.Errorf("%v %v", left, err)
	}
}

// want compares the needs that are not met, and looks for the others at what must be.
func want(t *testing.T, results map[string]needs.Result, notMet ...needs.Need) {
	t.Helper()
	for _, n := range needs.Needs {
		r, lacks := results[n.Name], slices.ContainsFunc(notMet, func(x needs.Need) bool { return x.Name == n.Name })
		switch {
		case lacks && (r.Outcome != needs.NotMet || r.Answer == "" || r.Follows != n.Without):
			t.Errorf("%s: %+v, and it lacks that", n.Name, r)
		case !lacks && r.Outcome == needs.NotMet:
			t.Errorf("%s: %+v", n.Name, r)
		}
	}
}

// By the keys alone, as without sessions, MinIO copies for whoever holds an upload link.
func TestWithoutSessions(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	alone := server(s.Endpoint, s)
	alone.Session = nil
	results := all(t, alone)
	if s.SeaweedFS {
		want(t, results)
	} else {
		want(t, results, needs.LinkCopies, needs.LinkHeaders)
	}
	for _, n := range []needs.Need{needs.Sessions, needs.SessionLimits, needs.SessionPaths, needs.SessionPlain} {
		if r := results[n.Name]; r.Outcome != needs.NotTried {
			t.Errorf("%+v, without STS", r)
		}
	}
}

// A server that obeys an unsigned copy is found, whatever signs the link.
func TestAWeakServer(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	lacks := needs.LinkHeaders
	if s.SeaweedFS {
		lacks = needs.SessionPlain
	}
	want(t, all(t, server(weaktest.Copies(t, s.Endpoint, root, region), s)), needs.LinkCopies, lacks)
	bucket := s.Bucket(t)
	s.Put(t, bucket, "theirs", "stays")
	leaky := weaktest.Copies(t, s.Endpoint, root, region)
	for endpoint, closes := range map[string]bool{s.Endpoint: false, leaky: true} {
		failed, err := check.UploadLinks(t.Context(), server(endpoint, s), bucket)
		if err != nil || (len(failed) > 0) != closes || closes && failed[0].Check != needs.LinkCopies.Name {
			t.Errorf("%v, %v; closes: %v", failed, err, closes)
		}
	}
	var left []string
	for o := range s.ListObjects(t.Context(), bucket, minio.ListObjectsOptions{Recursive: true}) {
		left = append(left, o.Key)
	}
	if !slices.Equal(left, []string{"theirs"}) {
		t.Errorf("%v is left", left)
	}
}

// Nor does one that takes longer than it is waited for.
func TestUploadLinksOfASlowServer(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	bucket := s.Bucket(t)
	slow := server(s.Endpoint, s)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	slow.Transport = transport(func(r *http.Request) (*http.Response, error) {
		if r.Method == http.MethodGet {
			cancel()
		}
		return http.DefaultTransport.RoundTrip(r)
	})
	if failed, err := check.UploadLinks(ctx, slow, bucket); !errors.Is(err, context.Canceled) || len(failed) > 0 {
		t.Errorf("%v, %v", failed, err)
	}
}

// A server that is away says nothing of what it has.
func TestNoServer(t *testing.T) {
	t.Parallel()
	nobody := server("http://127.0.0.1:1", &miniotest.Server{})
	for name, r := range all(t, nobody) {
		if r.Outcome != needs.NotTried {
			t.Errorf("%s: %+v", name, r)
		}
	}
	if failed, err := check.UploadLinks(t.Context(), nobody, "bucket"); err == nil || len(failed) > 0 {
		t.Errorf("%v, %v", failed, err)
	}
}
