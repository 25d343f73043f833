package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/cmd/controller/internal/uploadlinks"
	"github.com/unip-knative/unip/eventing/databox/needs"
	"github.com/unip-knative/unip/eventing/databox/s3/check"
)

// s3CheckTimeout bounds all checks together.
const s3CheckTimeout = 5 * time.Minute

// s3Check tries the needs on the installation's S3 server. The exit code is 1 for a server that unip is
// not to be used with, 2 for a wrong command line, 3 where the server could not be tried.
func s3Check(ctx context.Context, args []string, out, progress io.Writer) int {
	flags := flag.NewFlagSet("s3-check", flag.ContinueOnError)
	flags.SetOutput(progress)
	config := flags.String("config", "/etc/unip/config/unip.yaml", "the installation's config; may be missing")
	keys := flags.String("s3-credentials", "/etc/unip/s3", "folder with the files accessKeyId and secretAccessKey")
	bucket := flags.String("bucket", "", "where the keys may make no bucket: one to try it in")
	format := flags.String("o", "table", "table, or json for an object a line")
	if err := flags.Parse(args); err != nil || flags.NArg() > 0 || *format != "table" && *format != "json" {
		return 2
	}
	var written error // it goes on all the same, for what it has made in the server is taken away at the end
	results, end, err := trySettings(ctx, *config, *keys, *bucket, func(r needs.Result) {
		if *format == "json" {
			written = errors.Join(written, needs.WriteResult(out, r))
		} else {
			fmt.Fprintf(progress, "%s: %s\n", r.Check, r.Outcome)
		}
	})
	if err != nil {
		end.Err = err.Error()
	}
	if *format == "json" {
		written = errors.Join(written, needs.WriteEnd(out, end))
	} else {
		written = needs.Table(out, results)
		if end.Left != "" {
			fmt.Fprintln(progress, "left in the server, delete it:", end.Left)
		}
	}
	switch err = errors.Join(err, written); {
	case err != nil:
		fmt.Fprintln(progress, "s3-check:", err)
		return 3
	case slices.ContainsFunc(results, needs.Result.Lacks):
		return 1
	}
	return 0
}

func trySettings(ctx context.Context, config, keys, bucket string, tell func(needs.Result),
) (all []needs.Result, end needs.End, err error) {
	ctx, cancel := context.WithTimeout(ctx, s3CheckTimeout)
	defer cancel()
	src, err := settings.Open(config, keys)
	if err != nil {
		return nil, end, err
	}
	now := src.Current()
	if now.KeysErr != nil {
		return nil, end, now.KeysErr
	}
	transport, err := minio.DefaultTransport(true)
	if err != nil {
		return nil, end, fmt.Errorf("S3 transport: %w", err)
	}
	server := uploadlinks.Server(now, transport)
	server.Bucket = bucket
	end.Left, err = check.All(ctx, server, func(r needs.Result) {
		all = append(all, r)
		tell(r)
	})
	return all, end, err
}
