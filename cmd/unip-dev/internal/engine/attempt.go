package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/minio/minio-go/v7"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/lastwords"
	"github.com/unip-knative/unip/eventing/plan"
	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
	"github.com/unip-knative/unip/functions/gateway/service"
	transfer "github.com/unip-knative/unip/functions/stage/service"
)

// What lies in the folder of an attempt.
const (
	factsFile  = "attempt.json"
	logFile    = "log"
	dataDir    = "data"     // a folder for each variable
	workDir    = "work"     // the working folder: links to the module's code
	homeDir    = "home"     // HOME
	tmpDir     = "tmp"      // TMPDIR
	rootDir    = "root"     // of the file system of a process that sees some paths elsewhere
	sessionDir = "sessions" // of what brings and takes files
)

// reasonNoRoom is why a stage waits: on the disk, or among those that are at work.
const reasonNoRoom = "NoRoom"

// facts are what is known of an attempt, kept in its folder.
type facts struct {
	Run      string    `json:"run"`
	Stage    string    `json:"stage"`
	Number   int       `json:"number"`
	Complete bool      `json:"complete,omitempty"`
	Pipeline string    `json:"pipeline"`
	Made     time.Time `json:"made"`
	// Phase and Since: how far it had come.
	Phase run.Phase `json:"phase"`
	Since time.Time `json:"since"`
	// Wait says what it waits for while it has no place.
	Wait string `json:"wait,omitempty"`
	// End is set when it has ended.
	End *run.Attempt `json:"end,omitempty"`
}

// attempt is one attempt of a stage.
type attempt struct {
	engine *Engine
	name   string
	dir    string

	ctx    context.Context
	cancel context.CancelCauseFunc

	mu      sync.Mutex
	facts   facts
	process *process
	saved   bool          // its log is kept, or there is none
	changed chan struct{} // closed at the next change
}

// errStopped is why an attempt ends that was told to.
type errStopped string

func (e errStopped) Error() string { return string(e) }

// errClosing: the engine ends.
const errClosing = errStopped("unip dev was ended while it ran")

func (e *Engine) attemptDir(name string) string { return filepath.Join(e.Dir, "attempts", name) }

// findAttempts finds what a former engine has left. What was under way then is lost.
func (e *Engine) findAttempts() error {
	dir := filepath.Join(e.Dir, "attempts")
	found, err := os.ReadDir(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("the folder of attempts: %w", err)
	}
	for _, d := range found {
		a := &attempt{engine: e, name: d.Name(), dir: filepath.Join(dir, d.Name()), changed: make(chan struct{})}
		a.ctx, a.cancel = context.WithCancelCause(context.Background())
		a.cancel(errClosing)
		b, err := os.ReadFile(filepath.Join(a.dir, factsFile))
		if err != nil || json.Unmarshal(b, &a.facts) != nil { // it had not begun
			if err := os.RemoveAll(a.dir); err != nil {
				return fmt.Errorf("the folder of attempts: %w", err)
			}
			continue
		}
		if a.facts.End == nil {
			a.facts.End = lost(errClosing.Error())
		}
		a.facts.Phase = run.Ended
		e.attempts[a.name] = a
	}
	return nil
}

func lost(why string) *run.Attempt {
	return &run.Attempt{Phase: run.Ended, Part: run.Pod, Cause: run.Lost, Since: time.Now(), Message: why}
}

