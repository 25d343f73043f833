package storage

import (
	"context"
	"encoding/base64"
	"io/fs"
	"strings"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/s3response"
)

// objects leaves out of a listing what is no object.
func (b *buckets) objects(folder string, owner bool) backend.GetObjFunc {
	object := b.files.FileToObj(folder, owner)
	return func(path string, d fs.DirEntry) (s3response.Object, error) {
		if !d.IsDir() && !d.Type().IsRegular() || !isKey(path) {
			return s3response.Object{}, backend.ErrSkipObj
		}
		return object(path, d)
	}
}

// isEmpty reports a prefix that no key begins with: it is none of a path, or a link is on its way.
func isEmpty(folder string, prefix *string) (bool, error) {
	if prefix == nil {
		return false, nil
	}
	if isStray(*prefix) {
		return false, refused("Keys cannot begin with the prefix.")
	}
	i := strings.LastIndexByte(*prefix, '/')
	return i >= 0 && !(isKey((*prefix)[:i+1]) && isPlain(folder, (*prefix)[:i+1])), nil
}

func (b *buckets) ListObjects(ctx context.Context, in *s3.ListObjectsInput) (s3response.ListObjectsResult, error) {
	bucket := strings.Clone(*in.Bucket)
	folder, err := b.in(in.Bucket)
	if err != nil {
		return s3response.ListObjectsResult{}, err
	}
	empty, err := isEmpty(*folder, in.Prefix)
	if err != nil {
		return s3response.ListObjectsResult{}, err
	}
	if in.Bucket = folder; empty {
		in.MaxKeys = new(int32)
	}
	out, err := b.files.ListObjectsParametrized(ctx, in, b.objects)
	out.Name = &bucket
	return out, err
}

func (b *buckets) ListObjectsV2(
	ctx context.Context, in *s3.ListObjectsV2Input,
) (s3response.ListObjectsV2Result, error) {
	bucket := strings.Clone(*in.Bucket)
	folder, err := b.in(in.Bucket)
	if err != nil {
		return s3response.ListObjectsV2Result{}, err
	}
	empty, err := isEmpty(*folder, in.Prefix)
	if err != nil {
		return s3response.ListObjectsV2Result{}, err
	}
	if in.Bucket = folder; empty {
		in.MaxKeys = new(int32)
	}
	token := in.ContinuationToken
	if in.ContinuationToken, err = readToken(token); err != nil {
		return s3response.ListObjectsV2Result{}, err
	}
	out, err := b.files.ListObjectsV2Parametrized(ctx, in, b.objects)
	out.Name, out.ContinuationToken = &bucket, token
	out.NextContinuationToken = makeToken(out.NextContinuationToken)
	return out, err
}

// tokenMark is what the tokens of listings begin with, encoded.
const tokenMark = "after "

// makeToken makes the token with which a listing goes on after a key. versitygw gives the key.
func makeToken(key *string) *string {
	if key == nil || *key == "" {
		return nil
	}
	token := base64.URLEncoding.EncodeToString([]byte(tokenMark + *key))
	return &token
}

func readToken(token *string) (*string, error) {
	if token == nil || *token == "" {
		return token, nil
	}
	b, err := base64.URLEncoding.DecodeString(*token)
	key, ok := strings.CutPrefix(string(b), tokenMark)
	if err != nil || !ok {
		return nil, refused("The continuation token is none of this server's.")
	}
	return &key, nil
}

// ListObjectVersions lists objects: each has one version. Who empties a bucket asks for them.
func (b *buckets) ListObjectVersions(
	ctx context.Context, in *s3.ListObjectVersionsInput,
) (s3response.ListVersionsResult, error) {
	list, err := b.ListObjects(ctx, &s3.ListObjectsInput{
		Bucket: in.Bucket, Prefix: in.Prefix, Delimiter: in.Delimiter, Marker: in.KeyMarker, MaxKeys: in.MaxKeys,
	})
	if err != nil {
		return s3response.ListVersionsResult{}, err
	}
	out := s3response.ListVersionsResult{
		Name: list.Name, Prefix: list.Prefix, Delimiter: list.Delimiter, CommonPrefixes: list.CommonPrefixes,
		KeyMarker: list.Marker, NextKeyMarker: list.NextMarker, MaxKeys: list.MaxKeys, IsTruncated: list.IsTruncated,
	}
	latest, version := true, "null"
	for _, o := range list.Contents {
		out.Versions = append(out.Versions, s3response.ObjectVersion{
			Key: o.Key, ETag: o.ETag, Size: o.Size, LastModified: o.LastModified, Owner: o.Owner,
			IsLatest: &latest, VersionId: &version, StorageClass: types.ObjectVersionStorageClassStandard,
		})
	}
	return out, nil
}

// version drops the name of the only version, which a listing of versions has given.
func version(id *string) *string {
	if id != nil && *id == "null" {
		return nil
	}
	return id
}
