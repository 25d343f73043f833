// Package freeport finds ports of the loopback interface for servers that tests start.
package freeport

import (
	"fmt"
	"math/rand/v2"
	"net"
	"sync"
	"testing"
)

// given are the ports that this process has handed out.
var given sync.Map

// Find is a port that nobody listens on. It lies below those that the kernel gives to outgoing
// connections, which would take it before the server does that it is for, and no other call of this
// process gets it.
func Find(t testing.TB) int {
	t.Helper()
	for range 1000 {
		port := 10_000 + rand.IntN(20_000)
		if _, taken := given.LoadOrStore(port, true); taken {
			continue
		}
		l, err := net.Listen("tcp", fmt.Sprintf(":%d", port))
		if err != nil {
			continue // somebody listens
		}
		l.Close()
		return port
	}
	t.Fatal("no free port")
	return 0
}

// Address is such a port of 127.0.0.1.
func Address(t testing.TB) string {
	t.Helper()
	return fmt.Sprintf("127.0.0.1:%d", Find(t))
}
