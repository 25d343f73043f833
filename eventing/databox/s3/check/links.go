package check

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// linkLife is that of links that shall work.
const linkLife = 5 * time.Minute

// session makes a session of a grant in the suite's bucket, or gives the one that was made before.
func (x *suite) session(ctx context.Context, grants ...databox.Grant) (databox.Session, error) {
	if x.Session == nil {
		return databox.Session{}, notTried("there is no STS")
	}
	policy, err := databox.Policy(grants...)
	if err != nil {
		return databox.Session{}, err
	}
	if s, ok := x.held[policy]; ok {
		return s, nil
	}
	s, err := x.Session(ctx, policy, sessionLife)
	if err != nil {
		return s, err
	}
	if x.held == nil {
		x.held = map[string]databox.Session{}
	}
	x.held[policy] = s
	return s, nil
}

// signer signs links as the gateway does: with a session for just that, or where there is no STS with
// the pair of keys for it, or the keys themselves.
func (x *suite) signer(ctx context.Context, use databox.Access) (*minio.Client, error) {
	switch {
	case use == databox.PutLinks && x.Links != (s3.Keys{}):
		return x.client(databox.Session{AccessKeyID: x.Links.AccessKeyID, SecretAccessKey: x.Links.SecretAccessKey})
	case x.Session == nil:
		return x.root, nil
	}
	s, err := x.session(ctx, databox.Grant{Bucket: x.bucket, Access: use})
	if err != nil {
		return nil, fmt.Errorf("a session for %s: %w", use, err)
	}
	return x.client(s)
}

// writesAtAll sees that a link does what it is for: of keys that may do nothing no attack gets through.
func (x *suite) writesAtAll(ctx context.Context) error {
	link, err := x.writes(ctx, x.userKey("ann", "own"), nil)
	if err != nil {
		return err
	}
	a, err := x.send(ctx, request{method: http.MethodPut, url: link, body: "mine"})
	if err == nil && !a.ok() {
		err = fmt.Errorf("%w (%v)", ErrWritesNothing, a)
	}
	return err
}

// writes is a link that writes the key.
func (x *suite) writes(ctx context.Context, key string, signed http.Header) (string, error) {
	c, err := x.signer(ctx, databox.PutLinks)
	if err != nil {
		return "", err
	}
	return presign(ctx, c, http.MethodPut, x.bucket, key, linkLife, nil, signed)
}

// reads is a link that reads the key.
func (x *suite) reads(ctx context.Context, method, key string, q url.Values) (string, error) {
	c, err := x.signer(ctx, databox.GetLinks)
	if err != nil {
		return "", err
	}
	return presign(ctx, c, method, x.bucket, key, linkLife, q, nil)
}

func getLink(ctx context.Context, x *suite) error {
	for _, name := range []string{"read/plain.txt", "read/отчёт a+b %41.html"} {
		key := x.userKey("ann", name)
		if err := x.put(ctx, x.bucket, key, "read by a link"); err != nil {
			return err
		}
		for _, method := range []string{http.MethodGet, http.MethodHead} {
			link, err := x.reads(ctx, method, key, url.Values{"response-content-disposition": {"attachment"}})
			if err != nil {
				return err
			}
			a, err := x.send(ctx, request{method: method, url: link})
			switch {
			case err != nil:
				return err
			case !a.ok() || method == http.MethodGet && a.body != "read by a link":
				return fmt.Errorf("%s of %s: %v", method, short(key), a)
			case a.header.Get("Content-Disposition") != "attachment":
				return errors.New("response-content-disposition is not obeyed")
			}
		}
	}
	return nil
}

func putLink(ctx context.Context, x *suite) error {
	for _, name := range []string{"written/plain.txt", "written/отчёт a+b %41.csv"} {
		key := x.userKey("ann", name)
		link, err := x.writes(ctx, key, nil)
		if err != nil {
			return err
		}
		a, err := x.send(ctx, request{method: http.MethodPut, url: link, body: "written by a link",
			header: map[string]string{"Content-Type": "text/csv"}})
		if err != nil {
			return err
		}
		if !a.ok() {
			return fmt.Errorf("PUT of %s: %v", short(key), a)
		}
		if err := x.holds(ctx, key, "written by a link"); err != nil {
			return err
		}
	}
	return nil
}

