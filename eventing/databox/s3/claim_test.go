//go:build integration

package s3_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

var admin = s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: miniotest.SecretKey}

var ann = databox.Owner{Namespace: "pu-ann", NamespaceUID: "uid-1", Box: "weights"}

func retag(t *testing.T, s *miniotest.Server, bucket string, m map[string]string) {
	t.Helper()
	x, err := tags.NewTags(m, false)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetBucketTagging(t.Context(), bucket, x); err != nil {
		t.Fatal(err)
	}
}

func TestClaimBucket(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	other := ann
	other.NamespaceUID = "uid-2"
	for name, tc := range map[string]struct {
		before func(t *testing.T, bucket string)
		want   error
	}{
		"a new one": {func(*testing.T, string) {}, nil},
		"made, and the controller died then": {func(t *testing.T, b string) {
			must(t, s.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}))
		}, nil},
		"its own": {func(t *testing.T, b string) {
			must(t, s3.ClaimBucket(t.Context(), s.Client, b, "us-east-1", ann))
			s.Put(t, b, "x", "y")
		}, nil},
		"untagged, with an object": {func(t *testing.T, b string) {
			must(t, s.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}))
			s.Put(t, b, "x", "y")
		}, s3.ErrBucketNotOurs},
		"untagged, with an old version": {func(t *testing.T, b string) {
			must(t, s.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}))
			must(t, s.EnableVersioning(t.Context(), b))
			s.Put(t, b, "x", "y")
			must(t, s.RemoveObject(t.Context(), b, "x", minio.RemoveObjectOptions{}))
		}, s3.ErrBucketNotOurs},
		"of an earlier namespace of the name": {func(t *testing.T, b string) {
			must(t, s3.ClaimBucket(t.Context(), s.Client, b, "us-east-1", other))
		}, s3.ErrBucketNotOurs},
		"half tagged": {func(t *testing.T, b string) {
			must(t, s.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}))
			retag(t, s, b, map[string]string{databox.TagNamespace: ann.Namespace})
		}, s3.ErrBucketNotOurs},
		"with another tag beside ours": {func(t *testing.T, b string) {
			must(t, s.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}))
			retag(t, s, b, map[string]string{"cost-centre": "7", databox.TagNamespace: ann.Namespace,
				databox.TagNamespaceUID: ann.NamespaceUID, databox.TagBox: ann.Box})
		}, nil},
		"empty, with another tag": {func(t *testing.T, b string) {
			must(t, s.MakeBucket(t.Context(), b, minio.MakeBucketOptions{}))
			retag(t, s, b, map[string]string{"cost-centre": "7"})
		}, nil},
	} {
		t.Run(name, func(t *testing.T) {
			bucket := "unip-" + strings.ReplaceAll(strings.ReplaceAll(name, " ", "-"), ",", "")
			tc.before(t, bucket)
			for range 2 { // and again
				if err := s3.ClaimBucket(t.Context(), s.Client, bucket, "us-east-1", ann); !errors.Is(err, tc.want) {
					t.Fatalf("error %v, want %v", err, tc.want)
				}
				if err := s3.CheckBucket(t.Context(), s.Client, bucket, ann); !errors.Is(err, tc.want) {
					t.Fatalf("check: error %v, want %v", err, tc.want)
				}
			}
			if !strings.Contains(name, "another tag") {
				return
			}
			all, err := s.GetBucketTagging(t.Context(), bucket)
			must(t, err)
			if all.ToMap()["cost-centre"] != "7" {
				t.Errorf("somebody else's tag is gone: %v", all)
			}
		})
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// Several of ours claim a bucket at once, and each begins to use it at once: it is everybody's.
func TestClaimsAtOnce(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	if s.SeaweedFS {
		t.Skip("who asks for a bucket while another makes it may be told for half a minute that there is none: the " +
			"controller claims again")
	}
	for round := range 20 {
		bucket := fmt.Sprint("shared-", round)
		ended := make(chan error)
		for i := range 5 {
			go func() {
				err := s3.ClaimBucket(t.Context(), s.Client, bucket, "us-east-1", ann)
				if err == nil {
					_, err = s.PutObject(t.Context(), bucket, fmt.Sprint(i), strings.NewReader("x"), 1,
						minio.PutObjectOptions{})
				}
				ended <- err
			}()
		}
		for range 5 {
			if err := <-ended; err != nil {
				t.Error(err)
			}
		}
	}
}

func TestRemoveBucket(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	for _, oneByOne := range []bool{false, true} {
		t.Run(fmt.Sprintf("one by one %t", oneByOne), func(t *testing.T) { removesBucket(t, s, oneByOne) })
	}
}

func removesBucket(t *testing.T, s *miniotest.Server, oneByOne bool) {
	how := s3.Removal{OneByOne: oneByOne} // no budget: one batch in each pass
	bucket := databox.UsualBuckets.Box(ann.Namespace, ann.Box)
	must(t, s3.ClaimBucket(t.Context(), s.Client, bucket, "us-east-1", ann))
	must(t, s.EnableVersioning(t.Context(), bucket))
	for i := range 20 {
		s.Put(t, bucket, fmt.Sprintf("users/Аня Иванова/file_groups/g/%d %%2F.txt", i%15), "x")
	}
	core := minio.Core{Client: s.Client}
	if _, err := core.NewMultipartUpload(t.Context(), bucket, "unfinished", minio.PutObjectOptions{}); err != nil {
		t.Fatal(err)
	}
	other := ann
	other.NamespaceUID = "uid-2"
	if n, gone, err := s3.RemoveBucket(t.Context(), s.Client, bucket, other, how); n != 0 || gone ||
		!errors.Is(err, s3.ErrBucketNotOurs) {
		t.Fatalf("somebody else's bucket: %d objects deleted, gone %v, %v", n, gone, err)
	}
	removed, passes := 0, 0
	for gone := false; !gone; passes++ {
		n, g, err := s3.RemoveBucket(t.Context(), s.Client, bucket, ann, how)
		must(t, err)
		removed, gone = removed+n, g
		if passes > 10 {
			t.Fatalf("not gone after %d passes, %d deleted", passes, removed)
		}
	}
	if removed != 20 || passes < 2 {
		t.Errorf("%d objects in %d passes", removed, passes)
	}
	if exists, err := s.BucketExists(t.Context(), bucket); err != nil || exists {
		t.Errorf("exists %v, %v", exists, err)
	}
	if _, gone, err := s3.RemoveBucket(t.Context(), s.Client, bucket, ann, how); !gone || err != nil {
		t.Errorf("a bucket that does not exist: gone %v, %v", gone, err)
	}
}

func TestAssumeRoleSaysNo(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	wrong := s3.Keys{AccessKeyID: miniotest.AccessKey, SecretAccessKey: "wrong-wrong"}
	if _, err := s3.AssumeRole(t.Context(), http.DefaultClient, s.Endpoint, "us-east-1", wrong, "",
		time.Hour); !errors.Is(err, s3.ErrNoSTS) {
		t.Errorf("wrong keys: %v", err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	if _, err := s3.AssumeRole(ctx, http.DefaultClient, "http://127.0.0.1:1", "us-east-1", admin, "",
		time.Hour); err == nil || errors.Is(err, s3.ErrNoSTS) {
		t.Errorf("nobody there: %v", err)
	}
}
