package storage

import (
	"context"
	"errors"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

func (b *buckets) PutObject(
	ctx context.Context, in s3response.PutObjectInput,
) (s3response.PutObjectOutput, error) {
	bucket := *in.Bucket
	folder, err := b.at(in.Bucket, in.Key)
	if err != nil {
		return s3response.PutObjectOutput{}, err
	}
	in.Bucket, in.Body = folder, whole(in.Body, in.ContentLength)
	out, err := b.files.PutObject(ctx, in)
	if err != nil {
		return out, b.answer(err)
	}
	b.came(bucket, *in.Key)
	return out, nil
}

func (b *buckets) HeadObject(ctx context.Context, in *s3.HeadObjectInput) (*s3.HeadObjectOutput, error) {
	folder, err := b.at(in.Bucket, in.Key)
	if err != nil {
		return nil, err
	}
	in.Bucket, in.VersionId = folder, version(in.VersionId)
	return b.files.HeadObject(ctx, in)
}

func (b *buckets) GetObject(ctx context.Context, in *s3.GetObjectInput) (*s3.GetObjectOutput, error) {
	folder, err := b.at(in.Bucket, in.Key)
	if err != nil {
		return nil, err
	}
	in.Bucket, in.VersionId = folder, version(in.VersionId)
	return b.files.GetObject(ctx, in)
}

func (b *buckets) GetObjectAttributes(
	ctx context.Context, in *s3.GetObjectAttributesInput,
) (s3response.GetObjectAttributesResponse, error) {
	folder, err := b.at(in.Bucket, in.Key)
	if err != nil {
		return s3response.GetObjectAttributesResponse{}, err
	}
	in.Bucket = folder
	return b.files.GetObjectAttributes(ctx, in)
}

func (b *buckets) DeleteObject(ctx context.Context, in *s3.DeleteObjectInput) (*s3.DeleteObjectOutput, error) {
	folder, err := b.at(in.Bucket, in.Key)
	if errors.Is(err, s3err.GetAPIError(s3err.ErrNoSuchKey)) {
		return &s3.DeleteObjectOutput{}, nil // as always when there is nothing
	}
	if err != nil {
		return nil, err
	}
	in.Bucket, in.VersionId = folder, version(in.VersionId)
	return b.files.DeleteObject(ctx, in)
}

func (b *buckets) DeleteObjects(ctx context.Context, in *s3.DeleteObjectsInput) (s3response.DeleteResult, error) {
	if _, err := b.in(in.Bucket); err != nil {
		return s3response.DeleteResult{}, err
	}
	var out s3response.DeleteResult
	for _, o := range in.Delete.Objects {
		_, err := b.DeleteObject(ctx, &s3.DeleteObjectInput{Bucket: in.Bucket, Key: o.Key, VersionId: o.VersionId})
		if err != nil {
			out.Error = append(out.Error, s3err.ObjectDeleteError(o.Key, o.VersionId, err))
			continue
		}
		out.Deleted = append(out.Deleted, types.DeletedObject{Key: o.Key, VersionId: o.VersionId})
	}
	return out, nil
}

func (b *buckets) GetObjectTagging(
	ctx context.Context, bucket, key, version string,
) (map[string]string, error) {
	folder, err := b.at(&bucket, &key)
	if err != nil {
		return nil, err
	}
	return b.files.GetObjectTagging(ctx, *folder, key, version)
}

func (b *buckets) PutObjectTagging(
	ctx context.Context, bucket, key, version string, tags map[string]string,
) error {
	folder, err := b.at(&bucket, &key)
	if err != nil {
		return err
	}
	return b.files.PutObjectTagging(ctx, *folder, key, version, tags)
}

func (b *buckets) DeleteObjectTagging(ctx context.Context, bucket, key, version string) error {
	folder, err := b.at(&bucket, &key)
	if err != nil {
		return err
	}
	return b.files.DeleteObjectTagging(ctx, *folder, key, version)
}
