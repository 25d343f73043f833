// Command s3check tells what unip needs of an S3 server and what this one has: of a server that it
// starts (--server), or of one that is there (S3CHECK_ENDPOINT and the variables beside it). Against a
// server of somebody's own it works in two new buckets, which it deletes at the end.
package main

import (
	"cmp"
	"context"
	"errors"
	"flag"
	"fmt"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/needs"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/databox/s3/check"
	"github.com/unip-knative/unip/translate/installation"
)

// timeout bounds everything.
const timeout = 5 * time.Minute

// exitLacks is the exit code for a server that unip is not to be used with.
const exitLacks = 1

func main() {
	name := flag.String("server", "", "start this server: "+serverNames())
	program := flag.String("program", "", "its program")
	output := flag.String("o", "table", "table, or json for an object a line")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	lacks, err := run(ctx, *name, *program, *output == "json")
	switch {
	case err != nil:
		fmt.Fprintln(os.Stderr, "s3check:", err)
		stop()
		os.Exit(3)
	case lacks:
		stop()
		os.Exit(exitLacks)
	}
}

func run(ctx context.Context, name, program string, json bool) (lacks bool, err error) {
	server, end, err := open(ctx, name, program)
	if err != nil {
		return false, err
	}
	defer end()
	var all []needs.Result
	var written error
	left, err := check.All(ctx, server, func(r needs.Result) {
		all = append(all, r)
		if json {
			written = errors.Join(written, needs.WriteResult(os.Stdout, r))
		} else {
			fmt.Fprintf(os.Stderr, "%d of %d: %s\n", len(all), len(needs.Needs), r.Check)
		}
	})
	if json {
		e := needs.End{Left: left}
		if err != nil {
			e.Err = err.Error()
		}
		return slices.ContainsFunc(all, needs.Result.Lacks), errors.Join(err, written, needs.WriteEnd(os.Stdout, e))
	}
	if left != "" {
		fmt.Fprintln(os.Stderr, "left in the server, delete it: "+left)
	}
	return slices.ContainsFunc(all, needs.Result.Lacks), errors.Join(err, needs.Table(os.Stdout, all))
}

// open gives the server that is started, or the one that is there.
func open(ctx context.Context, name, program string) (check.Server, func(), error) {
	if name != "" {
		return start(ctx, name, program)
	}
	endpoint := os.Getenv("S3CHECK_ENDPOINT")
	if endpoint == "" {
		return check.Server{}, nil, errors.New("name a server by --server, or S3CHECK_ENDPOINT, S3CHECK_ACCESS_KEY and " +
			"S3CHECK_SECRET_KEY; also S3CHECK_REGION, S3CHECK_BUCKET, S3CHECK_NOTIFICATION_ARN, S3CHECK_STS " +
			"(an endpoint, or none), S3CHECK_ROLE and S3CHECK_DIALECT")
	}
	s := check.Server{
		Endpoint: endpoint, Region: cmp.Or(os.Getenv("S3CHECK_REGION"), "us-east-1"),
		Bucket: os.Getenv("S3CHECK_BUCKET"), Keys: s3.Keys{AccessKeyID: os.Getenv("S3CHECK_ACCESS_KEY"), SecretAccessKey: os.Getenv("S3CHECK_SECRET_KEY")},
	}
	if sts := cmp.Or(os.Getenv("S3CHECK_STS"), endpoint); sts != "none" {
		s.Session = assume(s3.STS{Endpoint: sts, Region: s.Region, RoleARN: os.Getenv("S3CHECK_ROLE"), Parent: s.Keys,
			NoDelimiter: os.Getenv("S3CHECK_DIALECT") == string(installation.SeaweedFS),
			NoColons:    os.Getenv("S3CHECK_DIALECT") == string(installation.Ceph)})
	}
	if arn := os.Getenv("S3CHECK_NOTIFICATION_ARN"); arn != "" {
		s.Notify = notify(arn)
	}
	return s, func() {}, nil
}

func assume(sts s3.STS) func(context.Context, string, time.Duration) (databox.Session, error) {
	return func(ctx context.Context, policy string, life time.Duration) (databox.Session, error) {
		return sts.Session(ctx, http.DefaultClient, policy, life)
	}
}

func notify(arn string) func(context.Context, *minio.Client, string) error {
	return func(ctx context.Context, c *minio.Client, bucket string) error {
		_, err := s3.EnsureNotification(ctx, c, bucket, arn)
		return err
	}
}
