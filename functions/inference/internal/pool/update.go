package pool

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
)

// Model is one version of the component's model.
type Model struct {
	Path string // as the workers see it
	ETag string // tells it from others
	Size int64  // bytes
}

// LoadError is a model that a fresh worker could not load; the workers that were there still serve
// theirs.
type LoadError struct{ Why string }

func (e *LoadError) Error() string { return "the newer model cannot be loaded: " + e.Why }

// errCrowded: memory does not hold another worker.
var errCrowded = errors.New("memory does not hold a newer model beside the older")

// trial is a newer model while it is brought into service.
type trial struct {
	model *Model
	// inPlace: a worker ends before the one that takes its place loads the model. Else that one
	// comes first. The pool's mutex guards it.
	inPlace bool
	fared   chan error // room for one: how the worker fared that was to load it
}

// Swap brings a newer model into service, one worker after the other. A fresh worker loads it, and
// takes calls from then on; an older one takes no more, answers those that it has, and ends. The
// older one comes first with inPlace, and where memory does not hold both. When Swap returns nil,
// no worker is left that has another model. Else none has this one, unless the context has ended.
//
// take bounds how long a worker may take to load it. Errors: *LoadError, the context's, others that
// say nothing of the model.
func (p *Pool) Swap(ctx context.Context, m Model, inPlace bool, take time.Duration) error {
	t := &trial{model: &m, inPlace: inPlace, fared: make(chan error, 1)}
	p.mu.Lock()
	grown := max(0, m.Size-p.current.Size)
	p.trial = t
	p.mu.Unlock()
	defer p.endTrial(t)
	for {
		old, begun := p.behind(t)
		switch {
		case old == nil && begun:
			return nil
		case old == nil:
			return errAlone
		}
		err := p.next(ctx, t, old, grown, take)
		switch {
		case err == nil:
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, errCrowded) && !p.isInPlace(t):
			p.log.Info("workers are changed one at a time", "reason", err)
			p.setInPlace(t)
		case !p.begun(t):
			return err
		default: // others serve it: it is not the model's fault, and the supervisor tries again
			p.log.Warn("a worker did not load the newer model", "error", err)
			p.setInPlace(t)
		}
	}
}

// next has one worker more serve the newer model, and waits until an older one has ended.
func (p *Pool) next(ctx context.Context, t *trial, old *worker, grown int64, take time.Duration) error {
	select {
	case err := <-t.fared:
		p.log.Debug("a worker that nobody waited for", "error", err)
	default:
	}
	if p.isInPlace(t) {
		p.retire(old)
		if err := await(ctx, old.gone); err != nil {
			return err
		}
	} else if err := p.tell(frame.Spare, map[string]any{"grown": grown}); err != nil {
		return err
	}
	timer := time.NewTimer(take)
	defer timer.Stop()
	select {
	case err := <-t.fared:
		if err != nil {
			return err
		}
	case <-timer.C:
		p.endLoading(t)
		return &LoadError{fmt.Sprintf("a worker has not loaded it in %s", take)}
	case <-ctx.Done():
		return ctx.Err()
	}
	for _, w := range p.leavers() {
		if err := await(ctx, w.gone); err != nil {
			return err
		}
	}
	return nil
}

