package storage

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/aws/aws-sdk-go-v2/service/s3/types"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"

	"github.com/unip-knative/unip/eventing/databox"
)

// buckets are folders anywhere: versitygw takes the name of a bucket for a path, and is given the
// path of the folder. So nothing depends on the working directory, in which it would look for a
// bucket by name; what is not forwarded here is not supported.
//
// It adds what versitygw leaves to the file system. Only files and folders are objects: links are
// not followed, and nobody waits at a FIFO. Keys that would not come back as they were given are
// refused.
type buckets struct {
	backend.BackendUnsupported
	files *posix.Posix
	root  string // of the folders of buckets that clients make
	acl   []byte
	came  func(bucket, key string)
	log   *slog.Logger

	mu      sync.RWMutex
	folders map[string]string
}

// maxCopy is the largest object that can be copied at once: S3's.
const maxCopy = 5 << 30

// ioBuffer is what an upload or a download holds in memory.
const ioBuffer = 256 << 10

func newBuckets(
	dir, owner string, came func(bucket, key string), log *slog.Logger,
) (*buckets, error) {
	acl, err := json.Marshal(auth.ACL{Owner: owner})
	if err != nil {
		return nil, err
	}
	kept, err := keeper(dir)
	if err != nil {
		return nil, err
	}
	o := posix.PosixOpts{ForceNoObjLockFile: true, CopyObjectThreshold: maxCopy, IOBufferSize: ioBuffer}
	o.SetNewDirPerm(folderMode)
	o.SetNewFilePerm(fileMode)
	// It changes to its folder, which is where we are: the process has one working directory.
	files, err := posix.New(".", attributes{MetadataStorer: kept, acl: acl}, o)
	if err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	b := &buckets{files: files, root: dir, acl: acl, came: came, log: log, folders: map[string]string{}}
	others, err := os.ReadDir(filepath.Join(dir, othersFolder))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("storage: %w", err)
	}
	for _, other := range others {
		if other.IsDir() {
			b.folders[other.Name()] = filepath.Join(dir, othersFolder, other.Name())
		}
	}
	return b, nil
}

// keeper keeps attributes with the files, or beside them where the file system keeps none.
func keeper(dir string) (meta.MetadataStorer, error) {
	if (meta.XattrMeta{}).Test(dir) == nil {
		return meta.XattrMeta{}, nil
	}
	beside := filepath.Join(dir, stateFolder, "attributes")
	if err := os.MkdirAll(beside, folderMode); err != nil {
		return nil, fmt.Errorf("storage: %w", err)
	}
	return meta.NewSideCar(beside)
}

// add adds a bucket that lies in a folder of the server's.
func (b *buckets) add(bucket, folder string) error {
	b.mu.Lock()
	defer b.mu.Unlock()
	full := filepath.Join(b.root, folder)
	err := os.MkdirAll(full, folderMode)
	if err == nil { // it may be a link to where there is more room
		full, err = filepath.EvalSymlinks(full)
	}
	if err != nil {
		return fmt.Errorf("the folder of bucket %s: %w", bucket, err)
	}
	if old, ok := b.folders[bucket]; ok && old != full {
		return fmt.Errorf("bucket %s lies in %s, not in %s", bucket, old, full)
	}
	b.folders[bucket] = full
	return forget(full)
}

// unfinished is how long the parts of an upload are kept that nobody has completed.
const unfinished = 24 * time.Hour

// forget removes what is left of uploads that nobody will complete.
func forget(folder string) error {
	left, err := filepath.Glob(filepath.Join(folder, posix.MetaTmpMultipartDir, "*", "*"))
	if err != nil {
		return err
	}
	for _, upload := range left {
		info, err := os.Lstat(upload)
		if err == nil && time.Since(info.ModTime()) > unfinished {
			err = os.RemoveAll(upload)
		}
		if err != nil {
			return fmt.Errorf("the parts of an unfinished upload: %w", err)
		}
	}
	return nil
}

