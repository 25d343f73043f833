//go:build integration

package main

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/unip-knative/unip/e2e/freeport"
)

const prometheusConfig = `global: {scrape_interval: 1s, evaluation_interval: 1s}
rule_files: [%q]
scrape_configs:
  - job_name: unip-controller
    scheme: https
    tls_config: {insecure_skip_verify: true}
    authorization: {credentials_file: %q}
    static_configs: [{targets: [%q]}]
`

// isScraped has a real Prometheus get the metrics with the token of an account that may, and evaluate
// the rules of config/monitoring on them.
func (c *cluster) isScraped(t *testing.T, token string) {
	t.Helper()
	program := os.Getenv("UNIP_PROMETHEUS")
	if program == "" {
		t.Fatal("UNIP_PROMETHEUS must name Prometheus' program: run this by make test-integration")
	}
	dir := t.TempDir()
	rules, err := filepath.Abs(filepath.Join(monitoring, "rules.yaml"))
	must(t, err)
	bearer, config := filepath.Join(dir, "token"), filepath.Join(dir, "prometheus.yaml")
	must(t, os.WriteFile(bearer, []byte(token), 0o600))
	must(t, os.WriteFile(config, fmt.Appendf(nil, prometheusConfig, rules, bearer, c.metrics), 0o600))
	address := freeport.Address(t)
	cmd := exec.Command(program, "--config.file="+config, "--storage.tsdb.path="+filepath.Join(dir, "data"),
		"--web.listen-address="+address)
	cmd.Stdout, cmd.Stderr = t.Output(), t.Output()
	must(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	ask := func(path string, into any) error {
		resp, err := http.Get("http://" + address + "/api/v1/" + path)
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		return json.NewDecoder(resp.Body).Decode(into)
	}
	for _, query := range []string{"unip_controller_leading == 1", `up{job="unip-controller"} == 1`} {
		eventually(t, "Prometheus has "+query, func() error {
			var found struct{ Data struct{ Result []any } }
			err := ask("query?query="+url.QueryEscape(query), &found)
			if err == nil && len(found.Data.Result) != 1 {
				err = fmt.Errorf("%d series", len(found.Data.Result))
			}
			return err
		})
	}
	eventually(t, "the rules are evaluated", func() error {
		var loaded struct {
			Data struct {
				Groups []struct {
					Rules []struct{ Name, Health, State, LastError string }
				}
			}
		}
		if err := ask("rules?type=alert", &loaded); err != nil {
			return err
		}
		n := 0
		for _, g := range loaded.Data.Groups {
			for _, r := range g.Rules {
				if n++; r.Health != "ok" || r.State != "inactive" {
					return fmt.Errorf("%s is %s, %s: %s", r.Name, r.Health, r.State, r.LastError)
				}
			}
		}
		if n < 10 {
			return fmt.Errorf("%d alerts", n)
		}
		return nil
	})
}
