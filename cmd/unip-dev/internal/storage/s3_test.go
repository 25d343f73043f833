package storage_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/tags"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// Conditions hold, of writes and of reads of parts.
func TestConditions(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	ctx := t.Context()
	var none minio.PutObjectOptions
	none.SetMatchETagExcept("*")
	create := func() error { return try(t, c, "once", none) }
	if err := create(); err != nil {
		t.Fatal(err)
	}
	if err := create(); s3.AnswerOf(err) != s3.OtherVersion {
		t.Errorf("made twice: %v", err)
	}
	u := put(t, c, "ranged", "0123456789")
	o := minio.GetObjectOptions{}
	if err := errors.Join(o.SetMatchETag(u.ETag), o.SetRange(2, 4)); err != nil {
		t.Fatal(err)
	}
	r, info, _, err := c.GetObject(ctx, bucket, "ranged", o)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	if b, err := io.ReadAll(r); err != nil || string(b) != "234" || info.Size != 3 {
		t.Errorf("%q, %+v, %v", b, info, err)
	}
	put(t, c, "ranged", "abcdefghij")
	if _, _, _, err := c.GetObject(ctx, bucket, "ranged", o); s3.AnswerOf(err) != s3.OtherVersion {
		t.Errorf("the old version: %v", err)
	}
	match := minio.PutObjectOptions{}
	match.SetMatchETag(u.ETag)
	if err := try(t, c, "ranged", match); s3.AnswerOf(err) != s3.OtherVersion {
		t.Errorf("written over another version: %v", err)
	}
	// Of many that make an object, one does.
	results := make(chan error, 16)
	for range cap(results) {
		go func() { results <- try(t, c, "race", none) }()
	}
	made := 0
	for range cap(results) {
		if err := <-results; err == nil {
			made++
		} else if s3.AnswerOf(err) != s3.OtherVersion {
			t.Error(err)
		}
	}
	if made != 1 {
		t.Errorf("made %d times", made)
	}
}

// Copies take content, type, metadata and tags along, within a bucket and between two, and on
// condition.
func TestCopies(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	ctx := t.Context()
	content := bytes.Repeat([]byte("0123456789abcdef"), 400<<10) // 6.25 MiB
	u, err := c.Client.PutObject(ctx, bucket, "a b/+%41.bin", bytes.NewReader(content), int64(len(content)),
		minio.PutObjectOptions{
			ContentType: "application/x-test", UserMetadata: map[string]string{"Unip-Of": "run"},
			UserTags: map[string]string{"run": "r-1 +=:/"},
		})
	if err != nil {
		t.Fatal(err)
	}
	source := minio.CopySrcOptions{Bucket: bucket, Object: "a b/+%41.bin", MatchETag: u.ETag}
	if _, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: runs, Object: "copy"}, source); err != nil {
		t.Fatal(err)
	}
	info, err := c.Client.StatObject(ctx, runs, "copy", minio.StatObjectOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != int64(len(content)) || info.ContentType != "application/x-test" || info.ETag == "" ||
		info.UserMetadata["Unip-Of"] != "run" {
		t.Errorf("%+v", info)
	}
	got, err := c.GetObjectTagging(ctx, runs, "copy", minio.GetObjectTaggingOptions{})
	if err != nil || got.ToMap()["run"] != "r-1 +=:/" {
		t.Errorf("%v, %v", got, err)
	}
	// Another type and other tags.
	if _, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{
		Bucket: runs, Object: "other", ReplaceMetadata: true, UserMetadata: map[string]string{"Content-Type": "text/x"},
		ReplaceTags: true, UserTags: map[string]string{"k": "v"},
	}, source); err != nil {
		t.Fatal(err)
	}
	if info, err = c.Client.StatObject(ctx, runs, "other", minio.StatObjectOptions{}); err != nil ||
		info.ContentType != "text/x" || info.UserMetadata["Unip-Of"] != "" {
		t.Errorf("%+v, %v", info, err)
	}
	// Several sources, parts of them too.
	first, second := source, source
	first.MatchRange, first.Start, first.End = true, 0, 6<<20-1
	second.MatchRange, second.Start, second.End = true, 3, 5
	if _, err := c.Client.ComposeObject(ctx, minio.CopyDestOptions{Bucket: bucket, Object: "composed"}, first,
		second); err != nil {
		t.Fatal(err)
	}
	if want := string(content[:6<<20]) + "345"; get(t, c, "composed") != want {
		t.Error("another content")
	}
	// A source that has changed, that there is not, and that lies in no bucket.
	source.MatchETag = strings.Repeat("0", 32)
	if _, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: runs, Object: "x"}, source); s3.AnswerOf(err) !=
		s3.OtherVersion {
		t.Errorf("%v", err)
	}
	for _, source := range []minio.CopySrcOptions{
		{Bucket: bucket, Object: "missing"}, {Bucket: "unip-other", Object: "a"},
	} {
		_, err := c.Client.CopyObject(ctx, minio.CopyDestOptions{Bucket: runs, Object: "x"}, source)
		if !s3.IsMissing(err) {
			t.Errorf("%v", err)
		}
	}
}

