package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/unip-knative/unip/e2e/chaos/judge"
	"github.com/unip-knative/unip/e2e/chaos/plan"
	"github.com/unip-knative/unip/e2e/chaos/work"
	"github.com/unip-knative/unip/e2e/live"
)

// ledger asks for what the plan wants, as a user's client does, and writes down what was accepted:
// a PUT that S3 has answered with 200, a call that was answered with 202. What was not accepted is
// tried again.
type ledger struct {
	world *world
	seed  uint64

	mu      sync.Mutex
	uploads map[string]*judge.Upload // by file
	calls   map[string]*judge.Call   // by key
	asked   int
	refused []string // what was never accepted
}

func newLedger(w *world, seed uint64) *ledger {
	return &ledger{world: w, seed: seed, uploads: map[string]*judge.Upload{}, calls: map[string]*judge.Call{}}
}

const (
	// answer is how long a client waits for an answer, patience how long it tries again.
	answer   = 20 * time.Second
	patience = 5 * time.Minute
)

// all asks for the loads, each at its time, and returns when each was accepted.
func (l *ledger) all(ctx context.Context, loads []plan.Load) {
	begun := time.Now()
	var wg sync.WaitGroup
	for _, x := range loads {
		if !sleep(ctx, time.Until(begun.Add(x.At))) {
			break
		}
		wg.Go(func() { l.ask(ctx, x) })
	}
	wg.Wait()
}