func await(ctx context.Context, gone <-chan struct{}) error {
	select {
	case <-gone:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// modelFor is what a fresh worker is to load; the pool's mutex is held.
func (p *Pool) modelFor(w *worker) *Model {
	if t := p.trial; t != nil && (w.spare || t.inPlace) {
		return t.model
	}
	return p.current
}

// passed takes note of a worker that has loaded its model, if it has one; the pool's mutex is held.
// old is the worker whose place it takes. A spare worker whose trial is over, or for whom no older
// one is left, is not wanted.
func (p *Pool) passed(w *worker) (old *worker, wanted bool) {
	t := p.trial
	if t == nil || w.model != t.model {
		return nil, !w.spare
	}
	p.current = t.model
	if w.spare {
		if old = p.older(t); old == nil {
			t.tell(nil)
			return nil, false
		}
		w.spare = false
		return old, true
	}
	if t.inPlace {
		t.tell(nil)
	}
	return nil, true
}

// exchange puts a spare worker in the place of an older one.
func (p *Pool) exchange(old, by *worker) {
	if err := p.tell(frame.Replace, map[string]any{"pid": old.pid, "by": by.pid}); err != nil {
		p.log.Error("replacing a worker", "worker", old.pid, "error", err)
	}
	p.retire(old)
	p.fared(nil) // not before: the next worker to be replaced would be this one again
}

// retire has a worker take no more calls, and end when it has answered.
func (p *Pool) retire(w *worker) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !w.leaving() {
		close(w.retired)
	}
}

// leavers are the workers that answer their last calls.
func (p *Pool) leavers() []*worker {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []*worker
	for _, w := range p.workers {
		if w.leaving() {
			all = append(all, w)
		}
	}
	return all
}

// behind is a worker that has an older model; begun says that workers which come are given the
// newer one.
func (p *Pool) behind(t *trial) (old *worker, begun bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.older(t), p.current == t.model
}

// older is a worker that has an older model and is not to end already, rather one that takes no
// calls yet; the pool's mutex is held.
func (p *Pool) older(t *trial) *worker {
	var found *worker
	for _, w := range p.workers {
		if w.model != nil && w.model != t.model && !w.leaving() && (found == nil || found.serving) {
			found = w
		}
	}
	return found
}

func (p *Pool) begun(t *trial) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.current == t.model
}

func (p *Pool) isInPlace(t *trial) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return t.inPlace
}

func (p *Pool) setInPlace(t *trial) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t.inPlace = true
}

// endTrial forgets the trial; workers that come are given what is in service.
func (p *Pool) endTrial(t *trial) {
	p.mu.Lock()
	p.trial = nil
	p.mu.Unlock()
	p.endLoading(t)
}

// endLoading ends spare workers, and those that still load a model that is not in service.
func (p *Pool) endLoading(t *trial) {
	p.mu.Lock()
	var all []*worker
	for _, w := range p.workers {
		if w.spare || w.model == t.model && p.current != t.model {
			all = append(all, w)
		}
	}
	p.mu.Unlock()
	for _, w := range all {
		p.kill(w, EndReplaced)
	}
}

// unfit ends a worker that did not come as far as taking calls. When it was to try a newer model,
// that is what is wrong.
func (p *Pool) unfit(w *worker, err error) {
	p.mu.Lock()
	t := p.trial
	tries := t != nil && (w.spare || w.model == t.model)
	p.mu.Unlock()
	p.drop(w, err)
	if !tries {
		return
	}
	if errors.Is(err, io.EOF) { // it has not said why: its supervisor does
		select {
		case e := <-w.exit:
			err = errors.New("its process " + e.describe(w.why()))
		case <-time.After(p.times.news):
		}
	}
	t.tell(&LoadError{err.Error()})
}

// tell says how a worker fared, unless that is known already.
func (t *trial) tell(err error) {
	select {
	case t.fared <- err:
	default:
	}
}

// fared tells a trial, if there is one, of a worker that will not come.
func (p *Pool) fared(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.trial != nil {
		p.trial.tell(err)
	}
}

// news reads what the supervisor says next of a worker's end; that memory does not hold another
// worker is told the trial.
func (p *Pool) news(s *worker, e *exit) error {
	for {
		f, err := frame.Read(s.in)
		if err != nil {
			return err
		}
		switch f.Type {
		case frame.Exit:
			return json.Unmarshal(f.Body, e)
		case frame.Crowded:
			var c struct {
				Why string `json:"why"`
			}
			_ = json.Unmarshal(f.Body, &c) // without the reason the type says enough
			p.fared(fmt.Errorf("%w: %s", errCrowded, c.Why))
		case frame.Revealed:
			var r struct {
				Number int64 `json:"number"`
			}
			if err := json.Unmarshal(f.Body, &r); err != nil {
				return err
			}
			p.revealed(r.Number)
		default:
			return fmt.Errorf("a frame of type %d from the supervisor", f.Type)
		}
	}
}
