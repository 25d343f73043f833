package sessions

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// Pair names keys that the operator has made for a server that gives no sessions (s3.sts.none): long-
// lived ones, which may what the operator's policy at the server says. Here they take the place of a
// session; its file says no end.
type Pair struct {
	// Secret is in the module's namespace. See names.BoxKeys and names.RunKeys.
	Secret string
	// Links is the pair that signs links to write. It is another one, for a link can do what its signer
	// can: servers obey headers that the link does not sign, x-amz-copy-source among them.
	Links bool
}

// The data of such a Secret, by what a pair is for.
const (
	accessKey, secretKey           = "accessKeyId", "secretAccessKey"
	linksAccessKey, linksSecretKey = "linksAccessKeyId", "linksSecretAccessKey"
)

func (p Pair) data() (access, secret string) {
	if p.Links {
		return linksAccessKey, linksSecretKey
	}
	return accessKey, secretKey
}

// ErrKeys: the operator has made no keys, or some that may not be given out.
var ErrKeys = errors.New("there is no STS (s3.sts.none), and")

// staticLook is when static keys are looked at again, of whose change package statickeys has not told.
const staticLook = 5 * time.Minute

// Keys reads a pair. The error is ErrKeys, or the API server's.
func (k Keeper) Keys(ctx context.Context, namespace string, p Pair) (s3.Keys, error) {
	access, secret := p.data()
	found := &corev1.Secret{}
	err := k.Live.Get(ctx, client.ObjectKey{Namespace: namespace, Name: p.Secret}, found)
	if err != nil && !apierrors.IsNotFound(err) {
		return s3.Keys{}, fmt.Errorf("reading the S3 keys: %w", err)
	}
	keys := s3.Keys{AccessKeyID: strings.TrimSpace(string(found.Data[access])),
		SecretAccessKey: strings.TrimSpace(string(found.Data[secret]))}
	switch {
	case err != nil || keys.AccessKeyID == "" || keys.SecretAccessKey == "":
		return s3.Keys{}, fmt.Errorf("%w the Secret %s lacks %s and %s: make a user of the S3 server for it, with the "+
			"rights of docs/operating.md (Without STS), and put its keys there", ErrKeys, p.Secret, access, secret)
	case keys.AccessKeyID == k.Store.Keys.AccessKeyID:
		return s3.Keys{}, fmt.Errorf("%w %s of the Secret %s is the installation's own key, which no module gets: make "+
			"another user", ErrKeys, access, p.Secret)
	}
	return keys, nil
}

// LinkKeys are the pair of a box that signs links to write, of which S3 was asked what it may do. The
// error is ErrKeys, the API server's or S3's.
func (k Keeper) LinkKeys(ctx context.Context, namespace, secret, bucket string) (s3.Keys, error) {
	p := Pair{Secret: secret, Links: true}
	keys, err := k.Keys(ctx, namespace, p)
	if err != nil {
		return s3.Keys{}, err
	}
	return keys, k.try(ctx, databox.Session{Bucket: bucket, AccessKeyID: keys.AccessKeyID,
		SecretAccessKey: keys.SecretAccessKey}, p)
}

// static is Ensure with the operator's keys. found is the Secret as it is.
func (k Keeper) static(ctx context.Context, found *corev1.Secret, want Secret, now time.Time) (Held, error) {
	held, data := Held{Due: now.Add(staticLook)}, map[string][]byte{}
	tried := map[Pair]bool{}
	for file, w := range want.Files {
		keys, err := k.Keys(ctx, want.Owner.GetNamespace(), w.Pair)
		if err != nil {
			return Held{}, err
		}
		s := w.Told
		s.AccessKeyID, s.SecretAccessKey = keys.AccessKeyID, keys.SecretAccessKey
		if data[file], err = json.Marshal(s); err != nil {
			return Held{}, fmt.Errorf("%w: %w", ErrSecret, err)
		}
		// What has been tried and written is tried no more: what the server lets a user do is the
		// operator's, who may change it at any time.
		if string(found.Data[file]) == string(data[file]) || tried[w.Pair] {
			continue
		}
		if err := k.try(ctx, s, w.Pair); err != nil {
			return Held{}, err
		}
		tried[w.Pair] = true
	}
	same := func(a, b []byte) bool { return string(a) == string(b) }
	if maps.EqualFunc(found.Data, data, same) && stands(found, want) {
		return held, nil
	}
	held.Renewed = "the operator's keys, or what their holder is told, are new"
	if want.Before != nil {
		if err := want.Before(ctx); err != nil {
			return Held{}, err
		}
	}
	return held, k.write(ctx, found.OwnerReferences, want, data, now)
}

// try asks the server what keys may do: they are known, they list their bucket, and they do not open
// the installation's own; those that sign links read nothing at all.
func (k Keeper) try(ctx context.Context, s databox.Session, p Pair) error {
	c, err := k.Store.ClientWith(credentials.NewStaticV4(s.AccessKeyID, s.SecretAccessKey, ""), k.Store.Transport)
	if err != nil {
		return err
	}
	access, _ := p.data()
	refuse := func(what string, args ...any) error {
		why := fmt.Sprintf(what, args...)
		return fmt.Errorf("%w the user of %s in the Secret %s %s", ErrKeys, access, p.Secret, why)
	}
	opens, err := lists(ctx, c, s.Bucket, s.Prefix)
	switch {
	case s3.AnswerOf(err) == s3.SessionOver, s3.AnswerOf(err) == s3.BadSignature:
		return refuse("is not known to the S3 server, or its secret is another one")
	case err != nil:
		return err
	case p.Links && opens:
		return refuse("may list %s: allow it s3:PutObject and nothing else, for a link can do what its signer can", s.Bucket)
	case !p.Links && !opens:
		return refuse("may not list %s", s.Bucket)
	}
	if p.Links {
		reads, err := k.reads(ctx, c, s.Bucket)
		if err != nil {
			return err
		}
		if reads {
			return refuse("may read objects of %s: allow it s3:PutObject and nothing else", s.Bucket)
		}
	}
	own := k.Store.Config.S3.Buckets.System()
	if opens, err = lists(ctx, c, own, ""); err == nil && opens {
		err = refuse("may list %s, the installation's own bucket: limit it to the module's", own)
	}
	return err
}

// lists reports whether a client may list what begins with prefix. The error says that the server does
// not answer that question.
func lists(ctx context.Context, c *minio.Client, bucket, prefix string) (bool, error) {
	_, err := first(ctx, c, bucket, prefix)
	switch s3.AnswerOf(err) {
	case s3.Denied, s3.NotThere:
		return false, nil
	}
	return err == nil, err
}

// reads reports whether a client may read an object, if there is one: the developer's, or a user's.
func (k Keeper) reads(ctx context.Context, c *minio.Client, bucket string) (bool, error) {
	for _, prefix := range []string{"", databox.UsersArea} {
		key, err := first(ctx, k.Store.Client, bucket, prefix)
		if err != nil {
			return false, err
		}
		if key == "" {
			continue
		}
		_, err = c.StatObject(ctx, bucket, key, minio.StatObjectOptions{})
		if err == nil || !s3.IsRefused(err) && !s3.IsMissing(err) {
			return err == nil, err
		}
	}
	return false, nil
}

// first is the first key, or "".
func first(ctx context.Context, c *minio.Client, bucket, prefix string) (string, error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	for o := range c.ListObjects(ctx, bucket, minio.ListObjectsOptions{Prefix: prefix, Recursive: true, MaxKeys: 1}) {
		return o.Key, o.Err
	}
	return "", nil
}
