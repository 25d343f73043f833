//go:build integration

package s3_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/signer"
	"github.com/minio/minio-go/v7/pkg/tags"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// holder is whoever has a session and writes any request with it.
type holder struct {
	*minio.Client
	session        databox.Session
	bucket, theirs string
}

func hold(t *testing.T, s *miniotest.Server, theirs string, g databox.Grant) holder {
	t.Helper()
	p, err := databox.Policy(g)
	must(t, err)
	sts := s3.STS{Endpoint: s.Endpoint, Region: "us-east-1", Parent: admin, NoDelimiter: s.SeaweedFS}
	got, err := sts.Session(t.Context(), http.DefaultClient, p, 15*time.Minute)
	must(t, err)
	if life := time.Until(got.Expiration); life < 14*time.Minute || life > 16*time.Minute {
		t.Errorf("the session lives %v", life)
	}
	got.Endpoint, got.Region, got.Bucket = s.Endpoint, "us-east-1", g.Bucket
	c, err := s3.NewClient(got, s3.Static(got))
	must(t, err)
	return holder{c, got, g.Bucket, theirs}
}

func (h holder) get(bucket, key string) error {
	o, err := h.GetObject(context.Background(), bucket, key, minio.GetObjectOptions{})
	if err == nil {
		_, err = io.ReadAll(o)
	}
	return err
}

func (h holder) head(key string) error {
	_, err := h.StatObject(context.Background(), h.bucket, key, minio.StatObjectOptions{})
	return err
}

func (h holder) put(bucket, key string, size int) error {
	o := minio.PutObjectOptions{PartSize: 5 << 20}
	_, err := h.PutObject(context.Background(), bucket, key, bytes.NewReader(make([]byte, size)), int64(size), o)
	return err
}

func (h holder) list(bucket, prefix string, recursive bool) error {
	o := minio.ListObjectsOptions{Prefix: prefix, Recursive: recursive}
	for o := range h.ListObjectsIter(context.Background(), bucket, o) {
		return o.Err
	}
	return errors.New("nothing was listed")
}

// raw sends a request that the client has no method for, signed with the session.
func (h holder) raw(method, bucket, key string, query url.Values, body string) error {
	u := h.session.Endpoint + "/" + strings.Trim(bucket+"/"+key, "/")
	form := ""
	if method == http.MethodPost { // of STS
		form, body = query.Encode(), query.Encode()
	} else if len(query) > 0 {
		u += "?" + query.Encode()
	}
	r, err := http.NewRequest(method, u, strings.NewReader(body))
	if err != nil {
		return err
	}
	sum := sha256.Sum256([]byte(body))
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	if form != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Header.Set("X-Amz-Security-Token", h.session.SessionToken)
		r = signer.SignV4STS(*r, h.session.AccessKeyID, h.session.SecretAccessKey, "us-east-1")
	} else {
		r = signer.SignV4(*r, h.session.AccessKeyID, h.session.SecretAccessKey, h.session.SessionToken, "us-east-1")
	}
	return answer(http.DefaultClient.Do(r))
}

func answer(resp *http.Response, err error) error {
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode >= 300 {
		err = minio.ErrorResponse{StatusCode: resp.StatusCode, Code: resp.Status, Message: string(b)}
	}
	return err
}

// withHeader sends an upload by a link of the session's, with a header that the link does not sign.
func (h holder) withHeader(name, value string) error {
	u, err := h.PresignedPutObject(context.Background(), h.bucket, "users/ann/file_groups/g/loot", time.Minute)
	if err != nil {
		return err
	}
	r, err := http.NewRequest(http.MethodPut, u.String(), nil)
	if err != nil {
		return err
	}
	r.Header.Set(name, value)
	return answer(http.DefaultClient.Do(r))
}

const (
	anns = "users/ann/file_groups/g/a"
	bobs = "users/bob/file_groups/g/b"
)

