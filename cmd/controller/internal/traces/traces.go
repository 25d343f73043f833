package traces

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/sdk/resource"
	sdk "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"
	corev1 "k8s.io/api/core/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	life "github.com/unip-knative/unip/eventing/run"
	"github.com/unip-knative/unip/translate/installation"
)

// lastSpans is how long the spans that have not been sent may take at the end.
const lastSpans = 2 * time.Second

// Exporter sends spans to the collector of the installation, which may change. What the collector
// does not take in time is lost: it holds up no run.
type Exporter struct {
	mu       sync.Mutex
	endpoint string
	provider *sdk.TracerProvider
}

// part is one span of a run.
type part struct {
	id         trace.SpanID
	parent     trace.SpanContext
	name       string
	start, end time.Time
	failed     string // why, in words of unip's own; "" when it has not
	about      []attribute.KeyValue
}

// Stage sends the span of a stage that has ended, and those of the containers of its pod, which may
// be gone.
func (e *Exporter) Stage(
	run *runtimev1.PipelineRun, st *runtimev1.StageStatus, pod *corev1.Pod, t installation.Tracing,
) {
	if !Traced(run, t) || st.StartTime == nil || st.CompletionTime == nil {
		return
	}
	own := contextOf(run, stagePart(st.Name))
	all := []part{{id: own.SpanID(), parent: contextOf(run, ""), name: "stage " + st.Name, start: st.StartTime.Time,
		end: st.CompletionTime.Time, failed: failure(st), about: append(about(run),
			attribute.String("unip.stage", st.Name), attribute.Int("unip.attempt", st.Attempt),
			attribute.Int("unip.files", st.Files), attribute.Int64("unip.bytes", st.Bytes))}}
	if pod != nil {
		for _, s := range append(append([]corev1.ContainerStatus{}, pod.Status.InitContainerStatuses...),
			pod.Status.ContainerStatuses...) {
			// Of a container that its node has lost there is no time.
			if end := s.State.Terminated; end != nil && !end.StartedAt.IsZero() {
				all = append(all, part{id: spanID(run, stagePart(st.Name)+"\x00"+s.Name), parent: own, name: s.Name,
					start: end.StartedAt.Time, end: end.FinishedAt.Time, failed: ended(end),
					about: append(about(run), attribute.String("k8s.pod.name", pod.Name),
						attribute.String("k8s.container.name", s.Name))})
			}
		}
	}
	e.send(t.Endpoint, run, all)
}

// Run sends the span of a run that has ended. It begins when the run was asked for. Above that of one
// that was started for a file is the time from the file to the run.
func (e *Exporter) Run(run *runtimev1.PipelineRun, t installation.Tracing) {
	if !Traced(run, t) {
		return
	}
	s := &run.Status
	end := run.CreationTimestamp.Time
	if s.CompletionTime != nil {
		end = s.CompletionTime.Time
	}
	for i := range s.Stages { // whose times are finer
		if at := s.Stages[i].CompletionTime; at != nil && at.After(end) {
			end = at.Time
		}
	}
	all := []part{{id: spanID(run, ""), parent: caller(run), name: "run " + run.Spec.Pipeline,
		start: run.CreationTimestamp.Time, end: end, failed: failureOf(s),
		about: append(about(run), attribute.String("unip.origin", run.Spec.Origin))}}
	if at := uploaded(run); !at.IsZero() && !all[0].parent.IsValid() {
		all[0].parent = contextOf(run, uploadPart)
		all = append(all, part{id: spanID(run, uploadPart), name: "upload", start: at,
			end: run.CreationTimestamp.Time, about: about(run)})
	}
	e.send(t.Endpoint, run, all)
}

func about(run *runtimev1.PipelineRun) []attribute.KeyValue {
	return []attribute.KeyValue{attribute.String("k8s.namespace.name", run.Namespace),
		attribute.String("unip.pipeline", run.Spec.Pipeline), attribute.String("unip.run", run.Name)}
}

