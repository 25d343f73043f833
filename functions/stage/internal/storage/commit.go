package storage

import (
	"context"
	"io"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/stage"
)

// ReadCommit reads a stage's commit. What is no commit, or too large for one, is Permanent.
func ReadCommit(ctx context.Context, c *minio.Client, bucket, key string) (*stage.Commit, error) {
	body, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return nil, err
	}
	defer body.Close()
	b, err := io.ReadAll(io.LimitReader(body, stage.MaxCommit+1))
	if err != nil {
		return nil, err
	}
	if len(b) > stage.MaxCommit {
		return nil, Permanentf("commit %s is larger than %d bytes", key, stage.MaxCommit)
	}
	commit, err := stage.DecodeCommit(b)
	if err != nil {
		return nil, &Permanent{err}
	}
	return commit, nil
}
