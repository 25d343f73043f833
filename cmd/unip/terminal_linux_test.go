//go:build integration

package main

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// untilEcho waits until the terminal shows what is typed, or does not.
func (x *terminal) untilEcho(t *testing.T, want bool) {
	t.Helper()
	for deadline := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		state, err := unix.IoctlGetTermios(int(x.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		if (state.Lflag&unix.ECHO != 0) == want {
			return
		}
		if time.Now().After(deadline) {
			t.Fatalf("the terminal's echo stays %t", !want)
		}
	}
}
