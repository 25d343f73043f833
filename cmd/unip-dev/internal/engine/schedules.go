package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"k8s.io/apimachinery/pkg/api/equality"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/schedule"
	"github.com/unip-knative/unip/eventing/start"
)

// scheduleEvery is how often schedules are looked at when nothing is due: clocks are set, and a
// module is reloaded.
const scheduleEvery = time.Second

// schedules says how far the schedule of each pipeline has been followed. It is on disk.
type schedules struct {
	engine *Engine
	file   string
	status map[string]*runtimev1.ScheduleStatus
}

func openSchedules(e *Engine) (*schedules, error) {
	s := &schedules{engine: e, file: filepath.Join(e.Dir, "schedules.json"),
		status: map[string]*runtimev1.ScheduleStatus{}}
	b, err := os.ReadFile(s.file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return s, nil
	case err != nil:
		return nil, fmt.Errorf("what was scheduled: %w", err)
	}
	if err := json.Unmarshal(b, &s.status); err != nil || s.status == nil {
		return nil, fmt.Errorf("%s does not say what was scheduled: remove it", s.file)
	}
	return s, nil
}

// follow starts what is due of a pipeline, and says when something is due next.
func (s *schedules) follow(ctx context.Context, p *runtimev1.Pipeline) (next time.Time, err error) {
	if p.Spec.Schedule == "" {
		return next, nil
	}
	line, err := schedule.Parse(p.Spec.Schedule, p.Spec.TimeZone)
	if err != nil {
		return next, err
	}
	st, look := start.Follow(line, s.status[p.Name], time.Time{}, s.engine.now())
	if !look.Missed.IsZero() {
		s.engine.tell(Happening{Kind: KindSchedule, Pipeline: p.Name, Text: "what was due from " +
			look.Missed.UTC().Format(time.RFC3339) + " on was passed over: at that time nobody looked"})
	}
	if !look.Due.IsZero() {
		// The namespace has no UID here; a folder is one module's.
		x, key := start.Due(p.Name, s.engine.namespace, look.Due)
		if err := s.engine.once(ctx, key, x, p); err != nil {
			return next, err
		}
		start.Began(st, look.Due)
	}
	if equality.Semantic.DeepEqual(st, s.status[p.Name]) {
		return look.Next, nil
	}
	s.status[p.Name] = st
	b, err := json.Marshal(s.status)
	if err == nil {
		err = replaceFile(s.file, b)
	}
	if err != nil {
		return next, fmt.Errorf("what was scheduled: %w", err)
	}
	return look.Next, nil
}