func putLength(ctx context.Context, x *suite) error {
	key := x.userKey("ann", "length")
	link, err := x.writes(ctx, key, http.Header{"Content-Length": {"5"}})
	if err != nil {
		return err
	}
	for _, body := range []string{"1234", "123456", strings.Repeat("x", 1<<20)} {
		a, err := x.send(ctx, request{method: http.MethodPut, url: link, body: body})
		if err == nil && a.ok() {
			return fmt.Errorf("a link for 5 bytes takes %d: %v", len(body), a)
		}
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPut, link, io.NopCloser(strings.NewReader("123456")))
	if err != nil {
		return err
	}
	r.ContentLength = -1 // in chunks, with no length
	if a, err := x.do(r); err == nil && a.ok() {
		return fmt.Errorf("a link for 5 bytes takes chunks: %v", a)
	}
	a, err := x.send(ctx, request{method: http.MethodPut, url: link, body: "12345"})
	if err != nil {
		return err
	}
	if !a.ok() {
		return fmt.Errorf("a link for 5 bytes does not take 5: %v", a)
	}
	return x.holds(ctx, key, "12345")
}

// linkEnds waits for the end of a link of a second.
func linkEnds(ctx context.Context, x *suite) error {
	key := x.userKey("ann", "ends")
	if err := x.put(ctx, x.bucket, key, "soon over"); err != nil {
		return err
	}
	c, err := x.signer(ctx, databox.GetLinks)
	if err != nil {
		return err
	}
	link, err := presign(ctx, c, http.MethodGet, x.bucket, key, time.Second, nil, nil)
	if err != nil {
		return err
	}
	later, err := url.Parse(link)
	if err != nil {
		return err
	}
	q := later.Query()
	q.Set("X-Amz-Expires", strconv.Itoa(int(linkLife/time.Second)))
	later.RawQuery = q.Encode()
	if a, err := x.send(ctx, request{method: http.MethodGet, url: later.String()}); err != nil || a.ok() {
		return errors.Join(err, errors.New("who holds a link can make its end later"))
	}
	const patience = 10 * time.Second // the server's clock may be behind
	for deadline := time.Now().Add(patience); ; {
		a, err := x.send(ctx, request{method: http.MethodGet, url: link})
		switch {
		case err != nil:
			return err
		case !a.ok():
			return nil
		case time.Now().After(deadline):
			return fmt.Errorf("a link of a second still works after %v", patience)
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(500 * time.Millisecond):
		}
	}
}

func notifications(ctx context.Context, x *suite) error {
	if x.Notify == nil {
		return notTried("s3.notificationARN is empty")
	}
	if err := x.own(); err != nil {
		return err
	}
	return x.Notify(ctx, x.root, x.bucket)
}

// told waits for what the server tells of an upload, and of a deletion.
func told(ctx context.Context, x *suite) error {
	switch {
	case x.Told == nil:
		return notTried("what the server tells comes to the controller, not here: look at the conditions of boxes, " +
			"and at the metric unip_notifications_total")
	case !x.made:
		return notTried("the bucket is not the suite's own")
	case x.Notify != nil:
		if err := x.Notify(ctx, x.root, x.bucket); err != nil {
			return err
		}
	}
	key := x.userKey("ann", "told/отчёт a+b %41.csv")
	if err := x.put(ctx, x.bucket, key, "told"); err != nil {
		return err
	}
	if err := x.Told(ctx, x.bucket, key, false); err != nil {
		return fmt.Errorf("of an upload: %w", err)
	}
	if err := x.root.RemoveObject(ctx, x.bucket, key, minio.RemoveObjectOptions{}); err != nil && !s3.IsMissing(err) {
		return err
	}
	if err := x.Told(ctx, x.bucket, key, true); err != nil {
		return fmt.Errorf("of a deletion: %w", err)
	}
	return nil
}
