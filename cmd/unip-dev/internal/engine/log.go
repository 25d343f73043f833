package engine

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/unip-knative/unip/eventing/lastwords"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/runstorage"
	"github.com/unip-knative/unip/functions/gateway/service"
)

const (
	// mostLog is how long one may become while its process writes, and boundEvery the pause between
	// two looks at that.
	mostLog    = 64 << 20
	boundEvery = time.Second
	// maxWords bounds what a status tells of it.
	maxWords = 1 << 10
)

// boundLog waits until the process has ended, and cuts its log meanwhile where it becomes so long that
// it might fill the disk. What is written while it is cut may be lost.
func (a *attempt) boundLog(done <-chan struct{}) {
	tick := time.NewTicker(boundEvery)
	defer tick.Stop()
	for {
		select {
		case <-done:
			return
		case <-tick.C:
		}
		if err := a.cutLog(mostLog); err != nil {
			a.engine.Logger.Warn("a log is not cut", "attempt", a.name, "error", err)
		}
	}
}

// cutLog leaves the end of a log that is longer than that. Processes append to it, wherever it ends.
func (a *attempt) cutLog(most int64) error {
	name := filepath.Join(a.dir, logFile)
	info, err := os.Stat(name)
	if err != nil || info.Size() <= most {
		return err
	}
	end, err := a.tail()
	if err != nil {
		return err
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_APPEND, fileMode)
	if err != nil {
		return err
	}
	err = f.Truncate(0)
	if err == nil {
		_, err = f.Write(end)
	}
	return errors.Join(err, f.Close())
}

func (a *attempt) lastWords() string {
	text, err := a.tail()
	if err != nil {
		a.engine.Logger.Warn("the log of a stage that failed cannot be looked through", "attempt", a.name, "error", err)
	}
	return printable.Summary(lastwords.Of(string(text)), maxWords)
}

// tail is the end of the log.
func (a *attempt) tail() ([]byte, error) {
	f, err := os.Open(filepath.Join(a.dir, logFile))
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-runstorage.MaxLog), runstorage.MaxLog))
}

// saveLog puts the end of the log into the run bucket.
func (a *attempt) saveLog() error {
	text, err := a.tail()
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it never ran
	}
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(context.Background(), commitTimeout)
	defer cancel()
	return runstorage.PutLog(ctx, a.engine.s3, a.engine.bucket, a.facts.Run, a.facts.Stage, a.facts.Number, text)
}

// logEvery is the pause between two looks at a log that is followed.
const logEvery = 50 * time.Millisecond

// readLog reads what the process has written; with follow it waits for its beginning and for more.
func (a *attempt) readLog(ctx context.Context, follow bool) (io.ReadCloser, error) {
	for {
		f, err := os.Open(filepath.Join(a.dir, logFile))
		switch {
		case err == nil && follow:
			return &followed{ctx: ctx, file: f, attempt: a}, nil
		case err == nil:
			return f, nil
		case !errors.Is(err, fs.ErrNotExist):
			return nil, err
		}
		a.mu.Lock()
		ended, changed := a.facts.Phase == run.Ended || a.facts.Complete, a.changed
		a.mu.Unlock()
		switch {
		case ended:
			return nil, service.ErrNoLog
		case !follow:
			return nil, service.ErrNotBegun
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-changed:
		}
	}
}

// followed is a log that is read until its process has ended.
type followed struct {
	ctx     context.Context
	file    *os.File
	attempt *attempt
}

// Read reads what is there, or waits.
func (f *followed) Read(b []byte) (int, error) {
	for {
		over := f.attempt.written()
		n, err := f.file.Read(b)
		if n > 0 || err != nil && !errors.Is(err, io.EOF) {
			return n, err
		}
		if over {
			return 0, io.EOF
		}
		if err := f.again(); err != nil {
			return 0, err
		}
		select {
		case <-f.ctx.Done():
			return 0, f.ctx.Err()
		case <-time.After(logEvery):
		}
	}
}

// again goes on at the beginning of a log that was cut.
func (f *followed) again() error {
	info, err := f.file.Stat()
	if err != nil {
		return err
	}
	at, err := f.file.Seek(0, io.SeekCurrent)
	if err == nil && at > info.Size() {
		_, err = f.file.Seek(0, io.SeekStart)
	}
	return err
}

// Close closes the file.
func (f *followed) Close() error { return f.file.Close() }

// written reports that the process writes no more.
func (a *attempt) written() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.facts.Phase == run.Publishing || a.facts.Phase == run.Ended || a.ctx.Err() != nil && a.process == nil
}
