package check

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// oddName is one as users have them, each of whose characters some server has taken for another one
// in a session's policy.
const oddName = "Ф $(x) 12:30+1.csv"

// sessions asks for a session that may read one object of a bucket.
func sessions(ctx context.Context, x *suite) error {
	if x.Session == nil {
		return notTried("there is no STS, by the settings")
	}
	bucket, key := x.bucket, x.key(oddName)
	if bucket == "" {
		bucket = string(x.Buckets) + checks + "none"
	}
	s, err := x.session(ctx, databox.Grant{Bucket: bucket, Access: databox.Model, Keys: []string{key}})
	if err != nil {
		return err
	}
	if life := time.Until(s.Expiration); !s.Expiration.IsZero() && (life < sessionLife/2 || life > 2*sessionLife) {
		return fmt.Errorf("a session of %v lives %v", sessionLife, life.Round(time.Second))
	}
	if x.bucket == "" {
		return nil
	}
	if err := x.put(ctx, x.bucket, key, "weights"); err != nil {
		return err
	}
	c, err := x.client(s)
	if err != nil {
		return err
	}
	_, err = read(ctx, c, x.bucket, key)
	return err
}

// holder has a session, and tries.
type holder struct {
	*minio.Client
	x *suite
}

func (h holder) write(ctx context.Context, bucket, key string) error {
	_, err := h.PutObject(ctx, bucket, key, bytes.NewReader([]byte("x")), 1, whole())
	return err
}

func (h holder) list(ctx context.Context, bucket, prefix string, deep bool) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	for o := range h.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: deep, MaxKeys: 2}) {
		return o.Err
	}
	return errors.New("nothing was listed")
}

func (h holder) read(ctx context.Context, bucket, key string) error {
	_, err := read(ctx, h.Client, bucket, key)
	return err
}

// attempts are what the holder of a session tries; elsewhere is the second bucket.
var attempts = map[string]func(context.Context, holder) error{
	"read a user's file": func(ctx context.Context, h holder) error {
		return h.read(ctx, h.x.bucket, h.x.userKey("bob", "g/victim"))
	},
	"read a model": func(ctx context.Context, h holder) error {
		return h.read(ctx, h.x.bucket, h.x.key("models/victim"))
	},
	"read a model's neighbour": func(ctx context.Context, h holder) error {
		return h.read(ctx, h.x.bucket, h.x.key("models-2/victim"))
	},
	"write a user's file": func(ctx context.Context, h holder) error {
		return h.write(ctx, h.x.bucket, h.x.userKey("ann", "limits/new"))
	},
	"write a model": func(ctx context.Context, h holder) error {
		return h.write(ctx, h.x.bucket, h.x.key("models/new"))
	},
	"delete a user's file": func(ctx context.Context, h holder) error {
		return h.RemoveObject(ctx, h.x.bucket, h.x.userKey("ann", "limits/gone"), minio.RemoveObjectOptions{})
	},
	"delete a model": func(ctx context.Context, h holder) error {
		return h.RemoveObject(ctx, h.x.bucket, h.x.key("models/gone"), minio.RemoveObjectOptions{})
	},
	"list users": func(ctx context.Context, h holder) error { return h.list(ctx, h.x.bucket, databox.UsersArea, true) },
	"list models": func(ctx context.Context, h holder) error {
		return h.list(ctx, h.x.bucket, h.x.key("models/"), false)
	},
	"list all": func(ctx context.Context, h holder) error { return h.list(ctx, h.x.bucket, "", true) },
	"read the bucket's tags": func(ctx context.Context, h holder) error {
		_, err := h.GetBucketTagging(ctx, h.x.bucket)
		return err
	},
	"write the bucket's policy": func(ctx context.Context, h holder) error {
		return h.SetBucketPolicy(ctx, h.x.bucket, `{"Version":"2012-10-17","Statement":[]}`)
	},
	"make a bucket": func(ctx context.Context, h holder) error {
		name := h.x.bucket + "-forged"
		err := h.MakeBucket(ctx, name, minio.MakeBucketOptions{Region: h.x.Region})
		if err == nil {
			_ = h.x.root.RemoveBucket(ctx, name)
		}
		return err
	},
	"read in another bucket": func(ctx context.Context, h holder) error {
		return h.read(ctx, h.x.other, h.x.key("models/victim"))
	},
	"write in another bucket": func(ctx context.Context, h holder) error {
		return h.write(ctx, h.x.other, h.x.userKey("ann", "limits/new"))
	},
	"list another bucket": func(ctx context.Context, h holder) error { return h.list(ctx, h.x.other, "", true) },
}