func sleep(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// ask asks for one.
func (l *ledger) ask(ctx context.Context, x plan.Load) {
	l.mu.Lock()
	l.asked++
	l.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	var err error
	if x.Call {
		err = l.call(ctx, x)
	} else {
		_, err = l.upload(ctx, x.Pipeline, work.Folder(x.Pipeline), x)
	}
	if err != nil && !errors.Is(ctx.Err(), context.Canceled) {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.refused = append(l.refused, fmt.Sprintf("%s: %v", x, err))
	}
}

// upload puts a file until that is accepted, and says where it lies.
func (l *ledger) upload(ctx context.Context, pipeline, folder string, x plan.Load) (string, error) {
	var last error
	for n := 0; ctx.Err() == nil; n++ {
		name := x.Name
		if n > 0 && !x.Same {
			name = strings.TrimSuffix(name, ".csv") + fmt.Sprintf("-again%d.csv", n)
		}
		content := work.Content(l.seed, name, x.Lines)
		file := work.Box + "/" + folder + name
		sent, err := l.put(ctx, file, content)
		if sent {
			want := judge.Want{}
			if pipeline != "" {
				want = work.Want(pipeline, name, content)
			}
			l.note(file, want, err == nil)
		}
		if err == nil {
			return file, nil
		}
		if !sent {
			n-- // the name is free
		}
		last = err
		sleep(ctx, time.Second)
	}
	return "", last
}

// note writes a PUT down.
func (l *ledger) note(file string, want judge.Want, accepted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	u := l.uploads[file]
	if u == nil {
		u = &judge.Upload{File: file, At: time.Now(), Want: want}
		l.uploads[file] = u
	}
	if !accepted {
		u.Open++
		return
	}
	if u.Accepted == 0 {
		u.At = time.Now()
	}
	u.Accepted++
}

// put gets a link and puts the bytes there. Sent is whether they may have come to S3.
func (l *ledger) put(ctx context.Context, file string, content []byte) (sent bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	a, err := l.world.module.Call(ctx, live.Request{Method: http.MethodPut, Host: l.world.host,
		Path: "/" + judged + "/files/" + file + "?overwrite=true", User: work.User, Password: work.Password})
	if err != nil {
		return false, err
	}
	var link struct {
		Put string `json:"presigned_put_url"`
	}
	if err := json.Unmarshal(a.Body, &link); err != nil || link.Put == "" {
		return false, fmt.Errorf("the file API answered %d: %.200s", a.Status, a.Body)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPut, link.Put, bytes.NewReader(content))
	if err != nil {
		return false, err
	}
	resp, err := l.world.http.Do(req)
	var dial *net.OpError
	if err != nil {
		return !errors.As(err, &dial) || dial.Op != "dial", err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return true, fmt.Errorf("S3 answered %s", resp.Status)
	}
	return true, nil
}

// call puts the input and asks for a run until both were accepted; then it cancels the run where the
// plan says so.
func (l *ledger) call(ctx context.Context, x plan.Load) error {
	file, err := l.upload(ctx, "", "in/", x)
	if err != nil {
		return err
	}
	name := file[strings.LastIndex(file, "/")+1:]
	c := &judge.Call{Key: x.Name, Want: work.Want(x.Pipeline, name, work.Content(l.seed, name, x.Lines))}
	if x.Cancel == 0 && x.Pipeline == work.Slow {
		c.Want.State = judge.Succeeded
	}
	l.mu.Lock()
	l.calls[x.Name] = c
	l.mu.Unlock()
	body, _ := json.Marshal(map[string]any{"inputs": map[string]string{"table": file}}) // texts always encode
	var last error
	for ctx.Err() == nil {
		var a struct {
			Run string `json:"run_id"`
		}
		status, err := l.post(ctx, "/"+x.Pipeline+"/run", x.Name, body, &a)
		last = err
		l.mu.Lock()
		if err == nil && status == http.StatusAccepted && a.Run != "" {
			c.Run, c.At = a.Run, time.Now()
		} else {
			c.Open = true
			last = errors.Join(err, fmt.Errorf("the call was answered %d", status))
		}
		l.mu.Unlock()
		if c.Run != "" {
			break
		}
		sleep(ctx, time.Second)
	}
	if c.Run == "" {
		return last
	}
	if x.Cancel > 0 && sleep(ctx, x.Cancel) {
		return l.cancel(ctx, c)
	}
	return nil
}

// cancel asks for the run's end until that is accepted.
func (l *ledger) cancel(ctx context.Context, c *judge.Call) error {
	var last error
	for ctx.Err() == nil {
		status, err := l.post(ctx, "/pipelines/runs/"+c.Run+"/cancel", "", nil, &struct{}{})
		if err == nil && (status == http.StatusAccepted || status == http.StatusOK) {
			l.mu.Lock()
			defer l.mu.Unlock()
			if status == http.StatusAccepted {
				c.Cancelled = time.Now()
			}
			return nil
		}
		last = errors.Join(err, fmt.Errorf("cancel was answered %d", status))
		sleep(ctx, time.Second)
	}
	return last
}

func (l *ledger) post(ctx context.Context, path, key string, body []byte, into any) (int, error) {
	ctx, cancel := context.WithTimeout(ctx, answer)
	defer cancel()
	h := http.Header{}
	if key != "" {
		h.Set("Idempotency-Key", key)
	}
	a, err := l.world.module.Call(ctx, live.Request{Method: http.MethodPost, Host: l.world.host,
		Path: "/" + judged + path, User: work.User, Password: work.Password, Header: h, Body: live.Raw(body)})
	if err != nil {
		return 0, err
	}
	if a.Status/100 == 2 {
		return a.Status, json.Unmarshal(a.Body, into)
	}
	return a.Status, fmt.Errorf("%.300s", a.Body)
}

// entries are what was asked for, as the judge wants it.
func (l *ledger) entries() ([]judge.Upload, []judge.Call) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var uploads []judge.Upload
	for _, file := range slices.Sorted(maps.Keys(l.uploads)) {
		uploads = append(uploads, *l.uploads[file])
	}
	var calls []judge.Call
	for _, key := range slices.Sorted(maps.Keys(l.calls)) {
		calls = append(calls, *l.calls[key])
	}
	return uploads, calls
}

func (l *ledger) counts() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	accepted, open := 0, 0
	for _, u := range l.uploads {
		if u.Want.Pipeline != "" {
			accepted += u.Accepted
			open += u.Open
		}
	}
	for _, c := range l.calls {
		if c.Run != "" {
			accepted++
		}
	}
	return fmt.Sprintf("asked %d, accepted %d, not answered %d", l.asked, accepted, open)
}
