package main

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
)

// lastSpans is how long the spans that have not been sent may take at the end.
const lastSpans = 2 * time.Second

// tracing makes spans and sends them by OTLP over HTTP, where OpenTelemetry's own variables say so:
// OTEL_EXPORTER_OTLP_ENDPOINT or …_TRACES_ENDPOINT; the sampler, the headers and the rest come from
// its other variables. Without them there is no tracer and nothing is paid. A caller's decision
// whether to sample is kept. flush sends what is left.
func tracing(ctx context.Context, component string, log *slog.Logger) (tracer trace.Tracer, flush func(), err error) {
	if os.Getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && os.Getenv("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") == "" {
		return nil, func() {}, nil
	}
	otel.SetErrorHandler(otel.ErrorHandlerFunc(func(err error) { log.Warn("sending spans", "error", err) }))
	exporter, err := otlptracehttp.New(ctx)
	if err != nil {
		return nil, nil, fmt.Errorf("making the exporter of spans: %w", err)
	}
	// What OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES say is read last and wins.
	about, err := resource.New(ctx, resource.WithAttributes(attribute.String("service.name", component),
		attribute.String("service.instance.id", os.Getenv("HOSTNAME"))),
		resource.WithFromEnv(), resource.WithTelemetrySDK())
	if err != nil {
		return nil, nil, fmt.Errorf("reading OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	provider := sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithResource(about))
	return provider.Tracer("github.com/unip-knative/unip/functions/inference"), func() {
		ctx, cancel := context.WithTimeout(context.Background(), lastSpans)
		defer cancel()
		if err := provider.Shutdown(ctx); err != nil {
			log.Warn("sending the last spans", "error", err)
		}
	}, nil
}
