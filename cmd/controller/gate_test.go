//go:build integration

package main

import (
	"net"
	"sync"
	"testing"
)

// gate stands before a server. Through a closed one nothing goes: what is under way hangs, and who
// is new waits for an answer, as before a server that was stopped.
type gate struct {
	address string
	mu      sync.Mutex
	open    chan struct{} // closed while the gate is open
	conns   map[net.Conn]bool
}

func newGate(t *testing.T, server string) *gate {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	must(t, err)
	g := &gate{address: l.Addr().String(), open: make(chan struct{}), conns: map[net.Conn]bool{}}
	close(g.open)
	t.Cleanup(func() {
		_ = l.Close()
		g.cut()
	})
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go g.pass(c, server)
		}
	}()
	return g
}

// shut closes the gate.
func (g *gate) shut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.open = make(chan struct{})
}

// reopen ends what hung, as a server does that was started again, and lets what is new through.
func (g *gate) reopen() {
	g.cut()
	g.mu.Lock()
	defer g.mu.Unlock()
	close(g.open)
}

func (g *gate) cut() {
	g.mu.Lock()
	defer g.mu.Unlock()
	for c := range g.conns {
		_ = c.Close()
	}
	clear(g.conns)
}

func (g *gate) keep(c net.Conn) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.conns[c] = true
}

// wait returns when the gate is open.
func (g *gate) wait() {
	g.mu.Lock()
	open := g.open
	g.mu.Unlock()
	<-open
}

func (g *gate) pass(c net.Conn, server string) {
	g.keep(c)
	s, err := net.Dial("tcp", server)
	if err != nil {
		_ = c.Close()
		return
	}
	g.keep(s)
	one := func(to, from net.Conn) {
		defer to.Close()
		b := make([]byte, 32<<10)
		for {
			n, err := from.Read(b)
			if n > 0 {
				g.wait()
				if _, err := to.Write(b[:n]); err != nil {
					return
				}
			}
			if err != nil {
				return
			}
		}
	}
	go one(s, c)
	one(c, s)
}
