//go:build e2e

package main

import (
	"testing"
	"time"
)

// A short plan: nothing is lost, doubled, changed or left behind.
func TestChaos(t *testing.T) {
	report, err := run(t.Context(), options{seed: 9, runs: 12, patience: 8 * time.Minute,
		jetstream: onJetStream()})
	if report != nil {
		t.Logf("\n%s", report.Markdown())
	}
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range report.Findings {
		t.Error(f)
	}
	if len(report.Missed) > 0 {
		t.Errorf("faults that could not be made: %q", report.Missed)
	}
}
