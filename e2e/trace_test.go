//go:build e2e

package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	corev1 "k8s.io/api/core/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/unip-knative/unip/e2e/collector"
	"github.com/unip-knative/unip/e2e/live"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/names"
)

// ownSpan sends a span of the stage's own program, below that of the stage. It is OTLP as JSON.
const ownSpan = `
import json, os, sys, time, urllib.request
_, trace, parent, _ = os.environ["TRACEPARENT"].split("-")
now = str(time.time_ns())
span = {"traceId": trace, "spanId": os.urandom(8).hex(), "parentSpanId": parent, "name": "epoch 1", "kind": 1,
        "startTimeUnixNano": now, "endTimeUnixNano": now}
about = {"attributes": [{"key": "service.name", "value": {"stringValue": "fit.py"}}]}
body = {"resourceSpans": [{"resource": about, "scopeSpans": [{"spans": [span]}]}]}
urllib.request.urlopen(urllib.request.Request(sys.argv[1] + "/v1/traces", json.dumps(body).encode(),
                                              {"Content-Type": "application/json"}), timeout=10)
open(os.environ["UNIP_PIPELINE_RESULT"] + "/model", "w").write("m")
`

// An OpenTelemetry Collector has one trace of what an upload has caused: the upload, the run, its stages
// with their containers, and what a stage's own program says. It is not parallel to others: for its time
// all modules are traced.
func TestTraceOfAnUpload(t *testing.T) {
	outside, _, _ := strings.Cut(os.Getenv("UNIP_OUTSIDE"), ",")
	if outside == "" {
		t.Skip("pods reach no collector of this machine but on the local cluster")
	}
	otel := collector.Start(t, outside)
	traceTo(t, otel.Endpoint)
	const ns = "pu-e2e-pa-traced"
	m := applyRuns(t, ns, pipelineOf(ns, "train", "table part result",
		`knative.unified-platform.cs.hse.ru/on-upload: '[{"box":"userdata","prefix":"incoming/","input":"table"}]'`,
		stage("split", "table", "part", `cp "$UNIP_PIPELINE_TABLE" "$UNIP_PIPELINE_PART/"`),
		stage("fit", "part", "result", fmt.Sprintf("python3 -c '%s' %s", ownSpan, otel.Endpoint))))
	upload(t, m, "userdata/incoming/t.csv", "1,2")
	id := runOfUpload(t, m)
	awaitRun(t, m, id, runtimev1.Succeeded)

	want := []string{"upload", "upload/run train", "upload/run train/stage fit", "upload/run train/stage fit/epoch 1",
		"upload/run train/stage fit/fetch", "upload/run train/stage fit/function", "upload/run train/stage fit/publish",
		"upload/run train/stage split", "upload/run train/stage split/fetch", "upload/run train/stage split/function",
		"upload/run train/stage split/publish"}
	var ofRun []collector.Span
	err := live.Await(t.Context(), time.Minute, "the trace", func(ctx) error {
		var got []string
		got, ofRun = tree(otel.Spans(t), id)
		if d := cmp.Diff(want, got); d != "" {
			return errors.New("-want +got\n" + d)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, s := range ofRun {
		t.Logf("%s %-12s %s +%s", s.Trace, s.Name, s.Start.Format(time.StampMilli), s.End.Sub(s.Start))
		if s.Failed || s.Start.After(s.End) {
			t.Errorf("%+v", s)
		}
	}
}

// tree is the trace that a run is in, as paths of names from its root.
func tree(all []collector.Span, run string) (paths []string, trace []collector.Span) {
	i := slices.IndexFunc(all, func(s collector.Span) bool { return s.Attributes["unip.run"] == run })
	if i < 0 {
		return nil, nil
	}
	known := map[string]collector.Span{}
	for _, s := range all {
		if s.Trace == all[i].Trace {
			known[s.ID] = s
			trace = append(trace, s)
		}
	}
	for _, s := range trace {
		path := s.Name
		for up, ok := known[s.Parent]; ok; up, ok = known[up.Parent] {
			path = up.Name + "/" + path
		}
		paths = append(paths, path)
	}
	slices.Sort(paths)
	return paths, trace
}

// traceTo has the installation send its spans to a collector until the test ends, and waits until the
// controller does.
func traceTo(t *testing.T, endpoint string) {
	t.Helper()
	key := client.ObjectKey{Namespace: names.SystemNamespace, Name: names.Config}
	var before corev1.ConfigMap
	if err := cluster.Get(t.Context(), key, &before); err != nil {
		t.Fatal(err)
	}
	set := func(ctx context.Context, text string) error {
		now := before.DeepCopy()
		now.Data[names.ConfigFile] = text
		now.ResourceVersion = ""
		return cluster.Update(ctx, now)
	}
	t.Cleanup(func() {
		if err := set(context.WithoutCancel(t.Context()), before.Data[names.ConfigFile]); err != nil {
			t.Error(err)
		}
	})
	began := time.Now().UTC().Format(time.RFC3339)
	if err := set(t.Context(), fmt.Sprintf("%s\ntracing: {endpoint: %q, samplingRate: 1}\n",
		before.Data[names.ConfigFile], endpoint)); err != nil {
		t.Fatal(err)
	}
	err := live.Await(t.Context(), 3*time.Minute, "the controller has the setting", func(ctx ctx) error {
		log, err := cluster.Kubectl(ctx, "-n", names.SystemNamespace, "logs", "--since-time="+began, "--prefix",
			"--selector=app.kubernetes.io/name="+names.Controller, "--tail=-1")
		if err == nil && !strings.Contains(log, "settings changed") {
			err = errors.New("its log does not say so")
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}
