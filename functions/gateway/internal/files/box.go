package files

import (
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
)

// Box is an open box: one client for the storage as pods see it, one that signs links for the storage as callers see it.
type Box struct {
	*databox.Box
	Public *minio.Client
	// ReadOnly is a dataset of another module.
	ReadOnly bool
	session  string
}

// Expires is when the session ends, and with it every link; zero when it is not known.
func (b *Box) Expires() time.Time {
	s, err := databox.ReadSession(b.session)
	if err != nil {
		return time.Time{}
	}
	return s.Expiration
}

// Boxes opens boxes from a folder that has one folder with a session for each, and keeps them open.
type Boxes struct {
	Dir string
	// Prefix is what the names of boxes have before those of the folders.
	Prefix string
	// PublicEndpoint is the storage as callers see it; empty is what the session says.
	PublicEndpoint string
	// ReadOnly reports boxes that are datasets.
	ReadOnly func(box string) bool

	mu   sync.Mutex
	open map[string]*Box
}

// Open opens a box; the error is databox.ErrNoSession while its session is not there.
func (b *Boxes) Open(name string) (*Box, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if x, ok := b.open[name]; ok {
		return x, nil
	}
	session := filepath.Join(b.Dir, strings.TrimPrefix(name, b.Prefix), databox.SessionKey)
	box, err := databox.Open(session, nil)
	if err != nil {
		return nil, err
	}
	s, err := databox.ReadSession(session)
	if err != nil {
		return nil, err
	}
	s.Endpoint = firstOf(b.PublicEndpoint, s.PublicEndpoint, s.Endpoint)
	public, err := databox.NewClient(s, credentials.New(following{session}))
	if err != nil {
		return nil, fmt.Errorf("box %s: %w", name, err)
	}
	x := &Box{Box: box, Public: public, session: session, ReadOnly: b.ReadOnly != nil && b.ReadOnly(name)}
	if b.open == nil {
		b.open = map[string]*Box{}
	}
	b.open[name] = x
	return x, nil
}

func firstOf(all ...string) string {
	for _, s := range all {
		if s != "" {
			return s
		}
	}
	return ""
}

// following reads the session's file for each signature: it is renewed under a running gateway.
type following struct{ file string }

func (f following) Retrieve() (credentials.Value, error) { return f.RetrieveWithCredContext(nil) }

func (f following) RetrieveWithCredContext(*credentials.CredContext) (credentials.Value, error) {
	s, err := databox.ReadSession(f.file)
	if err != nil {
		return credentials.Value{}, err
	}
	return credentials.Value{AccessKeyID: s.AccessKeyID, SecretAccessKey: s.SecretAccessKey, SessionToken: s.SessionToken, SignerType: credentials.SignatureV4}, nil
}

func (following) IsExpired() bool { return true }

func logStorage(err error) {
	if os.IsTimeout(err) {
		slog.Warn("the storage is slow", "error", err)
		return
	}
	slog.Error("the storage does not do what it should", "error", err)
}
