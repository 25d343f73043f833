package main

import (
	"io"
	"net/http"
	"testing"
)

// scrape is what a Prometheus reads.
func scrape(t *testing.T, c *component) string {
	t.Helper()
	resp, err := http.Get(c.metrics + "/metrics")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}