func (b *buckets) folder(bucket string) string {
	b.mu.RLock()
	defer b.mu.RUnlock()
	return b.folders[bucket]
}

// in is the folder of a bucket.
func (b *buckets) in(bucket *string) (*string, error) {
	folder := b.folder(*bucket)
	if folder == "" {
		return nil, s3err.GetBucketErr(s3err.ErrNoSuchBucket, strings.Clone(*bucket))
	}
	return &folder, nil
}

// at is the folder of a bucket, for one of its keys.
func (b *buckets) at(bucket, key *string) (*string, error) {
	folder, err := b.in(bucket)
	if err != nil {
		return nil, err
	}
	if key == nil || !isKey(*key) {
		return nil, refused("The key cannot be the path of a file.")
	}
	if !isPlain(*folder, *key) {
		return nil, s3err.GetAPIError(s3err.ErrNoSuchKey)
	}
	return folder, nil
}

// refused is the answer to what cannot be asked for.
func refused(why string) error {
	return s3err.APIError{Code: "InvalidArgument", HTTPStatusCode: http.StatusBadRequest, Description: why}
}

// isKey reports a key that is a path which comes back as it was given.
func isKey(key string) bool {
	file := strings.TrimSuffix(key, "/")
	return file != "" && path.Clean("/"+file) == "/"+file && len(key) <= databox.MaxKey &&
		!databox.HasControl(key) && !isStray(file) && !slices.Contains(strings.Split(file, "/"), posix.MetaTmpDir)
}

// isStray reports a path that leads elsewhere on some system, which MinIO refuses as well.
func isStray(path string) bool {
	segments := strings.FieldsFunc(path, func(r rune) bool { return r == '/' || r == '\\' })
	return slices.ContainsFunc(segments, func(s string) bool {
		s = strings.TrimSpace(s)
		return s == "." || s == ".."
	})
}

// isPlain reports that nothing on the way to a key, and at it, is other than a folder or a file.
func isPlain(folder, key string) bool {
	for i := 0; i < len(key); i++ {
		if key[i] != '/' && i != len(key)-1 {
			continue
		}
		info, err := os.Lstat(filepath.Join(folder, key[:i+1]))
		if err != nil {
			return true // nothing is there, and so nothing below it
		}
		if !info.IsDir() && !info.Mode().IsRegular() {
			return false
		}
	}
	return true
}

// answer is what a client is told of an error. One that is not S3's stands in the log.
func (b *buckets) answer(err error) error {
	var known s3err.S3Error
	switch {
	case err == nil, errors.As(err, &known):
		return err
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return s3err.GetAPIError(s3err.ErrNoSpaceLeftOnDevice)
	}
	b.log.Warn("the storage", "error", err)
	return s3err.GetAPIError(s3err.ErrInternalError)
}

// --- buckets -----------------------------------------------------------------------------------

func (b *buckets) String() string { return "folders" }

func (b *buckets) Shutdown() { b.files.Shutdown() }

func (b *buckets) NormalizeObjectKey(bucket, key string) string {
	return b.files.NormalizeObjectKey(bucket, key)
}

func (b *buckets) ListBuckets(
	_ context.Context, in s3response.ListBucketsInput,
) (s3response.ListAllMyBucketsResult, error) {
	b.mu.RLock()
	defer b.mu.RUnlock()
	out := s3response.ListAllMyBucketsResult{Owner: s3response.CanonicalUser{ID: in.Owner}, Prefix: in.Prefix}
	for name, folder := range b.folders {
		if !strings.HasPrefix(name, in.Prefix) || name <= in.ContinuationToken {
			continue
		}
		made := time.Unix(0, 0)
		if info, err := os.Stat(folder); err == nil {
			made = info.ModTime()
		}
		out.Buckets.Bucket = append(out.Buckets.Bucket,
			s3response.ListAllMyBucketsEntry{Name: name, BucketRegion: region, CreationDate: made})
	}
	slices.SortFunc(out.Buckets.Bucket, func(x, y s3response.ListAllMyBucketsEntry) int {
		return strings.Compare(x.Name, y.Name)
	})
	if n := int(in.MaxBuckets); n > 0 && len(out.Buckets.Bucket) > n {
		out.Buckets.Bucket = out.Buckets.Bucket[:n]
		out.ContinuationToken = out.Buckets.Bucket[n-1].Name
	}
	return out, nil
}

