// Package limited bounds the connections of a server, so that nobody takes all of them, or all of
// the process's memory, by opening many and sending little.
package limited

import (
	"net"
	"sync"
)

// Listen accepts at most so many connections at once, in all and of one address. Those beyond are
// closed: whoever means well tries again.
func Listen(l net.Listener, total, ofOne int) net.Listener {
	return &listener{Listener: l, total: total, ofOne: ofOne, open: map[string]int{}}
}

type listener struct {
	net.Listener
	total, ofOne int

	mu   sync.Mutex
	all  int
	open map[string]int // by address
}

func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err // a listener's own
		}
		address := c.RemoteAddr().String()
		if host, _, err := net.SplitHostPort(address); err == nil {
			address = host
		}
		if l.add(address) {
			return &connection{Conn: c, end: func() { l.remove(address) }}, nil
		}
		_ = c.Close() // nothing was read from it or written to it
	}
}

func (l *listener) add(address string) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.all >= l.total || l.open[address] >= l.ofOne {
		return false
	}
	l.all++
	l.open[address]++
	return true
}

func (l *listener) remove(address string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.all--
	if l.open[address]--; l.open[address] == 0 {
		delete(l.open, address)
	}
}

type connection struct {
	net.Conn
	once sync.Once
	end  func()
}

func (c *connection) Close() error {
	c.once.Do(c.end)
	return c.Conn.Close() // a connection's own
}
