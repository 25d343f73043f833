package files

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

// Box is an open box: one client that looks at files and deletes them, and two that do nothing but
// sign links. No session may do more than its client is for: a link is as good as what signed it,
// for MinIO obeys headers that the link does not sign.
type Box struct {
	*s3.Box
	gets, puts signer
	// Dataset is the developer's area of a box of another module: it can be read, and no user has
	// files in it.
	Dataset bool
}

// signer signs links for the storage as callers see it.
type signer struct {
	*minio.Client
	session string
}

// life is how long a link of the signer works that is asked to work for d: not beyond the session.
// Without one that is good the error is databox.ErrNoSession.
func (s signer) life(d time.Duration) (time.Duration, error) {
	session, err := databox.ReadSession(s.session)
	if err != nil {
		return 0, err
	}
	if end := session.Expiration; !end.IsZero() {
		d = min(d, time.Until(end))
	}
	if d = d.Truncate(time.Second); d < time.Second { // S3's least
		return 0, fmt.Errorf("%w: the last one has ended", databox.ErrNoSession)
	}
	return d, nil
}

// withheld reports that there are no keys on purpose.
func (s signer) withheld() bool {
	_, err := databox.ReadSession(s.session)
	_, withheld := errors.AsType[*databox.WithheldError](err)
	return withheld
}

// Boxes opens boxes from a folder that has one folder with sessions for each (files.json,
// get-links.json, put-links.json), and keeps them open. One whose session tells of another place,
// as when a dataset's folder becomes another one, is opened anew.
type Boxes struct {
	Dir string
	// Prefix is what the names of boxes have before those of the folders.
	Prefix string
	// PublicEndpoint is the storage as callers see it; empty is what the session says.
	PublicEndpoint string
	// Dataset reports boxes that are datasets.
	Dataset func(box string) bool

	mu     sync.Mutex
	open   map[string]*Box
	looked map[string]*s3.Box
}

// Open opens a box; the error is databox.ErrNoSession while a session of it is not there.
func (b *Boxes) Open(name string) (*Box, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	looked, err := b.lookLocked(name)
	if x, ok := b.open[name]; ok && x.Box == looked {
		return x, nil
	}
	if err != nil {
		return nil, err
	}
	x := &Box{Box: looked, Dataset: b.Dataset != nil && b.Dataset(name)}
	if x.gets, err = b.signer(name, databox.GetLinks); err != nil {
		return nil, err
	}
	if !x.Dataset {
		if x.puts, err = b.signer(name, databox.PutLinks); err != nil {
			return nil, err
		}
	}
	if b.open == nil {
		b.open = map[string]*Box{}
	}
	b.open[name] = x
	return x, nil
}

// Look opens a box only to look at files.
func (b *Boxes) Look(name string) (*s3.Box, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.lookLocked(name)
}

func (b *Boxes) lookLocked(name string) (*s3.Box, error) {
	x, err := s3.Reopen(b.looked[name], b.session(name, databox.Files), nil)
	if err != nil {
		return nil, err
	}
	if b.looked == nil {
		b.looked = map[string]*s3.Box{}
	}
	b.looked[name] = x
	return x, nil
}

func (b *Boxes) session(name string, use databox.Access) string {
	return filepath.Join(b.Dir, strings.TrimPrefix(name, b.Prefix), string(use)+".json")
}

func (b *Boxes) signer(name string, use databox.Access) (signer, error) {
	file := b.session(name, use)
	s, err := databox.ReadSession(file)
	if _, withheld := errors.AsType[*databox.WithheldError](err); err != nil && !withheld { // it may come yet
		return signer{}, err
	}
	s.Endpoint = cmp.Or(b.PublicEndpoint, s.PublicEndpoint, s.Endpoint)
	c, err := s3.NewClient(s, credentials.New(following{file}))
	if err != nil {
		return signer{}, fmt.Errorf("box %s: %w", name, err)
	}
	return signer{c, file}, nil
}

// following reads the session's file for each signature: it is renewed under a running gateway.
type following struct{ file string }

func (f following) Retrieve() (credentials.Value, error) { return f.RetrieveWithCredContext(nil) }

func (f following) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	s, err := databox.ReadSession(f.file)
	if err != nil {
		return credentials.Value{}, err
	}
	return credentials.Value{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey,
		SessionToken: s.SessionToken, SignerType: credentials.SignatureV4}, nil
}

func (following) IsExpired() bool { return true }

func logStorage(err error) {
	if os.IsTimeout(err) {
		slog.Warn("the storage is slow", "error", err)
		return
	}
	slog.Error("the storage does not do what it should", "error", err)
}
