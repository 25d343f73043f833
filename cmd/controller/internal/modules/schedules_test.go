//go:build integration

package modules

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	kevents "k8s.io/client-go/tools/events"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/reconcile"

	"github.com/unip-knative/unip/cmd/controller/internal/controllertest"
	"github.com/unip-knative/unip/cmd/controller/internal/starts"
	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/databox/miniotest"
	"github.com/unip-knative/unip/eventing/events"
	"github.com/unip-knative/unip/eventing/plan"
)

var must = controllertest.Must

// clock is a Schedules whose time stands still until it is moved, with a real API server and a real
// S3 server.
type clock struct {
	*Schedules
	nanos atomic.Int64
	s3    *miniotest.Server
	told  *kevents.FakeRecorder
}

func newClock(t *testing.T) *clock {
	t.Helper()
	_, api, s3, src := controllertest.Servers(t)
	controllertest.Box(t, api, s3, "userdata")
	maker := &starts.Maker{Client: api, Live: api, Settings: src, Transport: http.DefaultTransport}
	c := &clock{s3: s3, told: kevents.NewFakeRecorder(100)}
	c.Schedules = &Schedules{Client: api, Live: api, Settings: src, Starts: maker,
		Events: c.told, now: func() time.Time { return time.Unix(0, c.nanos.Load()) }}
	// The next full hour: after the creation of everything.
	c.set(time.Now().Truncate(time.Hour).Add(time.Hour))
	return c
}

func (c *clock) set(t time.Time) { c.nanos.Store(t.UnixNano()) }

func (c *clock) pass(d time.Duration) { c.set(c.now().Add(d)) }

// scheduled makes a pipeline with a schedule.
func (c *clock) scheduled(t *testing.T, name, line, zone string) *runtimev1.Pipeline {
	t.Helper()
	p := controllertest.OneStage(name, "", "model")
	p.Namespace, p.Spec.Schedule, p.Spec.TimeZone, p.Spec.DefaultBox = "default", line, zone, "userdata"
	must(t, c.Client.Create(t.Context(), p))
	return p
}

// look looks at a pipeline as the controller does, and reads it again.
func (c *clock) look(t *testing.T, p *runtimev1.Pipeline) time.Duration {
	t.Helper()
	got, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: client.ObjectKeyFromObject(p)})
	must(t, err)
	must(t, c.Live.Get(t.Context(), client.ObjectKeyFromObject(p), p))
	return got.RequeueAfter
}

// runs wants so many, and gives them.
func (c *clock) runs(t *testing.T, p *runtimev1.Pipeline, want int) []runtimev1.PipelineRun {
	t.Helper()
	var l runtimev1.PipelineRunList
	must(t, c.Live.List(t.Context(), &l, client.InNamespace("default"),
		client.MatchingLabels{runtimev1.PipelineLabel: p.Name}))
	if len(l.Items) != want {
		t.Fatalf("%d runs, want %d: %+v", len(l.Items), want, l.Items)
	}
	return l.Items
}

func reason(p *runtimev1.Pipeline) string {
	if c := meta.FindStatusCondition(p.Status.Conditions, Scheduled); c != nil {
		return string(c.Status) + " " + c.Reason
	}
	return ""
}

// ping posts what a PingSource sends, or somebody who pretends to be one.
func ping(t *testing.T, r starts.Receiver, path, kind string) int {
	t.Helper()
	req := httptest.NewRequestWithContext(t.Context(), http.MethodPost, path, nil)
	for k, v := range map[string]string{"Ce-Specversion": "1.0", "Ce-Id": "x", "Ce-Source": "/forged", "Ce-Type": kind,
		"Ce-Pipeline": "another", "Ce-Time": "2001-01-01T00:00:00Z"} {
		req.Header.Set(k, v)
	}
	w := httptest.NewRecorder()
	r.Handler().ServeHTTP(w, req)
	return w.Code
}