// attempts are what a holder of a session may try; each use names those that succeed.
var attempts = map[string]func(h holder) error{
	"get a user's":            func(h holder) error { return h.get(h.bucket, bobs) },
	"head a user's":           func(h holder) error { return h.head(bobs) },
	"get a model":             func(h holder) error { return h.get(h.bucket, "models/m") },
	"get a model's neighbour": func(h holder) error { return h.get(h.bucket, "models/mm") },
	"get in another folder":   func(h holder) error { return h.get(h.bucket, "folder/deep") },
	"get at the root":         func(h holder) error { return h.get(h.bucket, "top") },
	"get //users":             func(h holder) error { return h.get(h.bucket, "/"+bobs) },
	"get x/../users":          func(h holder) error { return h.get(h.bucket, "models/../"+bobs) },
	"get elsewhere":           func(h holder) error { return h.get(h.theirs, anns) },
	"get a model elsewhere":   func(h holder) error { return h.get(h.theirs, "models/m") },
	"put a user's":            func(h holder) error { return h.put(h.bucket, anns+"-new", 10) },
	"put a user's in parts":   func(h holder) error { return h.put(h.bucket, anns+"-parts", 6<<20) },
	"put at the root":         func(h holder) error { return h.put(h.bucket, "new", 10) },
	"put a model":             func(h holder) error { return h.put(h.bucket, "models/m", 10) },
	"put elsewhere":           func(h holder) error { return h.put(h.theirs, anns, 10) },
	"delete a user's": func(h holder) error {
		return h.RemoveObject(context.Background(), h.bucket, anns+"-gone", minio.RemoveObjectOptions{})
	},
	"delete a model": func(h holder) error {
		return h.RemoveObject(context.Background(), h.bucket, "models/m", minio.RemoveObjectOptions{})
	},
	"delete elsewhere": func(h holder) error {
		return h.RemoveObject(context.Background(), h.theirs, anns, minio.RemoveObjectOptions{})
	},
	"list a user's":          func(h holder) error { return h.list(h.bucket, "users/ann/", true) },
	"list models":            func(h holder) error { return h.list(h.bucket, "models/", true) },
	"list another folder":    func(h holder) error { return h.list(h.bucket, "folder/", true) },
	"list folders":           func(h holder) error { return h.list(h.bucket, "", false) },
	"list folders of models": func(h holder) error { return h.list(h.bucket, "models/", false) },
	"list folders of users":  func(h holder) error { return h.list(h.bucket, "users/", false) },
	"list all":               func(h holder) error { return h.list(h.bucket, "", true) },
	"list elsewhere":         func(h holder) error { return h.list(h.theirs, "", true) },
	"list users elsewhere":   func(h holder) error { return h.list(h.theirs, "users/", true) },
	"upload that is a copy of": func(h holder) error {
		return h.withHeader("X-Amz-Copy-Source",
			"/"+h.bucket+"/"+bobs)
	},
	"upload that is a copy of a model": func(h holder) error {
		return h.withHeader("X-Amz-Copy-Source", "/"+h.bucket+"/models/m")
	},
	"upload with tags": func(h holder) error { return h.withHeader("X-Amz-Tagging", "a=b") },
	"upload that unpacks an archive": func(h holder) error {
		return h.withHeader("X-Amz-Meta-Snowball-Auto-Extract",
			"true")
	},
	"tag": func(h holder) error {
		x, err := tags.NewTags(map[string]string{"a": "b"}, true)
		if err != nil {
			return err
		}
		return h.PutObjectTagging(context.Background(), h.bucket, anns, x, minio.PutObjectTaggingOptions{})
	},
	"read tags": func(h holder) error {
		_, err := h.GetObjectTagging(context.Background(), h.bucket, anns, minio.GetObjectTaggingOptions{})
		return err
	},
	"read the ACL": func(h holder) error { _, err := h.GetObjectACL(context.Background(), h.bucket, anns); return err },
	"write the ACL": func(h holder) error {
		return h.raw(http.MethodPut, h.bucket, anns, map[string][]string{"acl": {""}}, `<AccessControlPolicy/>`)
	},
	"write the bucket's policy": func(h holder) error { return h.SetBucketPolicy(context.Background(), h.bucket, "") },
	"tag the bucket": func(h holder) error {
		return h.SetBucketTagging(context.Background(), h.bucket,
			&tags.Tags{})
	},
	"delete the bucket": func(h holder) error { return h.RemoveBucket(context.Background(), h.bucket) },
	"make a bucket": func(h holder) error {
		return h.MakeBucket(context.Background(), "unip-mine", minio.MakeBucketOptions{})
	},
	"see buckets": func(h holder) error {
		l, err := h.ListBuckets(context.Background())
		own := func(b minio.BucketInfo) bool { return b.Name == h.bucket }
		if err == nil && len(slices.DeleteFunc(l, own)) == 0 { // MinIO answers with what one may list
			return minio.ErrorResponse{Code: "AccessDenied"}
		}
		return err
	},
	"become somebody": func(h holder) error {
		keys := s3.Keys{AccessKeyID: h.session.AccessKeyID, SecretAccessKey: h.session.SecretAccessKey}
		_, err := s3.AssumeRole(context.Background(), http.DefaultClient, h.session.Endpoint, "us-east-1", keys, "",
			time.Hour)
		if errors.Is(err, s3.ErrNoSTS) {
			return minio.ErrorResponse{Code: "AccessDenied"}
		}
		return err
	},
	"become somebody, with the token": func(h holder) error {
		return h.raw(http.MethodPost, "", "", map[string][]string{"Action": {"AssumeRole"}, "Version": {"2011-06-15"},
			"RoleSessionName": {"unip"}}, "")
	},
	"ask the administrator's API": func(h holder) error {
		return h.raw(http.MethodGet, "minio", "admin/v3/list-users", nil, "")
	},
}

