package s3

import (
	"fmt"
	"net/url"
	"os"
	"sync"
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
	return &Box{Client: c, Bucket: s.Bucket, Prefix: s.Prefix, Usage: s.Usage}, nil
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