func TestOneDueTimeStartsOneRun(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	p := c.scheduled(t, "nightly", "*/10 * * * *", "Europe/Moscow")
	r := starts.Receiver{
		Leading: func() bool { return true }, Hint: func(context.Context, types.NamespacedName) {},
		Ping: func(_ context.Context, pipeline types.NamespacedName) {
			if _, err := c.Reconcile(t.Context(), reconcile.Request{NamespacedName: pipeline}); err != nil {
				t.Error(err)
			}
		},
	}
	const path = "/namespaces/default/pipelines/nightly/events"
	told := func() {
		t.Helper()
		codes := make(chan int)
		for range 5 { // at once
			go func() { codes <- ping(t, r, path, events.Ping) }()
		}
		for range 5 {
			if code := <-codes; code != http.StatusAccepted {
				t.Errorf("a ping is answered %d", code)
			}
		}
	}

	// It is seen at a due time, which therefore starts nothing; and whoever tells of it before the
	// next one tells nothing.
	told()
	c.pass(10*time.Minute - time.Millisecond)
	told()
	if again := c.look(t, p); again != 10*time.Millisecond {
		t.Errorf("a ping that came too early is made up for after %s", again)
	}
	c.runs(t, p, 0)
	if reason(p) != "True Scheduled" || p.Status.Schedule == nil ||
		p.Status.Schedule.Line != "CRON_TZ=Europe/Moscow */10 * * * *" || p.Status.Schedule.LastScheduleTime != nil {
		t.Fatalf("%+v", p.Status)
	}

	c.pass(300 * time.Millisecond)
	due := c.now().Truncate(time.Minute)
	for _, other := range []string{"/namespaces/default/pipelines/gone/events",
		"/namespaces/other/pipelines/nightly/events"} {
		if code := ping(t, r, other, events.Ping); code != http.StatusAccepted {
			t.Errorf("%s is answered %d", other, code)
		}
	}
	ping(t, r, path, events.RunRequested)
	c.runs(t, p, 0)
	told()
	run := c.runs(t, p, 1)[0]
	if s := run.Spec; s.User != "" || s.Origin != runtimev1.OriginSchedule ||
		s.IdempotencyKey != "schedule/"+due.UTC().Format(time.RFC3339) || len(s.Inputs)+len(s.Outputs) > 0 {
		t.Errorf("spec %+v", s)
	}
	if place := plan.DefaultPlace(&run, p.Spec.DefaultBox); place != "userdata:/nightly/"+run.Name+"/" {
		t.Errorf("its outputs go to %s", place)
	}
	if again := c.look(t, p); again < 10*time.Minute || again > 11*time.Minute {
		t.Errorf("without a ping it is looked at again after %s", again)
	}
	if last := p.Status.Schedule.LastScheduleTime; last == nil || !last.Time.Equal(due) ||
		reason(p) != "True Scheduled" {
		t.Errorf("%+v", p.Status)
	}

	// The record knows of the run when nothing else does: neither the run nor the status.
	must(t, c.Client.Delete(t.Context(), &run))
	p.Status.Schedule.SettledTime = metav1.NewTime(due.Add(-time.Minute))
	must(t, c.Client.Status().Update(t.Context(), p))
	told()
	c.runs(t, p, 0)

	// No ping for the next one: it is made up for.
	c.pass(10*time.Minute + c.Settings.Current().Config.Runs.Grace())
	c.look(t, p)
	c.runs(t, p, 1)
	if reason(p) != "True GracePeriodOver" {
		t.Errorf("the condition is %s", reason(p))
	}
}

