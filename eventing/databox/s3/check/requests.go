package check

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/signer"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// maxBody bounds what is read of an answer.
const maxBody = 16 << 20

// put stores a small object with the installation's keys.
func (x *suite) put(ctx context.Context, bucket, key, content string) error {
	_, err := x.root.PutObject(ctx, bucket, key, strings.NewReader(content), int64(len(content)), whole())
	if err != nil {
		return fmt.Errorf("PUT %s: %w", short(key), err)
	}
	return nil
}

func whole() minio.PutObjectOptions {
	return minio.PutObjectOptions{DisableMultipart: true, ContentType: "application/octet-stream"}
}

// get reads an object with the installation's keys.
func (x *suite) get(ctx context.Context, bucket, key string) (string, error) {
	return read(ctx, x.root, bucket, key)
}

func read(ctx context.Context, c *minio.Client, bucket, key string) (string, error) {
	o, err := c.GetObject(ctx, bucket, key, minio.GetObjectOptions{})
	if err != nil {
		return "", fmt.Errorf("GET %s: %w", short(key), err)
	}
	defer o.Close()
	b, err := io.ReadAll(io.LimitReader(o, maxBody))
	if err != nil {
		return "", fmt.Errorf("GET %s: %w", short(key), err)
	}
	return string(b), nil
}

// holds reports what is wrong with the content of an object.
func (x *suite) holds(ctx context.Context, key, want string) error {
	got, err := x.get(ctx, x.bucket, key)
	if err == nil && got != want {
		err = fmt.Errorf("GET %s gives %d bytes that were not stored", short(key), len(got))
	}
	return err
}

// refused is nil for an answer that says no, as it should be.
func refused(what string, err error) error {
	switch {
	case err == nil:
		return fmt.Errorf("%s is taken", what)
	case s3.IsAbsent(err):
		return fmt.Errorf("%s: %w", what, err)
	}
	return nil
}

// conditionFails is nil for the answer of a condition that does not hold.
func conditionFails(what string, err error) error {
	if a := s3.AnswerOf(err); err != nil && a != s3.OtherVersion && a != s3.Conflict {
		return fmt.Errorf("%s: %w, and not 412", what, err)
	}
	return refused(what, err)
}

// answer is what the server said to a request of no client.
type answer struct {
	status int
	header http.Header
	body   string
}

func (a answer) String() string {
	code := between(a.body, "<Code>", "</Code>")
	return strings.TrimSpace(fmt.Sprintf("%d %s", a.status, code))
}

func (a answer) ok() bool { return a.status < http.StatusMultipleChoices }

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, ok := strings.Cut(s, to)
	if !ok {
		return ""
	}
	return s
}

// request is one as no client would write it. Its URL stands on the wire as it is given.
type request struct {
	method, url string
	header      map[string]string
	body        string
}

// send sends a request. An error is that of the network: each answer is one.
func (x *suite) send(ctx context.Context, q request) (answer, error) {
	r, err := x.build(ctx, q)
	if err != nil {
		return answer{}, err
	}
	return x.do(r)
}

func (x *suite) build(ctx context.Context, q request) (*http.Request, error) {
	r, err := http.NewRequestWithContext(ctx, q.method, q.url, bytes.NewReader([]byte(q.body)))
	if err != nil {
		return nil, err
	}
	for name, value := range q.header {
		if strings.EqualFold(name, "Host") {
			r.Host = value
			continue
		}
		r.Header.Set(name, value)
	}
	return r, nil
}

func (x *suite) do(r *http.Request) (answer, error) {
	resp, err := x.http.Do(r)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, maxBody))
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return answer{}, err
	}
	return answer{resp.StatusCode, resp.Header, string(b)}, nil
}

// signed sends a request that is signed with the keys of a session. The path of its URL is signed as
// it is written.
func (x *suite) signed(ctx context.Context, s databox.Session, q request) (answer, error) {
	r, err := x.build(ctx, q)
	if err != nil {
		return answer{}, err
	}
	sum := sha256.Sum256([]byte(q.body))
	r.Header.Set("X-Amz-Content-Sha256", hex.EncodeToString(sum[:]))
	return x.do(signer.SignV4(*r, s.AccessKeyID, s.SecretAccessKey, s.SessionToken, x.Region))
}

// rootSession are the installation's keys in the form of a session.
func (x *suite) rootSession() databox.Session {
	return databox.Session{AccessKeyID: x.Keys.AccessKeyID, SecretAccessKey: x.Keys.SecretAccessKey}
}

// at is the URL of a key, encoded as S3 wants it.
func (x *suite) at(bucket, key string) string {
	return x.Endpoint + "/" + bucket + "/" + encode(key)
}

// encode is a key in a path: each byte but those that need none, and "/".
func encode(key string) string {
	parts := strings.Split(key, "/")
	for i, p := range parts {
		parts[i] = strings.ReplaceAll(url.QueryEscape(p), "+", "%20")
	}
	return strings.Join(parts, "/")
}

// presign is a link as the gateway makes one.
func presign(ctx context.Context, c *minio.Client, method, bucket, key string, life time.Duration, q url.Values,
	signed http.Header) (string, error) {
	u, err := c.PresignHeader(ctx, method, bucket, key, life, q, signed)
	if err != nil {
		return "", fmt.Errorf("signing a link: %w", err)
	}
	return u.String(), nil
}

// short is a key as it is told.
func short(key string) string {
	const most = 60
	if len(key) > most {
		return fmt.Sprintf("%q… (%d bytes)", key[:most], len(key))
	}
	return fmt.Sprintf("%q", key)
}
