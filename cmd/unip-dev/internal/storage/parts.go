package storage

import (
	"context"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/s3response"
)

func (b *buckets) CreateMultipartUpload(
	ctx context.Context, in s3response.CreateMultipartUploadInput,
) (s3response.InitiateMultipartUploadResult, error) {
	bucket := strings.Clone(*in.Bucket)
	folder, err := b.at(in.Bucket, in.Key)
	if err != nil {
		return s3response.InitiateMultipartUploadResult{}, err
	}
	in.Bucket = folder
	out, err := b.files.CreateMultipartUpload(ctx, in)
	out.Bucket = bucket
	return out, b.answer(err)
}

func (b *buckets) UploadPart(ctx context.Context, in *s3.UploadPartInput) (*s3.UploadPartOutput, error) {
	folder, err := b.at(in.Bucket, in.Key)
	if err != nil {
		return nil, err
	}
	in.Bucket, in.Body = folder, whole(in.Body, in.ContentLength)
	out, err := b.files.UploadPart(ctx, in)
	return out, b.answer(err)
}

func (b *buckets) CompleteMultipartUpload(
	ctx context.Context, in *s3.CompleteMultipartUploadInput,
) (s3response.CompleteMultipartUploadResult, string, error) {
	bucket := strings.Clone(*in.Bucket)
	folder, err := b.at(in.Bucket, in.Key)
	if err != nil {
		return s3response.CompleteMultipartUploadResult{}, "", err
	}
	in.Bucket = folder
	out, version, err := b.files.CompleteMultipartUpload(ctx, in)
	out.Bucket = &bucket
	if err != nil {
		return out, version, b.answer(err)
	}
	b.came(bucket, *in.Key)
	return out, version, nil
}

func (b *buckets) AbortMultipartUpload(ctx context.Context, in *s3.AbortMultipartUploadInput) error {
	folder, err := b.at(in.Bucket, in.Key)
	if err != nil {
		return err
	}
	in.Bucket = folder
	return b.files.AbortMultipartUpload(ctx, in)
}

func (b *buckets) ListMultipartUploads(
	ctx context.Context, in *s3.ListMultipartUploadsInput,
) (s3response.ListMultipartUploadsResult, error) {
	bucket := strings.Clone(*in.Bucket)
	folder, err := b.in(in.Bucket)
	if err != nil {
		return s3response.ListMultipartUploadsResult{}, err
	}
	in.Bucket = folder
	out, err := b.files.ListMultipartUploads(ctx, in)
	out.Bucket = bucket
	return out, err
}

func (b *buckets) ListParts(ctx context.Context, in *s3.ListPartsInput) (s3response.ListPartsResult, error) {
	bucket := strings.Clone(*in.Bucket)
	folder, err := b.at(in.Bucket, in.Key)
	if err != nil {
		return s3response.ListPartsResult{}, err
	}
	in.Bucket = folder
	out, err := b.files.ListParts(ctx, in)
	out.Bucket = bucket
	return out, err
}
