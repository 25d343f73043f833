// Package settings follows the two things that an operator gives the controller as files: unip.yaml
// (ConfigMap unip-config) and the installation's S3 keys (Secret unip-s3). Both mounts are
// optional, so that the controller starts without them and can say what is missing.
//
// Kubelet brings a changed ConfigMap or Secret to a running pod within about a minute; Follow
// notices it within PollEvery. A changed unip.yaml that cannot be read is reported and the one
// before stays in force.
package settings

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"
	"github.com/minio/minio-go/v7/pkg/credentials"

	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/names"
	"github.com/unip-knative/unip/translate/installation"
)

// PollEvery is how often the files are looked at. They are tiny, and a watch over kubelet's links
// is harder to get right than a look.
const PollEvery = 10 * time.Second

// maxFile bounds what is read of each file; a ConfigMap is at most 1 MiB.
const maxFile = 1 << 20

// The files of the S3 keys, named as the Secret's keys.
const (
	accessKeyFile = "accessKeyId"
	secretKeyFile = "secretAccessKey"
	tokenFile     = "webhookToken"
)

// Settings is what is in force now.
type Settings struct {
	Config installation.Config
	// Keys are the installation's S3 keys. When they could not be read, KeysErr says why.
	Keys    s3.Keys
	KeysErr error
	// WebhookToken is what the S3 server sends with its notifications; empty when the Secret has
	// none, and then none is taken.
	WebhookToken string
}

// Removal is how a bucket of the server is removed within a budget.
func (s Settings) Removal(budget time.Duration) s3.Removal {
	return s3.Removal{Budget: budget, OneByOne: s.Config.S3.Dialect == installation.Ceph}
}

// SessionLife is how long a session is asked to live that signs no links.
func (s Settings) SessionLife() time.Duration {
	return time.Duration(s.Config.S3.SessionSeconds) * time.Second
}

// STS is where sessions come from.
func (s Settings) STS() s3.STS {
	at := s.Config.S3
	return s3.STS{Endpoint: at.STSEndpoint(), Region: at.Region, RoleARN: at.STS.RoleARN, Parent: s.Keys,
		NoDelimiter: at.Dialect == installation.SeaweedFS, NoColons: at.Dialect == installation.Ceph}
}

// Client is the installation's own S3 client. The error is KeysErr while there are no keys.
func (s Settings) Client(transport http.RoundTripper) (*minio.Client, error) {
	if s.KeysErr != nil {
		return nil, s.KeysErr
	}
	return s.ClientWith(credentials.NewStaticV4(s.Keys.AccessKeyID, s.Keys.SecretAccessKey, ""), transport)
}

// ClientWith is a client of the same server with other keys.
func (s Settings) ClientWith(c *credentials.Credentials, transport http.RoundTripper) (*minio.Client, error) {
	u, err := url.Parse(s.Config.S3.Endpoint)
	if err != nil {
		return nil, fmt.Errorf("S3 endpoint %q: %w", s.Config.S3.Endpoint, err)
	}
	m, err := minio.New(u.Host, &minio.Options{
		Creds: c, Secure: u.Scheme == "https", Region: s.Config.S3.Region, Transport: transport,
		MaxRetries: 2, // the queues try again; more here would only hold a worker
	})
	if err != nil {
		return nil, fmt.Errorf("S3 endpoint %q: %w", s.Config.S3.Endpoint, err)
	}
	return m, nil
}

// Store is the installation's S3 as it is at the beginning of a pass.
type Store struct {
	Settings
	*minio.Client
	Transport http.RoundTripper // that of the client
}

// Open gives the S3 that is in force now. The error is KeysErr while there are no keys.
func (s *Source) Open(transport http.RoundTripper) (Store, error) {
	out := Store{Settings: s.Current(), Transport: transport}
	var err error
	out.Client, err = out.Settings.Client(transport)
	return out, err
}

// Source reads and follows the files.
type Source struct {
	config, keys string

	mu      sync.RWMutex
	cur     Settings
	bad     string // the last error of unip.yaml, to be logged once
	changed func()
}

// Open reads the files for the first time. A missing unip.yaml is the defaults; a wrong one is an
// error.
func Open(configFile, keysDir string) (*Source, error) {
	s := &Source{config: configFile, keys: keysDir, changed: func() {}}
	c, err := readConfig(configFile)
	if err != nil {
		return nil, err
	}
	s.cur.Config = c
	s.cur.Keys, s.cur.KeysErr = readKeys(keysDir)
	s.cur.WebhookToken = readToken(keysDir)
	return s, nil
}

// Current is what is in force now.
func (s *Source) Current() Settings {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.cur
}

// OnChange sets what Follow calls after every change, in place of what was set before; it must not
// block for long.
func (s *Source) OnChange(f func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.changed = f
}

// Follow looks at the files until ctx ends.
func (s *Source) Follow(ctx context.Context) error {
	t := time.NewTicker(PollEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
			if s.reload() {
				s.mu.RLock()
				changed := s.changed
				s.mu.RUnlock()
				changed()
			}
		}
	}
}

// reload reports whether anything that is in force has changed.
func (s *Source) reload() bool {
	c, err := readConfig(s.config)
	keys, keysErr := readKeys(s.keys)
	s.mu.Lock()
	defer s.mu.Unlock()
	next := Settings{Config: c, Keys: keys, KeysErr: keysErr, WebhookToken: readToken(s.keys)}
	if err != nil {
		next.Config = s.cur.Config
		if err.Error() != s.bad {
			slog.Error("unip.yaml is not valid; the one before stays in force", "error", err)
		}
		s.bad = err.Error()
	} else {
		s.bad = ""
	}
	same := reflect.DeepEqual(next.Config, s.cur.Config) && next.Keys == s.cur.Keys &&
		(next.KeysErr == nil) == (s.cur.KeysErr == nil)
	s.cur = next
	if !same {
		slog.Info("settings changed", "s3.endpoint", next.Config.S3.Endpoint, "s3.keys", next.KeysErr == nil)
	}
	return !same
}

func readConfig(file string) (installation.Config, error) {
	b, err := readBounded(file)
	if errors.Is(err, os.ErrNotExist) {
		return installation.Parse(nil)
	}
	if err != nil {
		return installation.Config{}, fmt.Errorf("reading unip.yaml: %w", err)
	}
	return installation.Parse(b)
}

func readKeys(dir string) (s3.Keys, error) {
	var k s3.Keys
	for _, f := range []struct {
		name string
		to   *string
	}{{accessKeyFile, &k.AccessKeyID}, {secretKeyFile, &k.SecretAccessKey}} {
		b, err := readBounded(filepath.Join(dir, f.name))
		if errors.Is(err, os.ErrNotExist) {
			return s3.Keys{}, fmt.Errorf("the Secret unip-s3 (namespace %s, keys %s and %s) is missing",
				names.SystemNamespace, accessKeyFile, secretKeyFile)
		}
		if err != nil {
			return s3.Keys{}, fmt.Errorf("reading the S3 keys: %w", err)
		}
		if *f.to = strings.TrimSpace(string(b)); *f.to == "" {
			return s3.Keys{}, fmt.Errorf("the Secret unip-s3 has an empty key %s", f.name)
		}
	}
	return k, nil
}

// readToken is empty when there is none.
func readToken(dir string) string {
	b, err := readBounded(filepath.Join(dir, tokenFile))
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}

func readBounded(file string) ([]byte, error) {
	f, err := os.Open(file)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return nil, err
	}
	if len(b) > maxFile {
		return nil, fmt.Errorf("%s is larger than %d bytes", file, maxFile)
	}
	return b, nil
}
