package storage

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/aws/aws-sdk-go-v2/service/s3"
	"github.com/versity/versitygw/auth"
	"github.com/versity/versitygw/backend"
	"github.com/versity/versitygw/backend/meta"
	"github.com/versity/versitygw/backend/posix"
	"github.com/versity/versitygw/s3err"
	"github.com/versity/versitygw/s3response"
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
