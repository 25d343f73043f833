package s3

import (
	"fmt"
	"net/url"
	"os"
	"sync"
	"sync/atomic"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/unip-knative/unip/eventing/databox"
)

// Box is an open box: a client that always signs with the newest session in its file.
type Box struct {
	*minio.Client
	Bucket string
	// Prefix is what all keys of the box begin with: see databox.Session.
	Prefix string
	// Usage is where it stands how full the box is; nil for a box that nobody counts.
	Usage *databox.UsageRef

	room room

	session string       // its file
	place   place        // as the session said when the box was opened
	seen    atomic.Int64 // the file's modification time when it was compared
}

// place is what a session says besides its keys.
type place struct {
	endpoint, region, bucket, prefix string
	usage                            databox.UsageRef
}

func placeOf(s databox.Session) place {
	p := place{endpoint: s.Endpoint, region: s.Region, bucket: s.Bucket, prefix: s.Prefix}
	if s.Usage != nil {
		p.usage = *s.Usage
	}
	return p
}

// Reopen is a box that is kept open, while its session tells of the same place, else the box opened
// anew: a dataset's folder may become another one, and the S3 server as well. box is nil at first.
// One whose session cannot be read stays open.
func Reopen(box *Box, path string, opened func(databox.Session), options ...Option) (*Box, error) {
	if box != nil && !box.moved() {
		return box, nil
	}
	return Open(path, opened, options...)
}

func (b *Box) moved() bool {
	info, err := os.Stat(b.session)
	if err != nil {
		return false
	}
	changed := info.ModTime().UnixNano()
	if changed == b.seen.Load() {
		return false
	}
	s, err := databox.ReadSession(b.session)
	if err != nil {
		return false
	}
	if placeOf(s) == b.place {
		b.seen.Store(changed)
		return false
	}
	return true
}

// Open opens the box of the session file at path. The file is looked at again for every request and
// read again when it has changed, so that renewed credentials are taken up without a restart;
// opened, when it is not nil, is told of each session that is taken up. The error is
// databox.ErrNoSession while there is no file.
func Open(path string, opened func(databox.Session), options ...Option) (*Box, error) {
	s, err := databox.ReadSession(path)
	if err != nil {
		return nil, err
	}
	c, err := NewClient(s, credentials.New(&file{path: path, opened: opened}), options...)
	if err != nil {
		return nil, err
	}
	return &Box{Client: c, Bucket: s.Bucket, Prefix: s.Prefix, Usage: s.Usage, session: path, place: placeOf(s)}, nil
}

// Option changes how a client behaves.
type Option func(*minio.Options)

// NewClient makes a client for the session's endpoint.
func NewClient(s databox.Session, creds *credentials.Credentials, options ...Option) (*minio.Client, error) {
	u, err := url.Parse(s.Endpoint)
	if err != nil || u.Host == "" {
		return nil, fmt.Errorf("S3 endpoint %q is not a URL", s.Endpoint)
	}
	all := &minio.Options{
		Creds: creds, Secure: u.Scheme == "https", Region: s.Region, BucketLookup: minio.BucketLookupPath,
		MaxRetries: 5,
	}
	for _, o := range options {
		o(all)
	}
	c, err := minio.New(u.Host, all)
	if err != nil {
		return nil, fmt.Errorf("opening S3 at %s: %w", s.Endpoint, err)
	}
	return c, nil
}

// Static are the credentials of one session, which do not change.
func Static(s databox.Session) *credentials.Credentials {
	return credentials.NewStaticV4(s.AccessKeyID, s.SecretAccessKey, s.SessionToken)
}

// file is a credentials provider that follows a session file.
type file struct {
	path   string
	opened func(databox.Session)

	mu      sync.Mutex
	seen    time.Time // the file's modification time when it was read; kubelet replaces the file, so any change counts
	expires time.Time
}

// Retrieve reads the file.
func (f *file) Retrieve() (credentials.Value, error) { return f.RetrieveWithCredContext(nil) }

// RetrieveWithCredContext reads the file.
func (f *file) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	if err != nil {
		return credentials.Value{}, fmt.Errorf("%s: %w", f.path, databox.ErrNoSession)
	}
	s, err := databox.ReadSession(f.path)
	if err != nil {
		return credentials.Value{}, err
	}
	f.seen, f.expires = info.ModTime(), s.Expiration
	if f.opened != nil {
		f.opened(s)
	}
	return credentials.Value{
		AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, SessionToken: s.SessionToken,
		Expiration: s.Expiration, SignerType: credentials.SignatureV4,
	}, nil
}

// IsExpired reports that the file is another one than the one that was read. A session whose time
// is over is tried all the same: the storage says so better than a clock of ours.
func (f *file) IsExpired() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	info, err := os.Stat(f.path)
	return f.seen.IsZero() || err == nil && !info.ModTime().Equal(f.seen)
}
