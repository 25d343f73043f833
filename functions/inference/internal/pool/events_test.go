package pool

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/unip-knative/unip/functions/inference/internal/frame"
)

// A caller who is slow to take an event uses up none of the function's time: the answer counts, though
// it comes when all of that time is over by the clock.
func TestASlowCallerUsesUpNoTimeOfTheFunction(t *testing.T) {
	t.Parallel()
	const limit = 500 * time.Millisecond
	p := newPod(t)
	w := p.worker(7)
	var taken []string
	call := Call{ID: "1", Event: func(output []byte) {
		taken = append(taken, string(output))
		if len(taken) == 2 {
			if err := frame.Write(w, frame.Frame{Type: frame.Answer, Body: []byte("the end")}); err != nil {
				t.Error(err)
			}
		} else if err := frame.Write(w, frame.Frame{Type: frame.Event, Body: []byte("second")}); err != nil {
			t.Error(err)
		}
		<-time.After(limit)
	}}
	done := make(chan Answer)
	go func() {
		a, err := p.Do(t.Context(), call, limit)
		if err != nil {
			t.Error(err)
		}
		done <- a
	}()
	p.gets(w, "1")
	if err := frame.Write(w, frame.Frame{Type: frame.Event, Body: []byte("first")}); err != nil {
		t.Fatal(err)
	}
	if a := <-done; string(a.Body) != "the end" || a.Took >= limit {
		t.Errorf("%q after %s of the function's time, which is less than the %s of the caller's", a.Body, a.Took, limit)
	}
	if len(taken) != 2 || taken[0] != "first" || taken[1] != "second" {
		t.Errorf("the caller has got %q", taken)
	}
}

// A caller's slowness is no excuse for the function: one that gives an event and then nothing more is
// killed when its own time is over.
func TestAFunctionThatHangsBehindAnEvent(t *testing.T) {
	t.Parallel()
	const limit = 50 * time.Millisecond
	p := newPod(t)
	w := p.worker(7)
	p.call(t.Context(), Call{ID: "1", Event: func([]byte) { <-time.After(limit) }}, limit)
	p.gets(w, "1")
	if err := frame.Write(w, frame.Frame{Type: frame.Event, Body: []byte("first")}); err != nil {
		t.Fatal(err)
	}
	p.killed(w, 7)
	p.came("1: " + ErrDeadline.Error())
}

// A worker that ends while its caller is slow is not waited for, though something that it has forked
// holds its connection open: the call's own time is far from over.
func TestAWorkerThatEndsBehindAnEvent(t *testing.T) {
	t.Parallel()
	p := newPod(t)
	w := p.worker(7)
	taking, took := make(chan struct{}), make(chan struct{})
	done := make(chan error)
	go func() {
		_, err := p.Do(t.Context(), Call{ID: "1", Event: func([]byte) { close(taking); <-took }}, time.Hour)
		done <- err
	}()
	p.gets(w, "1")
	if err := frame.Write(w, frame.Frame{Type: frame.Event, Body: []byte("first")}); err != nil {
		t.Fatal(err)
	}
	<-taking
	if err := frame.Write(p.supervisor, frame.Frame{Type: frame.Exit, Body: []byte(`{"pid":7,"code":3}`)}); err != nil {
		t.Fatal(err)
	}
	p.await("the news", func() bool { return p.State().Serving == 0 })
	close(took)
	ctx, stop := context.WithTimeout(t.Context(), 20*time.Second)
	defer stop()
	var died *DiedError
	select {
	case err := <-done:
		if !errors.As(err, &died) {
			t.Errorf("error %v", err)
		}
	case <-ctx.Done():
		t.Error("the call waits for an answer of a worker that is gone")
	}
}