// begin makes an attempt. The answer says why that cannot be.
func (e *Engine) begin(r *runtimev1.PipelineRun, st *runtimev1.StageStatus, x run.StartAttempt) *run.Answer {
	never := func(err error) *run.Answer {
		return &run.Answer{ForGood: true, Message: printable.Line(err.Error())}
	}
	sessions, err := plan.MakeSessions(r, st)
	if err != nil {
		return never(err)
	}
	fetch, publish := plan.Transfers(r, st, x.Number, sessions)
	publish.Complete = x.Complete
	seconds := int64(x.Patience / time.Second)
	fetch.PatienceSeconds, publish.PatienceSeconds = seconds, seconds
	a := &attempt{engine: e, name: x.Name, dir: e.attemptDir(x.Name), changed: make(chan struct{})}
	a.facts = facts{Run: r.Name, Stage: st.Name, Number: x.Number, Complete: x.Complete, Pipeline: r.Spec.Pipeline,
		Made: time.Now(), Phase: run.Made}
	for i, out := range publish.Outputs {
		publish.Outputs[i].Paths = append(slices.Clone(out.Paths), filepath.Join(a.dir, dataDir, out.Name))
	}
	if err := errors.Join(fetch.Validate(), publish.Validate()); err != nil {
		return never(err)
	}
	var c command
	if !x.Complete {
		if c, err = e.commandOf(r, st, a.dir); err != nil {
			return never(err)
		}
	}
	if err := a.makeFolders(slices.Concat(sessions.Fetch, sessions.Publish)); err != nil {
		return &run.Answer{Reason: reasonNoRoom, Message: printable.Line(err.Error()), Again: waitAgain}
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.ctx == nil || e.ctx.Err() != nil {
		return &run.Answer{Message: "unip dev ends", Again: time.Hour}
	}
	a.ctx, a.cancel = context.WithCancelCause(e.ctx)
	e.attempts[x.Name] = a
	e.all.Go(func() { a.work(fetch, publish, c) })
	return nil
}

// makeFolders makes the attempt's folder. Its facts come last: without them it has not begun.
func (a *attempt) makeFolders(sessions []string) error {
	if err := os.RemoveAll(a.dir); err != nil {
		return err
	}
	for _, name := range []string{dataDir, workDir, homeDir, tmpDir, rootDir, sessionDir} {
		if err := os.MkdirAll(filepath.Join(a.dir, name), folderMode); err != nil {
			return err
		}
	}
	s := a.engine.Session
	s.Bucket, s.Prefix, s.Usage = a.engine.bucket, "", nil
	b, err := json.Marshal(s)
	if err != nil {
		return err
	}
	for _, name := range sessions {
		if err := os.WriteFile(filepath.Join(a.dir, sessionDir, name), b, fileMode); err != nil {
			return err
		}
	}
	if err := linkCode(a.engine.Code, filepath.Join(a.dir, workDir), a.engine.Dir); err != nil {
		return err
	}
	return a.keep()
}

// linkCode puts links to what lies in the folder of the code into the working folder, where a
// container has its code as well. What is new there is written beside it.
func linkCode(code, into, own string) error {
	if code == "" {
		return nil
	}
	all, err := os.ReadDir(code)
	if err != nil {
		return err
	}
	for _, f := range all {
		at := filepath.Join(code, f.Name())
		if strings.HasPrefix(f.Name(), ".") || at == own {
			continue
		}
		if err := os.Symlink(at, filepath.Join(into, f.Name())); err != nil {
			return err
		}
	}
	return nil
}

// keep writes the facts down.
func (a *attempt) keep() error {
	b, err := json.Marshal(a.facts)
	if err != nil {
		return err
	}
	return replaceFile(filepath.Join(a.dir, factsFile), b)
}

// turn changes the facts, and has the run looked at.
func (a *attempt) turn(change func(*facts)) {
	a.mu.Lock()
	change(&a.facts)
	err := a.keep()
	close(a.changed)
	a.changed = make(chan struct{})
	a.mu.Unlock()
	if err != nil {
		a.engine.Logger.Warn("an attempt's state is not kept", "attempt", a.name, "error", err)
	}
	a.engine.wake(a.facts.Run)
}

func (a *attempt) enter(phase run.Phase) {
	a.turn(func(f *facts) { f.Phase, f.Since = phase, time.Now() })
}

// seen is the attempt in run's words.
func (a *attempt) seen() run.Attempt {
	a.mu.Lock()
	defer a.mu.Unlock()
	x := run.Attempt{Phase: a.facts.Phase, Since: a.facts.Since}
	if a.facts.End != nil {
		x = *a.facts.End
	}
	x.Made, x.Complete = a.facts.Made, a.facts.Complete
	switch x.Phase {
	case run.Unplaced:
		x.Reason, x.Message = reasonNoRoom, a.facts.Wait
	case run.Fetching:
		x.Part = run.Fetch
	case run.Working:
		x.Part = run.Function
	case run.Publishing:
		x.Part = run.Publish
	}
	return x
}

// work is the attempt from its beginning to its end.
func (a *attempt) work(fetch *stage.FetchPlan, publish *stage.PublishPlan, c command) {
	defer a.cancel(nil)
	end := a.parts(fetch, publish, c)
	why, stopped := errors.AsType[errStopped](context.Cause(a.ctx))
	switch {
	case end.Part == run.Publish && end.ExitCode == 0:
	case stopped:
		end = lost(why.Error())
	case a.ctx.Err() != nil: // the engine ends, which the next one says
		return
	}
	a.turn(func(f *facts) { f.Phase, f.End = run.Ended, end })
}

func (a *attempt) parts(fetch *stage.FetchPlan, publish *stage.PublishPlan, c command) *run.Attempt {
	leave, ok := a.findRoom()
	if !ok {
		return lost("it was stopped")
	}
	defer leave()
	sessions, data := filepath.Join(a.dir, sessionDir), filepath.Join(a.dir, dataDir)
	if !publish.Complete {
		a.enter(run.Fetching)
		r, err := a.transfer(func(ctx context.Context) (stage.Result, error) {
			return transfer.Fetch(ctx, fetch, sessions, data)
		})
		if err != nil {
			return transferred(run.Fetch, r)
		}
		if end := a.runFunction(c); end != nil {
			return end
		}
	}
	a.enter(run.Publishing)
	r, err := a.transfer(func(ctx context.Context) (stage.Result, error) {
		return transfer.Publish(ctx, publish, sessions, data)
	})
	end := transferred(run.Publish, r)
	if err == nil {
		end.ExitCode = 0
	}
	return end
}

// findRoom waits until so few stages are at work that this one may be, too; the first come first.
func (a *attempt) findRoom() (leave func(), ok bool) {
	room := a.engine.room
	leave = func() { <-room }
	select {
	case room <- struct{}{}:
		return leave, true
	default:
	}
	a.turn(func(f *facts) {
		f.Phase, f.Since = run.Unplaced, time.Now()
		f.Wait = fmt.Sprintf("%d stages are at work here", cap(room))
	})
	select {
	case room <- struct{}{}:
		return leave, true
	case <-a.ctx.Done():
		return nil, false
	}
}

// transfer brings or takes files; what panics there fails alone.
func (a *attempt) transfer(do func(context.Context) (stage.Result, error)) (r stage.Result, err error) {
	defer func() {
		if p := recover(); p != nil {
			r, err = stage.Result{}, fmt.Errorf("it panicked: %v", p)
			a.engine.Logger.Error("a transfer panicked", "attempt", a.name, "panic", p)
		}
	}()
	r, err = do(a.ctx)
	if err == nil {
		a.engine.asked(nil)
	}
	return transfer.Tell(r, err), err
}

// transferred is the end of what brings or takes files, as a failure.
func transferred(part run.Part, r stage.Result) *run.Attempt {
	return &run.Attempt{Phase: run.Ended, Part: part, Since: time.Now(), ExitCode: 1,
		Message: printable.Summary(r.Error, stage.MaxMessage), Retry: r.Retry, BoxFull: r.BoxFull, Files: r.Files,
		Bytes: r.Bytes, Kept: r.Kept, Waited: time.Duration(r.WaitedSeconds) * time.Second}
}

// runFunction runs the user's process; nil says that it has ended well.
func (a *attempt) runFunction(c command) *run.Attempt {
	if c.image != "" {
		if err := a.engine.pull(a.ctx, c.image); err != nil {
			return a.blocked(c.image, err)
		}
	}
	if a.ctx.Err() != nil {
		return lost("it was stopped")
	}
	log, err := os.OpenFile(filepath.Join(a.dir, logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, fileMode)
	var p *process
	if err == nil {
		p, err = launch(c, log)
		err = errors.Join(err, log.Close())
	}
	end := &run.Attempt{Phase: run.Ended, Part: run.Function}
	if err != nil {
		end.Since, end.Cause, end.ExitCode, end.Message = time.Now(), run.Unstartable, 128, printable.Line(err.Error())
		return end
	}
	a.mu.Lock()
	a.process = p
	a.mu.Unlock()
	a.enter(run.Working)
	stop := context.AfterFunc(a.ctx, p.end)
	killed := p.watchMemory(c.memory)
	a.boundLog(p.done)
	stop()
	p.kill()
	end.Since, end.ExitCode = time.Now(), int32(p.code()) //nolint:gosec // an exit code is small
	tooMuch := killed()
	if c.container != "" {
		// Some engines do not learn of it; who kills with 9 in a container that is bounded is the kernel.
		tooMuch = a.engine.outOfMemory(c.container) || c.bounded && end.ExitCode == 137 && a.ctx.Err() == nil
		if err := a.engine.removeContainers(c.container); err != nil {
			a.engine.Logger.Warn("a container stays", "error", err)
		}
	}
	switch {
	case tooMuch:
		end.Cause, end.ExitCode = run.OutOfMemory, 137
	case c.container != "" && end.ExitCode == engineFailed:
		end.Cause, end.Message = run.Unstartable, a.lastWords()
	case end.ExitCode == 0:
		return nil
	default:
		end.Message = a.lastWords()
	}
	return end
}

// blocked says that the image cannot be had, and waits until the attempt is stopped for that.
func (a *attempt) blocked(image string, why error) *run.Attempt {
	end := &run.Attempt{Phase: run.Blocked, Part: run.Function, Since: time.Now(), Image: image, ImagePull: true,
		Hopeless: true, Message: printable.Summary(why.Error(), maxWords)}
	a.turn(func(f *facts) { f.Phase, f.End = run.Blocked, end })
	<-a.ctx.Done()
	return lost("it was stopped")
}

const (
	// maxLog is what is kept of a log: its end.
	maxLog = 1 << 20
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
	return io.ReadAll(io.NewSectionReader(f, max(0, info.Size()-maxLog), maxLog))
}

// stop ends an attempt that goes on.
func (a *attempt) stop(why string) { a.cancel(errStopped(why)) }

func (a *attempt) ended() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.facts.Phase == run.Ended
}

// going are the attempts of a run that go on and that nobody has stopped.
func (e *Engine) going(r *runtimev1.PipelineRun) []string {
	var names []string
	for _, a := range e.attemptsOf(r.Name) {
		if !a.ended() && a.ctx.Err() == nil {
			names = append(names, a.name)
		}
	}
	return names
}

func (e *Engine) attemptsOf(name string) []*attempt {
	e.mu.Lock()
	defer e.mu.Unlock()
	var all []*attempt
	for _, a := range e.attempts {
		if a.facts.Run == name {
			all = append(all, a)
		}
	}
	return all
}

// removeAttempts keeps the logs of attempts whose end is in their run's status, and removes what
// those have left that ended well. What failed stays for a while, to be looked at.
func (e *Engine) removeAttempts(r *runtimev1.PipelineRun) {
	for _, a := range e.attemptsOf(r.Name) {
		known := !slices.ContainsFunc(r.Status.Stages, func(st runtimev1.StageStatus) bool {
			return st.Job == a.name && st.State == runtimev1.Running
		})
		if a.ended() && known {
			a.finish()
		}
	}
}

// finish keeps the log, in a goroutine of its own: no run waits for that.
func (a *attempt) finish() {
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.saved {
		return
	}
	a.saved = true
	e := a.engine
	e.all.Go(func() {
		err := a.saveLog()
		e.asked(err)
		if err != nil && e.goesOn() {
			e.Logger.Info("the log of a stage is not kept yet", "attempt", a.name, "error", err)
			a.mu.Lock()
			a.saved = false
			a.mu.Unlock()
			time.AfterFunc(waitAgain, func() { e.wake(a.facts.Run) })
			return
		}
		if end := a.seen(); end.Part == run.Publish && end.ExitCode == 0 && err == nil {
			e.removeAttempt(a)
		}
	})
}

func (e *Engine) goesOn() bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.ctx != nil && e.ctx.Err() == nil
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
	_, err = a.engine.s3.PutObject(ctx, a.engine.bucket, stage.LogKey(a.facts.Run, a.facts.Stage, a.facts.Number),
		strings.NewReader(string(text)), int64(len(text)),
		minio.PutObjectOptions{ContentType: "text/plain; charset=utf-8"})
	return err
}

