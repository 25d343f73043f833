package start

import (
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	runtimev1 "github.com/unip-knative/unip/eventing/apis/runtime/v1alpha1"
	"github.com/unip-knative/unip/eventing/schedule"
)

// LateAtMost is how late a scheduled run may begin. After a longer outage it is passed over: work
// that was meant for the night would surprise the day, and of a frequent one the next comes soon.
// It also bounds what a look has to count through.
const LateAtMost = time.Hour

// clocksDiffer is how far ahead a clock may be that has followed a schedule: another replica's. What is
// due again after a clock was set back has its start record, and begins once.
const clocksDiffer = time.Minute

// Follow follows a schedule until now: what it says, and how far it has been followed then. was is
// how far it had been, nil when nobody has looked. One that is new, or another than before, begins
// now, or at a later birth. What is due counts as begun once Began says so.
func Follow(
	s schedule.Schedule, was *runtimev1.ScheduleStatus, birth, now time.Time,
) (st *runtimev1.ScheduleStatus, look schedule.Look) {
	if st = was.DeepCopy(); st == nil || st.Line != s.String() {
		seen := &runtimev1.ScheduleStatus{Line: s.String(), SettledTime: metav1.NewTime(now.Truncate(time.Second))}
		if seen.SettledTime.Time.Before(birth) { // by another clock
			seen.SettledTime = metav1.NewTime(birth)
		}
		if st != nil {
			seen.LastScheduleTime, seen.LastMissedTime, seen.Missed = st.LastScheduleTime, st.LastMissedTime, st.Missed
		}
		st = seen
	} else if st.SettledTime.After(now.Add(clocksDiffer)) { // the clock was set back
		st.SettledTime = metav1.NewTime(now.Truncate(time.Second))
	}
	look = s.Look(st.SettledTime.Time, now, LateAtMost)
	if !look.Missed.IsZero() {
		st.LastMissedTime, st.Missed = new(metav1.NewTime(look.Missed)), st.Missed+1
		st.SettledTime = metav1.NewTime(now.Add(-LateAtMost).Truncate(time.Second))
	}
	return st, look
}

// Began notes that the run of a due time has begun.
func Began(st *runtimev1.ScheduleStatus, due time.Time) {
	st.SettledTime, st.LastScheduleTime = metav1.NewTime(due), new(metav1.NewTime(due))
}
