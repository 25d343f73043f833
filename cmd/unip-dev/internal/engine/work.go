package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/unip-knative/unip/eventing/printable"
	"github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/eventing/stage"
	transfer "github.com/unip-knative/unip/functions/stage/service"
)

// work is the attempt from its beginning to its end.
func (a *attempt) work(fetch *stage.FetchPlan, publish *stage.PublishPlan, c command) {
	defer a.cancel(nil)
	end := a.parts(fetch, publish, c)
	why, stopped := errors.AsType[errStopped](context.Cause(a.ctx))
	switch {
	case end.Part == run.Publish && end.ExitCode == 0:
	case stopped:
		end = a.engine.lost(why.Error())
	case a.ctx.Err() != nil: // the engine ends, which the next one says
		return
	}
	a.turn(func(f *facts) { f.Phase, f.End = run.Ended, end })
}

func (a *attempt) parts(fetch *stage.FetchPlan, publish *stage.PublishPlan, c command) *run.Attempt {
	leave, ok := a.findRoom()
	if !ok {
		return a.engine.lost("it was stopped")
	}
	defer leave()
	sessions, data := filepath.Join(a.dir, sessionDir), filepath.Join(a.dir, dataDir)
	if !publish.Complete {
		a.enter(run.Fetching)
		r, err := a.transfer(func(ctx context.Context) (stage.Result, error) {
			return transfer.Fetch(ctx, fetch, sessions, data)
		})
		if err != nil {
			return a.transferred(run.Fetch, r)
		}
		if end := a.runFunction(c); end != nil {
			return end
		}
	}
	a.enter(run.Publishing)
	r, err := a.transfer(func(ctx context.Context) (stage.Result, error) {
		return transfer.Publish(ctx, publish, sessions, data)
	})
	end := a.transferred(run.Publish, r)
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
		f.Phase, f.Since = run.Unplaced, a.engine.now()
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
func (a *attempt) transferred(part run.Part, r stage.Result) *run.Attempt {
	return &run.Attempt{Phase: run.Ended, Part: part, Since: a.engine.now(), ExitCode: 1,
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
		return a.engine.lost("it was stopped")
	}
	log, err := os.OpenFile(filepath.Join(a.dir, logFile), os.O_CREATE|os.O_WRONLY|os.O_APPEND, fileMode)
	var p *process
	if err == nil {
		p, err = launch(c, log)
		err = errors.Join(err, log.Close())
	}
	end := &run.Attempt{Phase: run.Ended, Part: run.Function}
	if err != nil {
		end.Since, end.Cause, end.ExitCode = a.engine.now(), run.Unstartable, 128
		end.Message = printable.Line(err.Error())
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
	end.Since, end.ExitCode = a.engine.now(), int32(p.code()) //nolint:gosec // an exit code is small
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
	end := &run.Attempt{Phase: run.Blocked, Part: run.Function, Since: a.engine.now(), Image: image, ImagePull: true,
		Hopeless: true, Message: printable.Summary(why.Error(), maxWords)}
	a.turn(func(f *facts) { f.Phase, f.End = run.Blocked, end })
	<-a.ctx.Done()
	return a.engine.lost("it was stopped")
}