// Tags of buckets and objects, and the deletion of many objects at once.
func TestTagsAndDeletions(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	ctx := t.Context()
	want := databox.Owner{Namespace: "ann", NamespaceUID: "u", Box: boxName}.Tags()
	x, err := tags.MapToBucketTags(want)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.SetBucketTagging(ctx, bucket, x); err != nil {
		t.Fatal(err)
	}
	if got, err := c.GetBucketTagging(ctx, bucket); err != nil || !maps.Equal(got.ToMap(), want) {
		t.Errorf("%v, %v", got, err)
	}
	const n = 1500 // more than one request takes
	names := make(chan minio.ObjectInfo)
	go func() {
		defer close(names)
		for i := range n {
			names <- minio.ObjectInfo{Key: fmt.Sprintf("many/%d", i)}
		}
	}()
	for i := range n {
		write(t, filepath.Join(s.Folder(bucket), fmt.Sprintf("many/%d", i)), "x")
	}
	kept := 0
	for o := range c.Client.ListObjects(ctx, bucket, minio.ListObjectsOptions{Recursive: true, WithVersions: true}) {
		if o.Err != nil || !o.IsLatest {
			t.Fatalf("%+v", o)
		}
		kept++
	}
	if kept != n {
		t.Errorf("%d versions", kept)
	}
	for e := range c.RemoveObjects(ctx, bucket, names, minio.RemoveObjectsOptions{}) {
		t.Error(e)
	}
	if _, err := os.Stat(filepath.Join(s.Folder(bucket), "many")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the empty folder stays: %v", err)
	}
	if err := c.RemoveObject(ctx, bucket, "missing", minio.RemoveObjectOptions{}); err != nil {
		t.Error(err)
	}
}

// A listing goes on where it ended, by the server's own tokens only.
func TestListings(t *testing.T) {
	t.Parallel()
	s := open(t, t.TempDir())
	c := client(t, s)
	var want, got []string
	for i := range 7 {
		key := fmt.Sprintf("dir/%d +%%41", i)
		write(t, filepath.Join(s.Folder(bucket), key), "x")
		want = append(want, key)
	}
	for token := ""; ; {
		page, err := c.ListObjectsV2(bucket, "dir/", "", token, "/", 3)
		if err != nil {
			t.Fatal(err)
		}
		for _, o := range page.Contents {
			got = append(got, o.Key)
		}
		if token = page.NextContinuationToken; !page.IsTruncated {
			break
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	for _, token := range []string{"AAAA", "!", "dir/3"} {
		if _, err := c.ListObjectsV2(bucket, "", "", token, "", 3); minio.ToErrorResponse(err).StatusCode !=
			http.StatusBadRequest {
			t.Errorf("token %q: %v", token, err)
		}
	}
}
