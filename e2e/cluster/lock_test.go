package main

import (
	"context"
	"path/filepath"
	"testing"
)

func TestLock(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "bin", "x.lock")
	unlock, err := lock(t.Context(), file)
	if err != nil {
		t.Fatal(err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := lock(ended, file); err == nil {
		t.Fatal("two hold the lock")
	}
	got := make(chan error, 1)
	go func() {
		unlock, err := lock(t.Context(), file)
		if err == nil {
			unlock()
		}
		got <- err
	}()
	unlock()
	if err := <-got; err != nil {
		t.Error(err)
	}
}
