package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/unip-knative/unip/eventing/notification"
)

// toldWithin is how long the server may take to tell of a change.
const toldWithin = 20 * time.Second

// receiver takes what a server tells.
type receiver struct {
	url   string
	close func()

	mu    sync.Mutex
	all   []notification.Record
	wrong error
	news  chan struct{} // closed with each change, and made anew
}

func receive(parse func([]byte) ([]notification.Record, error)) (*receiver, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &receiver{url: "http://" + l.Addr().String() + "/", news: make(chan struct{})}
	server := &http.Server{ReadHeaderTimeout: 10 * time.Second, Handler: http.HandlerFunc(
		func(_ http.ResponseWriter, q *http.Request) {
			b, err := io.ReadAll(io.LimitReader(q.Body, notification.MaxBody+1))
			if err != nil || q.Method != http.MethodPost || len(b) == 0 {
				return
			}
			r.add(parse(b))
		})}
	r.close = func() { server.Close() }
	go func() { _ = server.Serve(l) }()
	return r, nil
}

func (r *receiver) add(records []notification.Record, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all = append(r.all, records...)
	if err != nil {
		r.wrong = err
	}
	close(r.news)
	r.news = make(chan struct{})
}

// wait waits until the server has told of a change.
func (r *receiver) wait(ctx context.Context, bucket, key string, removed bool) error {
	ctx, cancel := context.WithTimeout(ctx, toldWithin)
	defer cancel()
	for {
		r.mu.Lock()
		there := slices.ContainsFunc(r.all, func(x notification.Record) bool {
			return x.Bucket == bucket && x.Key == key && x.Removed == removed
		})
		news, wrong := r.news, r.wrong
		r.mu.Unlock()
		if there {
			return nil
		}
		select {
		case <-news:
		case <-ctx.Done():
			if wrong != nil {
				return fmt.Errorf("nothing that can be read was told within %v: %w", toldWithin, wrong)
			}
			return fmt.Errorf("nothing was told within %v", toldWithin)
		}
	}
}
