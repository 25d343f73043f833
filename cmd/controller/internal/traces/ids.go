// Package traces tells a run as a tree of spans: the run, its stages below it, and below each stage
// the containers of its last attempt. The controller makes all of them, of what it has seen, so that
// neither fetch and publish nor a user's container holds a client of the collector.
//
// Ids are made of the run's UID: whoever makes a span, and however often, makes the same one, and a
// leader needs no memory for it. Functions get their stage's span as TRACEPARENT, and may go on.
package traces

import (
	"context"
	"crypto/sha256"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/propagation"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/translate/installation"
)

// propagator reads and writes traceparent (W3C Trace Context).
var propagator = propagation.TraceContext{}

// caller is the span of the call that has asked for the run, an invalid one when there was none, or
// it was not well told.
func caller(run *runtimev1.PipelineRun) trace.SpanContext {
	said := propagation.MapCarrier{"traceparent": run.Annotations[runtimev1.TraceParentAnnotation]}
	return trace.SpanContextFromContext(propagator.Extract(context.Background(), said))
}

// uploaded is when the file came for which a run was started, by S3's clock, and so no later than the
// run. Zero for other runs, and where it is not well told.
func uploaded(run *runtimev1.PipelineRun) time.Time {
	at, err := time.Parse(time.RFC3339, run.Annotations[runtimev1.UploadedAnnotation])
	made := run.CreationTimestamp.Time
	switch {
	case err != nil || at.Before(made.AddDate(-1, 0, 0)):
		return time.Time{}
	case at.After(made):
		return made
	}
	return at
}

// spanID of a part of a run; "" is the run itself.
func spanID(run *runtimev1.PipelineRun, part string) trace.SpanID {
	sum := sha256.Sum256(fmt.Appendf(nil, "span\x00%s\x00%s", run.UID, part))
	return trace.SpanID(sum[:8])
}

// traceID is the caller's, else made of the run's UID.
func traceID(run *runtimev1.PipelineRun) trace.TraceID {
	if c := caller(run); c.IsValid() {
		return c.TraceID()
	}
	sum := sha256.Sum256(fmt.Appendf(nil, "trace\x00%s", run.UID))
	return trace.TraceID(sum[:16])
}

// Traced says whether a run is traced: as its caller has decided, else by the installation's share.
func Traced(run *runtimev1.PipelineRun, t installation.Tracing) bool {
	if t.Endpoint == "" {
		return false
	}
	if c := caller(run); c.IsValid() {
		return c.IsSampled()
	}
	decision := sdk.TraceIDRatioBased(t.SamplingRate).ShouldSample(sdk.SamplingParameters{TraceID: traceID(run)})
	return decision.Decision == sdk.RecordAndSample
}

// uploadPart is the span from the upload to the run, which is above that of the run.
const uploadPart = "upload"

func stagePart(stage string) string { return "stage\x00" + stage }

func contextOf(run *runtimev1.PipelineRun, part string) trace.SpanContext {
	return trace.NewSpanContext(trace.SpanContextConfig{TraceID: traceID(run), SpanID: spanID(run, part),
		TraceFlags: trace.FlagsSampled, Remote: true})
}

// Parent is what a stage's container is told as TRACEPARENT, "" where the run is not traced.
func Parent(run *runtimev1.PipelineRun, stage string, t installation.Tracing) string {
	if !Traced(run, t) {
		return ""
	}
	said := propagation.MapCarrier{}
	propagator.Inject(trace.ContextWithSpanContext(context.Background(), contextOf(run, stagePart(stage))), said)
	return said["traceparent"]
}