// failure says why a stage has failed. Its message stays in the module: an exception's text may hold
// anybody's data, and the collector is not the module's.
func failure(st *runtimev1.StageStatus) string {
	if st.State != runtimev1.Failed {
		return ""
	}
	return life.Why(st)
}

// failureOf says why a run has failed: by which stage, or because it could not begin.
func failureOf(s *runtimev1.PipelineRunStatus) string {
	if s.State != runtimev1.Failed {
		return ""
	}
	for i := range s.Stages {
		if why := failure(&s.Stages[i]); why != "" {
			return "stage " + s.Stages[i].Name + ": " + why
		}
	}
	if len(s.Stages) == 0 {
		return life.ReasonNotStarted
	}
	return "Other"
}

func ended(s *corev1.ContainerStateTerminated) string {
	if s.ExitCode == 0 {
		return ""
	}
	return fmt.Sprintf("exit code %d", s.ExitCode)
}

func (e *Exporter) send(endpoint string, run *runtimev1.PipelineRun, all []part) {
	tracer, err := e.tracer(endpoint)
	if err != nil {
		slog.Warn("spans cannot be sent", "error", err)
		return
	}
	for _, p := range all {
		ctx := context.WithValue(context.Background(), idsKey{}, ids{traceID(run), p.id})
		if p.parent.IsValid() {
			ctx = trace.ContextWithRemoteSpanContext(ctx, p.parent)
		}
		_, span := tracer.Start(ctx, p.name, trace.WithTimestamp(p.start), trace.WithAttributes(p.about...))
		if p.failed != "" {
			span.SetStatus(codes.Error, p.failed)
		}
		if p.end.Before(p.start) { // it is in whole seconds
			p.end = p.start
		}
		span.End(trace.WithTimestamp(p.end))
	}
}

// tracer of the collector that the installation names now.
func (e *Exporter) tracer(endpoint string) (trace.Tracer, error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	const name = "github.com/unip-knative/unip/cmd/controller"
	if e.provider != nil && e.endpoint == endpoint {
		return e.provider.Tracer(name), nil
	}
	exporter, err := otlptracehttp.New(context.Background(), otlptracehttp.WithEndpointURL(endpoint+"/v1/traces"))
	if err != nil {
		return nil, fmt.Errorf("making the exporter of spans: %w", err)
	}
	if old := e.provider; old != nil {
		go shutDown(old)
	}
	e.endpoint = endpoint
	e.provider = sdk.NewTracerProvider(sdk.WithBatcher(exporter), sdk.WithIDGenerator(generator{}),
		sdk.WithSampler(sdk.AlwaysSample()), // what is sent is decided before
		sdk.WithResource(resource.NewSchemaless(attribute.String("service.name", "unip-controller"))))
	return e.provider.Tracer(name), nil
}

// Close sends what is left.
func (e *Exporter) Close() {
	e.mu.Lock()
	defer e.mu.Unlock()
	if e.provider != nil {
		shutDown(e.provider)
	}
}

func shutDown(p *sdk.TracerProvider) {
	ctx, cancel := context.WithTimeout(context.Background(), lastSpans)
	defer cancel()
	if err := p.Shutdown(ctx); err != nil {
		slog.Warn("sending the last spans", "error", err)
	}
}

// generator gives a span the ids that its context holds.
type generator struct{}

type idsKey struct{}

type ids struct {
	trace trace.TraceID
	span  trace.SpanID
}

// NewIDs implements sdk.IDGenerator.
func (generator) NewIDs(ctx context.Context) (trace.TraceID, trace.SpanID) {
	i, _ := ctx.Value(idsKey{}).(ids)
	return i.trace, i.span
}

// NewSpanID implements sdk.IDGenerator.
func (g generator) NewSpanID(ctx context.Context, _ trace.TraceID) trace.SpanID {
	_, span := g.NewIDs(ctx)
	return span
}
