//go:build integration

package s3_test

import (
	"errors"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

func TestFolder(t *testing.T) {
	t.Parallel()
	server := miniotest.Start(t)
	bucket := server.Bucket(t)
	for _, key := range []string{"in/", "in/a", "in/b/", "in/b/c d+%41.txt", "inner/x", "in", "out/y"} {
		if key != "in" { // MinIO keeps no object beside a folder of its name
			server.Put(t, bucket, key, "12")
		}
	}
	all, err := s3.Folder(t.Context(), server.Client, bucket, "in/", 3)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, o := range all {
		if names = append(names, o.Name); o.Key != "in/"+o.Name || o.ETag == "" || o.Size != 2 {
			t.Errorf("%+v", o)
		}
	}
	if d := cmp.Diff([]string{"a", "b/", "b/c d+%41.txt"}, names); d != "" {
		t.Errorf("(-want +got)\n%s", d)
	}
	if _, err := s3.Folder(t.Context(), server.Client, bucket, "in/", 2); !errors.Is(err, s3.ErrNoFolder) {
		t.Errorf("more than are wanted: %v", err)
	}
	if all, err := s3.Folder(t.Context(), server.Client, bucket, "nothing/", 2); err != nil || len(all) > 0 {
		t.Errorf("nothing there: %v, %v", all, err)
	}
	if _, err := s3.Folder(t.Context(), server.Client, "no-such-bucket", "in/", 2); !s3.IsMissing(err) {
		t.Errorf("no bucket: %v", err)
	}
}

// A dataset's session lists folder by folder, and no file of a user is among what comes.
func TestWithoutUsers(t *testing.T) {
	t.Parallel()
	server := miniotest.Start(t)
	bucket := server.Bucket(t)
	for _, key := range []string{"top", "a/b/c", "a/users/x", "a/m/", "users/ann/file_groups/g/secret", "usersand/y"} {
		server.Put(t, bucket, key, "12")
	}
	c := hold(t, server, bucket, databox.Grant{Bucket: bucket, Access: databox.DatasetFiles}).Client
	for prefix, want := range map[string][]string{
		"": {"top", "a/b/c", "a/m/", "a/users/x", "usersand/y"}, "a/": {"b/c", "m/", "users/x"},
	} {
		all, err := s3.WithoutUsers(t.Context(), c, bucket, prefix, 5)
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, o := range all {
			names = append(names, o.Name)
		}
		slices.Sort(want)
		if slices.Sort(names); !slices.Equal(names, want) {
			t.Errorf("%q: %q, want %q", prefix, names, want)
		}
	}
	if _, err := s3.WithoutUsers(t.Context(), c, bucket, "", 4); !errors.Is(err, s3.ErrNoFolder) {
		t.Errorf("more than are wanted: %v", err)
	}
}