func TestMissedDueTimes(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	often, daily := c.scheduled(t, "often", "*/10 * * * *", ""),
		c.scheduled(t, "daily", c.now().UTC().Add(30*time.Minute).Format("4 15 * * *"), "UTC")
	c.look(t, often)
	c.look(t, daily)
	c.pass(95 * time.Minute)
	c.look(t, often)
	c.look(t, daily)
	if run := c.runs(t, often, 1)[0]; run.Spec.IdempotencyKey != "schedule/"+
		c.now().UTC().Add(-5*time.Minute).Format(time.RFC3339) || reason(often) != "True Missed" {
		t.Errorf("%s for %s", reason(often), run.Spec.IdempotencyKey)
	}
	c.runs(t, daily, 0)
	if reason(daily) != "True Missed" || daily.Status.Schedule.LastScheduleTime != nil {
		t.Errorf("%s, %+v", reason(daily), daily.Status.Schedule)
	}
	// The user is told: in the status, and by an Event that says since when.
	if st := daily.Status.Schedule; st.Missed != 1 || st.LastMissedTime == nil ||
		!strings.HasSuffix(st.LastMissedTime.UTC().Format(time.RFC3339), ":00Z") {
		t.Errorf("%+v", st)
	}
	for range 2 { // of each of the two schedules
		select {
		case told := <-c.told.Events:
			if !strings.Contains(told, "Warning Missed") || !strings.Contains(told, "passed over") {
				t.Errorf("the Event is %q", told)
			}
		default:
			t.Error("no Event tells of what was passed over")
		}
	}
	before := daily.ResourceVersion
	if c.look(t, daily); daily.ResourceVersion != before {
		t.Error("nothing is due, and the status was written again")
	}
	c.pass(24*time.Hour - 65*time.Minute)
	c.look(t, daily)
	c.runs(t, daily, 1)
	if reason(daily) != "True Scheduled" {
		t.Errorf("after it was on time: %s", reason(daily))
	}

	// Another schedule starts nothing for the time before it.
	c.pass(30 * time.Minute)
	daily.Spec.Schedule = "* * * * *"
	must(t, c.Client.Update(t.Context(), daily))
	last := daily.Status.Schedule.LastScheduleTime
	c.look(t, daily)
	c.runs(t, daily, 1)
	if !last.Equal(daily.Status.Schedule.LastScheduleTime) {
		t.Errorf("it forgot its last run: %+v", daily.Status.Schedule)
	}
	c.pass(time.Minute)
	c.look(t, daily)
	c.runs(t, daily, 2)
}

// What somebody wrote by hand says what is wrong with it, holds nobody else up, and leaves nothing
// when it goes.
func TestInvalidSchedules(t *testing.T) {
	t.Parallel()
	c := newClock(t)
	for name, line := range map[string][2]string{"minute": {"61 * * * *", ""},
		"nowhere": {"* * * * *", "Europe/Moskau"}, "zone-only": {"CRON_TZ=UTC", ""}, "every": {"@every 1s", ""},
		"seconds": {"* * * * * *", ""}} {
		p := c.scheduled(t, name, line[0], line[1])
		if again := c.look(t, p); again != 0 || reason(p) != "False InvalidSchedule" || p.Status.Schedule != nil {
			t.Errorf("%s: %s, again after %s", name, reason(p), again)
		}
		p.Spec.Schedule, p.Spec.TimeZone = "* * * * *", "Europe/Moscow"
		must(t, c.Client.Update(t.Context(), p))
		c.look(t, p)
		c.pass(time.Minute)
		c.look(t, p)
		c.runs(t, p, 1)
		if reason(p) != "True Scheduled" {
			t.Errorf("%s when corrected: %s", name, reason(p))
		}
		p.Spec.Schedule = ""
		must(t, c.Client.Update(t.Context(), p))
		c.pass(time.Minute)
		if again := c.look(t, p); again != 0 || reason(p) != "" || p.Status.Schedule != nil {
			t.Errorf("%s without a schedule: %s %+v, again after %s", name, reason(p), p.Status.Schedule, again)
		}
		c.runs(t, p, 1)
	}
	p := c.scheduled(t, "long", "* * * * *", "")
	p.Spec.Schedule = strings.Repeat("1,", 200) + "1 * * * *"
	if err := c.Client.Update(t.Context(), p); err == nil {
		t.Error("the API server took a schedule of 400 characters")
	}
}
