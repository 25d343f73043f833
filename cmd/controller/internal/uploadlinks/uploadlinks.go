// Package uploadlinks knows whether the S3 server stands what strangers try with upload links. It
// tries that itself, by some requests: before the first link, when the server or the keys change, and
// every hour, for a server is upgraded without a word.
//
// Sessions are alike for all boxes, and are tried in a bucket of the controller's own. Where there is
// no STS each box has a pair of keys that signs its links, which is tried in the box's bucket: what the
// server lets that user do is the operator's to say, and may be another thing for each.
package uploadlinks

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/cmd/controller/internal/settings"
	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/needs"
	"github.com/unip-knative/unip/eventing/databox/s3"
	"github.com/unip-knative/unip/eventing/databox/s3/check"
	"github.com/unip-knative/unip/translate/installation"
)

const (
	// tryEvery is how long what was found holds.
	tryEvery = time.Hour
	// tryAgain is the pause after a try that was not answered, for boxes wait for it one after the other.
	tryAgain = time.Minute
	// tryTimeout bounds a try: a box's pass waits for it.
	tryTimeout = 40 * time.Second
)

// Signer is who signs a box's links where there is no STS, and in which bucket; the zero value are
// sessions.
type Signer struct {
	Keys   s3.Keys
	Bucket string
}

// Guard remembers what was found.
type Guard struct {
	// Bucket is one of the controller's own.
	Bucket func(context.Context) (string, error)
	// Transport carries the requests, which are made to be refused: nobody counts these answers.
	Transport http.RoundTripper

	turn  sync.Mutex
	found map[string]*found // by the signer's bucket
}

type found struct {
	s3     installation.S3
	keys   s3.Keys
	signer Signer
	reason string
	until  time.Time
}

// Closed says why no upload link of a signer may be given, "" where they may. The error is that the
// server, or the API server, does not answer now.
func (g *Guard) Closed(ctx context.Context, store settings.Store, by Signer) (reason string, err error) {
	if g == nil {
		return "", nil
	}
	g.turn.Lock()
	defer g.turn.Unlock()
	now := store.Settings
	known := g.found[by.Bucket]
	if known != nil && (known.s3 != now.Config.S3 || known.keys != now.Keys || known.signer != by) {
		known = nil
	}
	if known != nil && time.Now().Before(known.until) {
		return known.reason, nil
	}
	failed, err := g.try(ctx, store, by)
	if errors.Is(err, check.ErrWritesNothing) { // which the operator may mend, in S3 and at any time
		return "whoever signs links may not write into " + by.Bucket + ", so that nothing could be tried: " +
			err.Error(), nil
	}
	switch {
	case err != nil && known != nil:
		slog.Warn("whether upload links are safe could not be tried again; what was found holds", "error", err)
		known.until = time.Now().Add(tryAgain)
		return known.reason, nil
	case err != nil:
		return "", fmt.Errorf("trying whether upload links are safe: %w", err)
	}
	reason = told(failed)
	g.remember(by, &found{s3: now.Config.S3, keys: now.Keys, signer: by, reason: reason,
		until: time.Now().Add(tryEvery)})
	slog.Info("it was tried what strangers do with upload links", "s3.endpoint", now.Config.S3.Endpoint,
		"box", by.Bucket, "closed", reason)
	return reason, nil
}

// remember also forgets what nobody has asked for since long: of boxes that have gone.
func (g *Guard) remember(by Signer, f *found) {
	if g.found == nil {
		g.found = map[string]*found{}
	}
	maps.DeleteFunc(g.found, func(_ string, f *found) bool { return time.Since(f.until) > tryEvery })
	g.found[by.Bucket] = f
}

func (g *Guard) try(ctx context.Context, store settings.Store, by Signer) ([]needs.Result, error) {
	ctx, cancel := context.WithTimeoutCause(ctx, tryTimeout, errors.New("the S3 server takes too long"))
	defer cancel()
	server, bucket := Server(store.Settings, g.Transport), by.Bucket
	server.Links = by.Keys
	if bucket == "" {
		var err error
		if bucket, err = g.Bucket(ctx); err != nil {
			return nil, err
		}
	}
	return check.UploadLinks(ctx, server, bucket)
}

// Server is the installation's S3 server as the suite tries it.
func Server(now settings.Settings, transport http.RoundTripper) check.Server {
	at := now.Config.S3
	s := check.Server{Endpoint: at.Endpoint, Region: at.Region, Keys: now.Keys, Buckets: at.Buckets,
		Transport: transport}
	if !at.STS.None {
		hc := &http.Client{Transport: transport}
		s.Session = func(ctx context.Context, policy string, life time.Duration) (databox.Session, error) {
			return now.STS().Session(ctx, hc, policy, life)
		}
	}
	if at.NotificationARN != "" {
		s.Notify = func(ctx context.Context, c *minio.Client, bucket string) error {
			_, err := s3.EnsureNotification(ctx, c, bucket, at.NotificationARN)
			return err
		}
	}
	return s
}

// told is the reason in a sentence.
func told(failed []needs.Result) string {
	var all []string
	for _, r := range failed {
		all = append(all, r.Check+": "+r.Answer)
	}
	if len(all) == 0 {
		return ""
	}
	return "the S3 server lets through what a stranger tries with an upload link (" + strings.Join(all, "; ") + ")"
}
