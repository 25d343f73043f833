// Package runstorage is what runs ask of S3 and leave there: which versions their inputs have, whether
// a stage has a commit, logs and records. Who carries runs out in a cluster and who does on a laptop ask alike.
package runstorage

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/minio/minio-go/v7"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/media"
	"github.com/unip-knative/unip/eventing/record"
	"github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
)

// Pin writes the versions of input files into the stages. A file that is not there, is another one
// than the run names, or of a media type that its variable does not take, is a refusal.
func Pin(
	ctx context.Context, c *minio.Client, r *runtimev1.PipelineRun, stages []runtimev1.StageStatus,
	types map[string][]string,
) (refusal string, err error) {
	for i := range stages {
		for j := range stages[i].Inputs {
			in := &stages[i].Inputs[j]
			if in.Key == "" {
				continue
			}
			found, err := look(ctx, c, in.Bucket, in.Key)
			named := r.Spec.Inputs[in.Name].Path
			switch {
			case errors.Is(err, errNoFile):
				return fmt.Sprintf("input %s: there is no file %s", in.Name, named), nil
			case err != nil:
				return "", err
			case in.ETag != "" && in.ETag != found.ETag:
				return fmt.Sprintf("input %s: the file %s is another one than when the run was asked for", in.Name,
					named), nil
			}
			if t := media.Of(found.ContentType, in.Key); !media.Takes(types[in.Name], t) {
				return fmt.Sprintf("input %s: the file %s is of type %s, and %s takes %s", in.Name, named, t, in.Name,
					strings.Join(types[in.Name], ", ")), nil
			}
			in.ETag = found.ETag
		}
	}
	return "", nil
}

// errNoFile is an input that is not there.
var errNoFile = errors.New("there is no such file")

// look looks at an object, in the version that is there now.
func look(ctx context.Context, c *minio.Client, bucket, key string) (minio.ObjectInfo, error) {
	o, err := c.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
	// A name that is too long, or that no object can have, is a 400.
	if a := s3.AnswerOf(err); a == s3.NotThere || a == s3.BadRequest {
		return o, errNoFile
	}
	if err != nil {
		return o, fmt.Errorf("looking at %s/%s: %w", bucket, key, err)
	}
	return o, nil
}

// Commit looks whether a stage has a commit. It is run.Unknown with an error.
func Commit(ctx context.Context, c *minio.Client, bucket, ofRun, name string) (run.Commit, error) {
	_, err := c.StatObject(ctx, bucket, stage.CommitKey(ofRun, name), minio.StatObjectOptions{})
	switch {
	case err == nil:
		return run.Committed, nil
	case s3.IsMissing(err):
		return run.NoCommit, nil
	}
	return run.Unknown, fmt.Errorf("looking for the commit of stage %s: %w", name, err)
}

// Close closes a stage's commit unless it has one: of an attempt and this, the first wins. It is
// run.Unknown with an error.
func Close(ctx context.Context, c *minio.Client, bucket, ofRun, name string) (run.Commit, error) {
	key := stage.CommitKey(ofRun, name)
	o := minio.PutObjectOptions{ContentType: "application/json", DisableMultipart: true}
	o.SetMatchETagExcept("*") // If-None-Match: *
	const content = stage.ClosedCommit
	_, err := c.PutObject(ctx, bucket, key, strings.NewReader(content), int64(len(content)), o)
	if a := s3.AnswerOf(err); a != s3.OtherVersion && a != s3.Conflict {
		if err == nil || a == s3.NotThere { // without a bucket nobody commits
			return run.NoCommit, nil
		}
		return run.Unknown, fmt.Errorf("closing the commit of stage %s: %w", name, err)
	}
	// It is an attempt's, or it was closed before.
	there, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return run.Unknown, fmt.Errorf("reading the commit of stage %s: %w", name, err)
	}
	defer there.Close()
	b, err := io.ReadAll(io.LimitReader(there, int64(len(content))+1))
	switch {
	case err != nil: // also when it has gone since
		return run.Unknown, fmt.Errorf("reading the commit of stage %s: %w", name, err)
	case string(b) == content:
		return run.NoCommit, nil
	}
	return run.Committed, nil
}

// PutRecord writes a run's record to its place in the bucket of that box.
func PutRecord(
	ctx context.Context, c *minio.Client, bucket string, place databox.Place, r *runtimev1.PipelineRun,
) error {
	text, err := record.FileOf(r).Encode()
	if err == nil {
		_, err = c.PutObject(ctx, bucket, place.Key(r.Spec.User), bytes.NewReader(text), int64(len(text)),
			minio.PutObjectOptions{ContentType: "application/json"})
	}
	if err != nil {
		return fmt.Errorf("writing %s: %w", record.FileName, err)
	}
	return nil
}

// MaxLog is what is kept of an attempt's log: its end.
const MaxLog = 1 << 20

// PutLog keeps the log of an attempt of a stage, for as long as the run bucket does.
func PutLog(
	ctx context.Context, c *minio.Client, bucket, ofRun, name string, attempt int, text []byte,
) error {
	_, err := c.PutObject(ctx, bucket, stage.LogKey(ofRun, name, attempt), bytes.NewReader(text), int64(len(text)),
		minio.PutObjectOptions{ContentType: "text/plain; charset=utf-8"})
	if err != nil {
		return fmt.Errorf("keeping the log: %w", err)
	}
	return nil
}

// maxCommit bounds the commit that is read for one file: about 40,000 files. Files of a larger one
// are known by their version.
const maxCommit = 8 << 20

// Origin is where a run says that it has published a file from; nil for every other file. Its
// metadata are an uploader's claim, and count only as far as the commit bears them out. bucket is
// that of the module's runs.
func Origin(
	ctx context.Context, c *minio.Client, bucket, key string, o minio.ObjectInfo,
) (*stage.Origin, error) {
	claim, ok := stage.OriginOf(o.UserMetadata)
	if !ok {
		return nil, nil
	}
	commit := stage.CommitKey(claim.Run, claim.Stage)
	body, err := c.GetObject(ctx, bucket, commit, minio.GetObjectOptions{})
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", commit, err)
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, maxCommit+1))
	switch {
	case minio.ToErrorResponse(err).Code == minio.NoSuchKey:
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("reading %s: %w", commit, err)
	case len(b) > maxCommit:
		return nil, nil
	}
	known, err := stage.DecodeCommit(b)
	if err != nil || !claim.Matches(known, key, o.Size) {
		return nil, nil // what cannot be read proves nothing
	}
	return &claim, nil
}