func (b *buckets) HeadBucket(ctx context.Context, in *s3.HeadBucketInput) (*s3.HeadBucketOutput, error) {
	folder, err := b.in(in.Bucket)
	if err != nil {
		return nil, err
	}
	in.Bucket = folder
	return b.files.HeadBucket(ctx, in)
}

// CreateBucket makes a bucket in a folder of its name.
func (b *buckets) CreateBucket(_ context.Context, in *s3.CreateBucketInput, _ []byte) error {
	name := strings.Clone(*in.Bucket)
	if b.folder(name) != "" {
		return s3err.GetBucketErr(s3err.ErrBucketAlreadyOwnedByYou, name)
	}
	return b.add(name, filepath.Join(othersFolder, name))
}

// DeleteBucket deletes a bucket that a client has made, when it is empty.
func (b *buckets) DeleteBucket(ctx context.Context, bucket string) error {
	folder, err := b.in(&bucket)
	if err != nil {
		return err
	}
	if filepath.Dir(*folder) != filepath.Join(b.root, othersFolder) {
		return s3err.GetAPIError(s3err.ErrAccessDenied) // it is a box of the module
	}
	if err := b.files.DeleteBucket(ctx, *folder); err != nil {
		return err
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.folders, bucket)
	return nil
}

// GetBucketAcl is asked for with every request, and says whether there is such a bucket.
func (b *buckets) GetBucketAcl(_ context.Context, in *s3.GetBucketAclInput) ([]byte, error) {
	_, err := b.in(in.Bucket)
	return b.acl, err
}

// There are no policies, no CORS rules, no locks and no versions, and clients are told so.

func (b *buckets) GetBucketPolicy(_ context.Context, bucket string) ([]byte, error) {
	return nil, s3err.GetBucketErr(s3err.ErrNoSuchBucketPolicy, strings.Clone(bucket))
}

func (b *buckets) GetBucketCors(_ context.Context, bucket string) ([]byte, error) {
	return nil, s3err.GetBucketErr(s3err.ErrNoSuchCORSConfiguration, strings.Clone(bucket))
}

func (b *buckets) GetObjectLockConfiguration(context.Context, string) ([]byte, error) {
	return nil, s3err.GetAPIError(s3err.ErrObjectLockConfigurationNotFound)
}

func (b *buckets) GetBucketVersioning(context.Context, string) (s3response.GetBucketVersioningOutput, error) {
	return s3response.GetBucketVersioningOutput{}, nil
}

func (b *buckets) GetBucketTagging(ctx context.Context, bucket string) (map[string]string, error) {
	folder, err := b.in(&bucket)
	if err != nil {
		return nil, err
	}
	return b.files.GetBucketTagging(ctx, *folder)
}

func (b *buckets) PutBucketTagging(ctx context.Context, bucket string, tags map[string]string) error {
	folder, err := b.in(&bucket)
	if err != nil {
		return err
	}
	return b.files.PutBucketTagging(ctx, *folder, tags)
}

func (b *buckets) DeleteBucketTagging(ctx context.Context, bucket string) error {
	folder, err := b.in(&bucket)
	if err != nil {
		return err
	}
	return b.files.DeleteBucketTagging(ctx, *folder)
}

// --- objects -----------------------------------------------------------------------------------

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

// --- listings ----------------------------------------------------------------------------------

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

// --- uploads of several parts ------------------------------------------------------------------

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

// --- copies ------------------------------------------------------------------------------------

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
