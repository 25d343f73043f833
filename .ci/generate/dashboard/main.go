// Command dashboard writes unip's dashboard of Grafana to standard output: make monitoring.
package main

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/grafana/grafana-foundation-sdk/go/cog"
	"github.com/grafana/grafana-foundation-sdk/go/common"
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
	"github.com/grafana/grafana-foundation-sdk/go/prometheus"
	"github.com/grafana/grafana-foundation-sdk/go/timeseries"
)

// panel shows queries over time.
type panel struct {
	title, unit string
	queries     []query
}

type query struct{ expr, legend string }

// rows are what the dashboard shows, from the top: who calls, what runs, what the controller has to do.
var rows = []struct {
	title  string
	panels []panel
}{
	{"APIs", []panel{
		{"Calls a second", "reqps", []query{{
			`sum by (namespace, api) (rate(http_server_request_duration_seconds_count{namespace=~"$namespace",api!=""}[5m]))`,
			"{{namespace}}/{{api}}"}}},
		{"Share of 5xx", "percentunit", []query{{
			`sum by (namespace, api) (rate(http_server_request_duration_seconds_count{namespace=~"$namespace",api!="",` +
				`http_response_status_code=~"5.."}[5m])) / sum by (namespace, api) ` +
				`(rate(http_server_request_duration_seconds_count{namespace=~"$namespace",api!=""}[5m]))`,
			"{{namespace}}/{{api}}"}}},
		{"Seconds of calls, p50 and p99", "s", quantiles("http_server_request_duration_seconds", `api!=""`, "namespace, api",
			"{{namespace}}/{{api}}")},
	}},
	{"MLComponents", []panel{
		{"Seconds of the function, p50 and p99", "s", quantiles("unip_function_duration_seconds", "", "namespace", "{{namespace}}")},
		{"Calls that wait for a worker", "short", []query{
			{`sum by (namespace, pod) (unip_queue_depth{namespace=~"$namespace"})`, "{{namespace}}/{{pod}}"}}},
		{"Workers that ended", "short", []query{
			{`sum by (namespace, reason) (increase(unip_worker_restarts_total{namespace=~"$namespace"}[5m]))`,
				"{{namespace}} {{reason}}"}}},
		{"Seconds of starts", "s", []query{
			{`max by (namespace, phase) (unip_start_seconds{namespace=~"$namespace"})`, "{{namespace}} {{phase}}"}}},
		{"Models that are outdated", "short", []query{
			{`max by (namespace, pod) (unip_model_outdated{namespace=~"$namespace"})`, "{{namespace}}/{{pod}}"}}},
	}},
	{"Runs", []panel{
		{"Runs that end, an hour", "short", []query{
			{`sum by (namespace, pipeline, state) (increase(unip_runs_ended_total{namespace=~"$namespace"}[1h]))`,
				"{{namespace}}/{{pipeline}} {{state}}"}}},
		{"Stages that fail, an hour", "short", []query{
			{`sum by (namespace, pipeline, reason) (increase(unip_stages_ended_total{namespace=~"$namespace",` +
				`reason!~"Succeeded|Cancelled"}[1h]))`, "{{namespace}}/{{pipeline}} {{reason}}"}}},
		{"Seconds of runs, p50 and p99", "s", quantiles("unip_run_duration_seconds", "", "namespace, pipeline",
			"{{namespace}}/{{pipeline}}")},
		{"Seconds until a run's first stage, p50 and p99", "s", quantiles("unip_run_wait_seconds", "", "namespace, pipeline",
			"{{namespace}}/{{pipeline}}")},
		{"Bytes that stages fetch and publish, a second", "Bps", []query{
			{`sum by (namespace, pipeline) (rate(unip_stage_fetched_bytes_total{namespace=~"$namespace"}[5m]))`,
				"{{namespace}}/{{pipeline}} fetched"},
			{`sum by (namespace, pipeline) (rate(unip_stage_published_bytes_total{namespace=~"$namespace"}[5m]))`,
				"{{namespace}}/{{pipeline}} published"}}},
		{"Runs that wait", "short", []query{
			{`sum by (namespace, pipeline) (unip_runs_waiting{namespace=~"$namespace"})`, "{{namespace}}/{{pipeline}}"},
			{`sum by (reason) (unip_runs_held_up)`, "held up: {{reason}}"}}},
	}},
	{"Controller", []panel{
		{"Replicas that lead", "short", []query{{`sum(unip_controller_leading)`, "leading"}}},
		{"Notifications of S3 that wait", "short", []query{{`max(unip_inbox_entries)`, "entries"}}},
		{"Events that were lost, an hour", "short", []query{
			{`sum(increase(unip_run_events_lost_total[1h]))`, "of runs"},
			{`sum(increase(unip_upload_events_lost_total[1h]))`, "of uploads"},
			{`sum(increase(unip_uploads_found_by_sweep_total[1h]))`, "found by the sweep"}}},
	}},
}

// quantiles of a histogram.
func quantiles(name, labels, by, legend string) []query {
	if labels != "" {
		labels = "," + labels
	}
	const form = `histogram_quantile(%s, sum by (le, %s) (rate(%s_bucket{namespace=~"$namespace"%s}[5m])))`
	return []query{{fmt.Sprintf(form, "0.5", by, name, labels), legend + " p50"},
		{fmt.Sprintf(form, "0.99", by, name, labels), legend + " p99"}}
}

func main() {
	source := common.DataSourceRef{Type: cog.ToPtr("prometheus"), Uid: cog.ToPtr("$datasource")}
	b := dashboard.NewDashboardBuilder("unip").Uid("unip").Tags([]string{"unip"}).Time("now-6h", "now").Refresh("1m").
		WithVariable(dashboard.NewDatasourceVariableBuilder("datasource").Type("prometheus")).
		WithVariable(dashboard.NewQueryVariableBuilder("namespace").Datasource(source).Multi(true).IncludeAll(true).
			AllValue(".*").Query(dashboard.StringOrMap{String: cog.ToPtr("label_values(unip_runs_started_total, namespace)")}).
			Refresh(dashboard.VariableRefreshOnTimeRangeChanged))
	for _, row := range rows {
		b = b.WithRow(dashboard.NewRowBuilder(row.title))
		for _, p := range row.panels {
			made := timeseries.NewPanelBuilder().Title(p.title).Unit(p.unit).Datasource(source).Height(8).Span(8)
			for _, q := range p.queries {
				made = made.WithTarget(prometheus.NewDataqueryBuilder().Expr(q.expr).LegendFormat(q.legend))
			}
			b = b.WithPanel(made)
		}
	}
	board, err := b.Build()
	if err == nil {
		var text []byte
		if text, err = json.MarshalIndent(board, "", "  "); err == nil {
			_, err = os.Stdout.Write(append(text, '\n'))
		}
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "dashboard:", err)
		os.Exit(1)
	}
}