func (e *Engine) removeAttempt(a *attempt) {
	e.mu.Lock()
	delete(e.attempts, a.name)
	e.mu.Unlock()
	if err := removeTree(a.dir); err != nil {
		e.Logger.Warn("the folder of an attempt stays", "attempt", a.name, "error", err)
	}
}

// removeTree removes a folder, also where a process has taken the rights to it away.
func removeTree(dir string) error {
	if os.RemoveAll(dir) == nil {
		return nil
	}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if d != nil && d.IsDir() {
			return os.Chmod(path, folderMode)
		}
		return nil // of others the removal says it
	})
	return errors.Join(err, os.RemoveAll(dir))
}

// removeOld removes what failed before a time, and tries again to keep logs that could not be.
func (e *Engine) removeOld(before time.Time) {
	e.mu.Lock()
	var all []*attempt
	for _, a := range e.attempts {
		all = append(all, a)
	}
	e.mu.Unlock()
	for _, a := range all {
		r, err := e.store.get(a.facts.Run)
		end := a.seen()
		switch {
		case end.Phase != run.Ended:
		case err != nil || end.Since.Before(before) && a.isSaved():
			e.removeAttempt(a)
		default:
			e.removeAttempts(r)
		}
	}
}

func (a *attempt) isSaved() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.saved
}

// endAttempts ends every process.
func (e *Engine) endAttempts() {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, a := range e.attempts {
		a.cancel(nil)
	}
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
