// Makes config/monitoring/dashboard.json, apart from unip's own module: nothing else needs the library.
module github.com/unip-knative/unip/.ci/generate/dashboard

go 1.26.0

require github.com/grafana/grafana-foundation-sdk/go v0.0.22