// refused reports an answer of S3 that says no. MinIO says so with a status of its own where a
// header that unpacks archives is not signed, SeaweedFS where a key goes up.
func refused(err error) bool {
	r := minio.ToErrorResponse(err)
	return s3.IsRefused(err) || r.Code == "XMinioInvalidResourceName" || r.Code == "InvalidRequest" ||
		strings.Contains(r.Message, "<Code>AccessDenied</Code>")
}

// wider are listings that a server opens besides, which does not know s3:delimiter: of what the session
// reads anyhow, and all keys of a box whose folders it lists.
var wider = map[string][]string{
	"a mount":            {"list models"},
	"a mount of all":     {"list models", "list another folder", "list all"},
	"files of a dataset": {"list models", "list another folder", "list all"},
}

// Each use of a box opens what it is for and nothing else, on a real server: whoever gets hold of
// such a session has no more than that.
func TestSessionsOpenWhatTheyAreFor(t *testing.T) {
	t.Parallel()
	s := miniotest.Start(t)
	bucket, theirs := s.Bucket(t), s.Bucket(t)
	for _, key := range []string{anns, bobs, "models/m", "models/mm", "top", "folder/deep"} {
		s.Put(t, bucket, key, "content")
		s.Put(t, theirs, key, "content")
	}
	uses := map[string]struct {
		databox.Grant
		opens []string
	}{
		"files": {databox.Grant{Access: databox.Files},
			[]string{"get a user's", "head a user's", "get //users", "delete a user's", "list a user's",
				"list folders of users"}},
		"put-links": {databox.Grant{Access: databox.PutLinks}, []string{"put a user's", "put a user's in parts"}},
		"get-links": {databox.Grant{Access: databox.GetLinks},
			[]string{"get a user's", "head a user's", "get //users"}},
		"calls": {databox.Grant{Access: databox.Calls}, []string{
			"get a user's", "head a user's", "get //users", "put a user's", "put a user's in parts", "delete a user's",
		}},
		"calls-read": {databox.Grant{Access: databox.CallsRead},
			[]string{"get a user's", "head a user's", "get //users"}},
		"a model": {databox.Grant{Access: databox.Model, Keys: []string{"models/m"}}, []string{"get a model"}},
		"a model, folder": {databox.Grant{Access: databox.Model, Prefix: "models/"},
			[]string{"get a model", "get a model's neighbour", "list models", "list folders of models"}},
		"files of a dataset": {databox.Grant{Access: databox.DatasetFiles}, []string{
			"get a model", "get a model's neighbour", "get in another folder", "get at the root", "list folders",
			"list folders of models",
		}},
		"reads of a dataset": {databox.Grant{Access: databox.DatasetRead}, []string{
			"get a model", "get a model's neighbour", "get in another folder", "get at the root",
		}},
		"a mount": {databox.Grant{Access: databox.Mount, Prefix: "models/"},
			[]string{"get a model", "get a model's neighbour", "list folders of models"}},
		"a mount of all": {databox.Grant{Access: databox.Mount}, []string{
			"get a model", "get a model's neighbour", "get in another folder", "get at the root", "list folders",
			"list folders of models",
		}},
		"writes of a mount":        {databox.Grant{Access: databox.MountWrite, Prefix: "models/"}, []string{"put a model"}},
		"writes of a mount of all": {databox.Grant{Access: databox.MountWrite}, []string{"put a model", "put at the root"}},
		"a run's input":            {databox.Grant{Access: databox.Read, Keys: []string{anns}}, nil},
		"a run's inputs":           {databox.Grant{Access: databox.Read, Prefix: "users/ann/file_groups/g/"}, nil},
		"a run's whole box": {databox.Grant{Access: databox.Read}, []string{
			"get a model", "get a model's neighbour", "get in another folder", "get at the root",
			"list folders", "list models", "list another folder", "list folders of models", "list all",
		}},
	}
	for name, use := range uses {
		t.Run(name, func(t *testing.T) {
			use.Bucket = bucket
			if s.SeaweedFS {
				use.opens = append(use.opens, wider[name]...)
			}
			h := hold(t, s, theirs, use.Grant)
			for what, try := range attempts {
				err := try(h)
				switch opens := slices.Contains(use.opens, what); {
				case opens && err != nil:
					t.Errorf("%s: %v", what, err)
				case !opens && err == nil:
					t.Errorf("%s: it succeeds", what)
				case !opens && !refused(err):
					t.Errorf("%s: %v, which is no refusal", what, err)
				}
			}
		})
	}
}