// sessionLimits tries everything with sessions of several uses: each opens what it is for and no more.
func sessionLimits(ctx context.Context, x *suite) error {
	if _, err := x.victims(ctx); err != nil {
		return err
	}
	if err := x.put(ctx, x.bucket, x.key("models-2/victim"), secret); err != nil {
		return err
	}
	if x.other != "" {
		if err := x.put(ctx, x.other, x.key("models/victim"), secret); err != nil {
			return err
		}
	}
	var wrong []string
	for _, use := range []struct {
		databox.Grant
		opens []string
	}{
		{databox.Grant{Access: databox.Files}, []string{"read a user's file", "delete a user's file", "list users"}},
		{databox.Grant{Access: databox.PutLinks}, []string{"write a user's file"}},
		{databox.Grant{Access: databox.GetLinks}, []string{"read a user's file"}},
		{databox.Grant{Access: databox.Calls},
			[]string{"read a user's file", "write a user's file", "delete a user's file"}},
		{databox.Grant{Access: databox.Model, Keys: []string{x.key("models/victim")}}, []string{"read a model"}},
		{databox.Grant{Access: databox.Mount, Prefix: x.key("models/")}, []string{"read a model", "list models"}},
		{databox.Grant{Access: databox.AuthorPut, Keys: []string{x.key("models/new")}}, []string{"write a model"}},
		{databox.Grant{Access: databox.Write, Prefix: x.key("models/")},
			[]string{"read a model", "write a model", "list models"}},
	} {
		use.Bucket = x.bucket
		s, err := x.session(ctx, use.Grant)
		if err != nil {
			return fmt.Errorf("a session for %s: %w", use.Access, err)
		}
		c, err := x.client(s)
		if err != nil {
			return err
		}
		for what, attempt := range attempts {
			if strings.Contains(what, "another bucket") && x.other == "" {
				continue
			}
			err, opens := attempt(ctx, holder{c, x}), slices.Contains(use.opens, what)
			switch {
			case err != nil && s3.IsAbsent(err) && ctx.Err() != nil:
				return err
			case opens && err != nil:
				wrong = append(wrong, fmt.Sprintf("%s cannot %s: %v", use.Access, what, err))
			case !opens && err == nil:
				wrong = append(wrong, fmt.Sprintf("%s can %s", use.Access, what))
			}
		}
	}
	if len(wrong) > 0 {
		slices.Sort(wrong)
		return errors.New(strings.Join(wrong, "; "))
	}
	return nil
}

// sessionPaths holds a session of one folder, and signs other ways to write paths that lead out of it.
func sessionPaths(ctx context.Context, x *suite) error {
	victims, err := x.victims(ctx)
	if err != nil {
		return err
	}
	s, err := x.session(ctx, databox.Grant{Bucket: x.bucket, Access: databox.Write, Prefix: x.key("mine/")})
	if err != nil {
		return err
	}
	from := x.key("mine/file")
	if err := x.put(ctx, x.bucket, from, "mine"); err != nil {
		return err
	}
	for i, v := range victims {
		for _, path := range elsewhere(from, v) {
			u := x.Endpoint + "/" + x.bucket + "/" + path
			a, err := x.signed(ctx, s, request{method: http.MethodGet, url: u})
			if err != nil {
				return err
			}
			if strings.Contains(a.body, secret) {
				return through("a GET of "+path, a)
			}
			if a, err = x.signed(ctx, s, request{method: http.MethodPut, url: u, body: "defaced"}); err != nil {
				return err
			}
			if err := x.holds(ctx, v, secret); err != nil {
				return through("a PUT of "+path, a)
			}
		}
		for j, source := range append(elsewhere(from, v), "?versionId=null") {
			if strings.HasPrefix(source, "?") {
				source = encode(v) + source
			}
			loot := x.key(fmt.Sprintf("mine/loot-%d-%d", i, j))
			a, err := x.signed(ctx, s, request{method: http.MethodPut, url: x.at(x.bucket, loot),
				header: map[string]string{"X-Amz-Copy-Source": "/" + x.bucket + "/" + source}})
			if err != nil {
				return err
			}
			got, err := x.get(ctx, x.bucket, loot)
			if err != nil && !s3.IsMissing(err) {
				return err
			}
			if got == secret {
				return through("a copy of "+source, a)
			}
		}
	}
	return nil
}

// sessionPlain holds the session that signs upload links, and signs what makes more of an upload.
func sessionPlain(ctx context.Context, x *suite) error {
	if _, err := x.victims(ctx); err != nil {
		return err
	}
	s, err := x.session(ctx, databox.Grant{Bucket: x.bucket, Access: databox.PutLinks})
	if err != nil {
		return err
	}
	mine := x.userKey("ann", "g/mine")
	if err := x.put(ctx, x.bucket, mine, secret); err != nil {
		return err
	}
	for _, source := range []string{x.userKey("bob", "g/victim"), mine} {
		loot := x.userKey("ann", "loot/plain")
		a, err := x.signed(ctx, s, request{method: http.MethodPut, url: x.at(x.bucket, loot),
			header: map[string]string{"X-Amz-Copy-Source": "/" + x.bucket + "/" + encode(source)}})
		if err != nil {
			return err
		}
		if got, err := x.get(ctx, x.bucket, loot); err == nil && got == secret {
			return through("a signed copy by a session that only writes", a)
		}
	}
	loot := x.userKey("ann", "loot/tagged")
	a, err := x.signed(ctx, s, request{method: http.MethodPut, url: x.at(x.bucket, loot), body: "x",
		header: map[string]string{"X-Amz-Tagging": "a=b"}})
	if err != nil {
		return err
	}
	t, err := x.root.GetObjectTagging(ctx, x.bucket, loot, minio.GetObjectTaggingOptions{})
	if err == nil && t.ToMap()["a"] == "b" {
		return through("tags by a session that only writes", a)
	}
	return nil
}
