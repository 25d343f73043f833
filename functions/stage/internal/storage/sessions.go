package storage

import (
	"context"
	"errors"
	"fmt"
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
	// lookEvery is the pause between two looks at a session's file.
	lookEvery = 200 * time.Millisecond
)

// Sessions are the S3 sessions of one container: files of a folder. The controller renews them
// while the stage runs, and whoever works with them goes on with the new ones.
type Sessions struct {
	dir    string
	limits Limits

	mu   sync.Mutex
	open map[string]*session
}

// OpenSessions gives the sessions of a folder. Their files are opened when they are needed.
func OpenSessions(dir string, l Limits) *Sessions {
	return &Sessions{dir: dir, limits: l.withDefaults(), open: map[string]*session{}}
}

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
	var err error
	try := func() bool {
		var box *s3.Box
		box, err = s3.Open(x.path, x.adopt, s.limits.client)
		if err == nil {
			x.Client = box.Client
		}
		return !errors.Is(err, databox.ErrNoSession)
	}
	if stopped := wait(ctx, mounted, try); stopped != nil {
		return nil, stopped
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", x.path, err)
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

// renewed reports that the file holds another session than before.
func (x *session) renewed(before databox.Session) bool {
	now, err := databox.ReadSession(x.path)
	return err == nil && (now.AccessKeyID != before.AccessKeyID || now.SessionToken != before.SessionToken)
}

// wait waits for so long, or until there is what is waited for. The error is the context's.
func wait(ctx context.Context, long time.Duration, until func() bool) error {
	for end := time.Now().Add(long); !until(); {
		left := time.Until(end)
		if left <= 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-time.After(min(left, lookEvery)):
		}
	}
	return nil
}
