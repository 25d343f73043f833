package storage

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	"github.com/unip-knative/unip/eventing/databox"
	"github.com/unip-knative/unip/eventing/databox/s3"
)

const (
	// mounted is how long a session's file may be missing at the beginning: kubelet mounts the
	// Secret before the container starts, unless it is being replaced at that moment.
	mounted = 30 * time.Second
	// renewal is how long a session that has ended waits for the next one. The controller renews
	// each at half of its life, and kubelet brings it within a minute or two; longer means that the
	// controller has been away.
	renewal = 10 * time.Minute
	// lookEvery is the pause between two looks at a session's file.
	lookEvery = 200 * time.Millisecond
)

// Sessions are the S3 sessions of one container: files of a folder. The controller renews them
// while the stage runs, and whoever works with them goes on with the new ones.
type Sessions struct {
	dir string

	mu   sync.Mutex
	open map[string]*session
}

// OpenSessions gives the sessions of a folder. Their files are opened when they are needed.
func OpenSessions(dir string) *Sessions { return &Sessions{dir: dir, open: map[string]*session{}} }

// session is one of them, with a client that signs with what its file holds.
type session struct {
	*minio.Client
	path string

	mu    sync.Mutex
	taken databox.Session // what it signs with
}

// session opens a session, or finds it open.
func (s *Sessions) session(ctx context.Context, name string) (*session, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if x := s.open[name]; x != nil {
		return x, nil
	}
	x := &session{path: filepath.Join(s.dir, name)}
	err := poll(ctx, mounted, func() (bool, error) {
		box, err := s3.Open(x.path, x.adopt)
		if errors.Is(err, databox.ErrNoSession) {
			return false, nil
		}
		if err == nil {
			x.Client = box.Client
		}
		return true, err
	})
	if errors.Is(err, errNotInTime) {
		return nil, fmt.Errorf("%s: %w", x.path, databox.ErrNoSession)
	}
	if err != nil {
		return nil, err
	}
	s.open[name] = x
	return x, nil
}

func (x *session) adopt(s databox.Session) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.taken = s
}

func (x *session) current() databox.Session {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.taken
}

// isOver reports an answer of S3 to a session whose time is over. Some answers do not say why they
// refuse (those to HEAD have no body): there the clock decides.
func (x *session) isOver(err error) bool {
	if errors.Is(err, databox.ErrNoSession) {
		return true // its file is being replaced
	}
	if s3.AnswerOf(err) == s3.SessionOver {
		return true
	}
	end := x.current().Expiration
	return s3.IsRefused(err) && !end.IsZero() && time.Now().After(end)
}

// next waits until the file holds another session than before.
func (x *session) next(ctx context.Context, before databox.Session) error {
	slog.Warn("the S3 session has ended; waiting for the next one",
		"session", filepath.Base(x.path), "ended", before.Expiration)
	err := poll(ctx, renewal, func() (bool, error) {
		now, err := databox.ReadSession(x.path)
		return err == nil && (now.AccessKeyID != before.AccessKeyID || now.SessionToken != before.SessionToken), nil
	})
	if errors.Is(err, errNotInTime) {
		return fmt.Errorf("the S3 session has ended, and none has come for %s", renewal)
	}
	return err
}

var errNotInTime = errors.New("not in time")

// poll asks until there is an answer, for so long.
func poll(ctx context.Context, long time.Duration, ask func() (bool, error)) error {
	for end := time.Now().Add(long); ; {
		if done, err := ask(); done || err != nil {
			return err
		}
		if time.Now().After(end) {
			return errNotInTime
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(lookEvery):
		}
	}
}

// tries is how often one transfer is begun; minio-go repeats requests by itself, this is for bodies
// that break off.
const tries = 5

// Try calls transfer with the client of a session until it works, fails for good, or has been tried
// often enough; between tries it waits longer and longer, up to 2 s. A session that has ended is no
// try: when the next one is there, the transfer goes on.
func (s *Sessions) Try(ctx context.Context, name string, transfer func(*minio.Client) error) error {
	x, err := s.session(ctx, name)
	if err != nil {
		return err
	}
	pause := 100 * time.Millisecond
	for i := 1; ; {
		before := x.current()
		err := transfer(x.Client)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if x.isOver(err) {
			if err := x.next(ctx, before); err != nil {
				return err
			}
			continue
		}
		if err = Classify(err); !Retry(err) || i == tries {
			return err
		}
		i++
		select {
		case <-ctx.Done():
			return err
		case <-time.After(pause):
			pause = min(2*pause, 2*time.Second)
		}
	}
}
