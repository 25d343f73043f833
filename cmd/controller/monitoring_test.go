package main

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"sigs.k8s.io/yaml"
)

const monitoring = "../../config/monitoring"

type ruleGroup struct {
	Name  string `json:"name"`
	Rules []struct {
		Alert       string            `json:"alert"`
		Expr        string            `json:"expr"`
		For         string            `json:"for"`
		Labels      map[string]string `json:"labels"`
		Annotations map[string]string `json:"annotations"`
	} `json:"rules"`
}

func readYAML(t *testing.T, name string, into any) string {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(monitoring, name))
	if err != nil {
		t.Fatal(err)
	}
	if into != nil {
		if err := yaml.UnmarshalStrict(b, into); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
	}
	return string(b)
}

// Each alert is explained where it links to, is fired by a test, and the operator's form has it as it is.
// Alerts and dashboard ask for metrics that there are.
func TestMonitoring(t *testing.T) {
	t.Parallel()
	var rules struct {
		Groups []ruleGroup `json:"groups"`
	}
	readYAML(t, "rules.yaml", &rules)
	var operators struct {
		APIVersion string         `json:"apiVersion"`
		Kind       string         `json:"kind"`
		Metadata   map[string]any `json:"metadata"`
		Spec       struct {
			Groups []ruleGroup `json:"groups"`
		} `json:"spec"`
	}
	readYAML(t, "prometheusrule.yaml", &operators)
	if d := cmp.Diff(rules.Groups, operators.Spec.Groups); d != "" {
		t.Errorf("make monitoring: prometheusrule.yaml is not rules.yaml (-want +got)\n%s", d)
	}
	explained, err := os.ReadFile("../../docs/troubleshooting.md")
	if err != nil {
		t.Fatal(err)
	}
	var fired struct {
		Tests []struct {
			Rules []struct {
				Alert    string `json:"alertname"`
				Expected []any  `json:"exp_alerts"`
			} `json:"alert_rule_test"`
		} `json:"tests"`
		Files    []string `json:"rule_files"`
		Interval string   `json:"evaluation_interval"`
	}
	b := readYAML(t, "rules_test.yaml", nil)
	if err := yaml.Unmarshal([]byte(b), &fired); err != nil {
		t.Fatal(err)
	}
	fires := func(alert string) (once, quiet bool) {
		for _, test := range fired.Tests {
			for _, r := range test.Rules {
				once = once || r.Alert == alert && len(r.Expected) > 0
				quiet = quiet || r.Alert == alert && len(r.Expected) == 0
			}
		}
		return once, quiet
	}
	var asked []string
	headings := regexp.MustCompile(`(?m)^### (Unip\w+)$`).FindAllStringSubmatch(string(explained), -1)
	var alerts []string
	for _, g := range rules.Groups {
		for _, r := range g.Rules {
			alerts, asked = append(alerts, r.Alert), append(asked, r.Expr)
			if !strings.HasSuffix(r.Annotations["runbook_url"], "/docs/troubleshooting.md#"+strings.ToLower(r.Alert)) {
				t.Errorf("%s links to %s", r.Alert, r.Annotations["runbook_url"])
			}
			if once, quiet := fires(r.Alert); !once || !quiet {
				t.Errorf("no test fires %s, or none sees it quiet", r.Alert)
			}
		}
	}
	var sections []string
	for _, h := range headings {
		sections = append(sections, h[1])
	}
	if d := cmp.Diff(alerts, sections); d != "" {
		t.Errorf("docs/troubleshooting.md does not explain the alerts in their order (-alerts +headings)\n%s", d)
	}
	dashboard := readYAML(t, "dashboard.json", nil)
	if !json.Valid([]byte(dashboard)) {
		t.Error("dashboard.json is no JSON")
	}
	asked = append(asked, dashboard)
	known := metricsInCode(t)
	for _, name := range regexp.MustCompile(`\b(?:unip|http)_[a-z_]+\b`).FindAllString(strings.Join(asked, "\n"), -1) {
		base := name
		for _, suffix := range []string{"_bucket", "_count", "_sum"} {
			base = strings.TrimSuffix(base, suffix)
		}
		labels := []string{"http_response_status_code", "http_request_method"}
		if !known[base] && !slices.Contains(labels, name) {
			t.Errorf("config/monitoring asks for %s, which there is not", name)
		}
	}
}
