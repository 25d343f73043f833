package storage

import (
	"context"
	"errors"
	"io"
	"net/url"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
)

// source opens what a request copies. versitygw's own copies know buckets by name only.
func (b *buckets) source(
	ctx context.Context, from string, conditions s3.GetObjectInput,
) (*s3.GetObjectOutput, map[string]string, error) {
	bucket, key, version, err := backend.ParseCopySource(from)
	if err != nil {
		return nil, nil, err
	}
	if version != "" && version != "null" {
		return nil, nil, s3err.GetInvalidArgumentErr(s3err.InvalidArgVersionId, version)
	}
	conditions.Bucket, conditions.Key = &bucket, &key
	if conditions.Range == nil {
		conditions.Range = new(string)
	}
	tags, err := b.GetObjectTagging(ctx, bucket, key, "")
	if err != nil && !errors.Is(err, s3err.GetAPIError(s3err.ErrBucketTaggingNotFound)) {
		return nil, nil, err
	}
	out, err := b.GetObject(ctx, &conditions)
	if err != nil {
		return nil, nil, err
	}
	if out.Body == nil { // a folder
		out.Body = io.NopCloser(strings.NewReader(""))
	}
	return out, tags, nil
}

func (b *buckets) CopyObject(
	ctx context.Context, in s3response.CopyObjectInput,
) (s3response.CopyObjectOutput, error) {
	var none s3response.CopyObjectOutput
	from, tags, err := b.source(ctx, *in.CopySource, s3.GetObjectInput{
		IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModifiedSince: in.CopySourceIfModifiedSince, IfUnmodifiedSince: in.CopySourceIfUnmodifiedSince,
		ChecksumMode: types.ChecksumModeEnabled,
	})
	if err != nil {
		return none, err
	}
	defer from.Body.Close()
	if *from.ContentLength > maxCopy {
		return none, s3err.GetCopySourceObjectTooLargeErr(maxCopy)
	}
	put := s3response.PutObjectInput{
		Bucket: in.Bucket, Key: in.Key, Body: from.Body, ContentLength: from.ContentLength,
		ChecksumAlgorithm: in.ChecksumAlgorithm, ContentType: in.ContentType, ContentEncoding: in.ContentEncoding,
		ContentDisposition: in.ContentDisposition, ContentLanguage: in.ContentLanguage,
		CacheControl: in.CacheControl, Expires: in.Expires, Metadata: in.Metadata,
	}
	if put.ChecksumAlgorithm == "" {
		put.ChecksumAlgorithm = checksumOf(from)
	}
	if in.MetadataDirective != types.MetadataDirectiveReplace {
		put.ContentType, put.ContentEncoding = from.ContentType, from.ContentEncoding
		put.ContentDisposition, put.ContentLanguage = from.ContentDisposition, from.ContentLanguage
		put.CacheControl, put.Expires, put.Metadata = from.CacheControl, from.ExpiresString, from.Metadata
	}
	put.Tagging = in.Tagging
	if in.TaggingDirective != types.TaggingDirectiveReplace {
		put.Tagging = encodeTags(tags)
	}
	out, err := b.PutObject(ctx, put)
	if err != nil {
		return none, err
	}
	now := time.Now()
	return s3response.CopyObjectOutput{CopyObjectResult: &s3response.CopyObjectResult{
		ETag: &out.ETag, LastModified: &now, ChecksumType: out.ChecksumType,
		ChecksumCRC32: out.ChecksumCRC32, ChecksumCRC32C: out.ChecksumCRC32C, ChecksumSHA1: out.ChecksumSHA1,
		ChecksumSHA256: out.ChecksumSHA256, ChecksumCRC64NVME: out.ChecksumCRC64NVME,
	}}, nil
}

func (b *buckets) UploadPartCopy(
	ctx context.Context, in *s3.UploadPartCopyInput,
) (s3response.CopyPartResult, error) {
	var none s3response.CopyPartResult
	from, _, err := b.source(ctx, *in.CopySource, s3.GetObjectInput{
		IfMatch: in.CopySourceIfMatch, IfNoneMatch: in.CopySourceIfNoneMatch,
		IfModifiedSince: in.CopySourceIfModifiedSince, IfUnmodifiedSince: in.CopySourceIfUnmodifiedSince,
		Range: in.CopySourceRange,
	})
	if err != nil {
		return none, err
	}
	defer from.Body.Close()
	if *from.ContentLength > maxCopy {
		return none, s3err.GetCopySourceObjectTooLargeErr(maxCopy)
	}
	out, err := b.UploadPart(ctx, &s3.UploadPartInput{
		Bucket: in.Bucket, Key: in.Key, UploadId: in.UploadId, PartNumber: in.PartNumber,
		Body: from.Body, ContentLength: from.ContentLength,
	})
	if err != nil {
		return none, err
	}
	return s3response.CopyPartResult{ETag: out.ETag, LastModified: time.Now()}, nil
}

// checksumOf is the kind of checksum that an object has.
func checksumOf(o *s3.GetObjectOutput) types.ChecksumAlgorithm {
	switch {
	case o.ChecksumType != types.ChecksumTypeFullObject:
	case o.ChecksumCRC32 != nil:
		return types.ChecksumAlgorithmCrc32
	case o.ChecksumCRC32C != nil:
		return types.ChecksumAlgorithmCrc32c
	case o.ChecksumSHA1 != nil:
		return types.ChecksumAlgorithmSha1
	case o.ChecksumSHA256 != nil:
		return types.ChecksumAlgorithmSha256
	}
	return types.ChecksumAlgorithmCrc64nvme
}

// encodeTags writes tags as the header of a request does.
func encodeTags(tags map[string]string) *string {
	v := url.Values{}
	for name, value := range tags {
		v.Set(name, value)
	}
	s := v.Encode()
	return &s
}
