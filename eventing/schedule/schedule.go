// Package schedule says when a pipeline is due: a cron line in a time zone, read as Knative's
// PingSource reads it, so that the ping and the controller's own clock mean the same moments.
//
// A line has five fields (minute, hour, day of the month, month, day of the week; no seconds) or is
// a descriptor such as @daily. Clock changes are as in PingSource: an hour that a zone leaves out
// has no due times, and one that it repeats has them twice.
package schedule

import (
	"errors"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // for machines and images without time zones

	"github.com/robfig/cron/v3"
)

// maxLine bounds a line: a list of all minutes of an hour is shorter.
const maxLine = 256

// prefix stands before a time zone in front of a line.
const prefix = "CRON_TZ="

// Default is the time zone of a line that names none.
const Default = "UTC"

// The parser of PingSource, but for its optional seconds.
var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// beginning is a moment from which each possible schedule comes within the five years that the
// parser's library looks ahead: a leap year is in them.
var beginning = time.Date(2001, time.January, 1, 0, 0, 0, 0, time.UTC)

// Schedule is a cron line in a time zone. The zero Schedule is never due.
type Schedule struct {
	cron       *cron.SpecSchedule
	line, zone string
}

// Split takes "CRON_TZ=Europe/Moscow 0 3 * * *" apart. Without a zone in front it is Default.
// Nothing of it is checked.
func Split(s string) (line, zone string) {
	s = strings.TrimSpace(s)
	rest, ok := strings.CutPrefix(s, prefix)
	if !ok {
		return s, Default
	}
	zone, line, _ = strings.Cut(rest, " ")
	return strings.TrimSpace(line), zone
}

// Parse reads a line and a time zone of the IANA database; an empty zone is Default. What can never
// be due is an error.
func Parse(line, zone string) (Schedule, error) {
	if zone == "" {
		zone = Default
	}
	switch {
	case line == "":
		return Schedule{}, errors.New("the schedule is empty")
	case len(line) > maxLine:
		return Schedule{}, fmt.Errorf("the schedule is longer than %d characters", maxLine)
	case strings.Contains(line, "@every"):
		return Schedule{}, errors.New(
			"@every has no fixed times, so a run could not be told from one that was made before")
	case strings.Contains(line, "="):
		// Also because the library's parser panics at a time zone with nothing behind it.
		return Schedule{}, fmt.Errorf("%q: a time zone is written %sArea/City and a blank, in front of the fields",
			line, prefix)
	}
	where, err := time.LoadLocation(zone)
	if err != nil || zone == "Local" { // which would be another one on each machine
		return Schedule{}, fmt.Errorf("there is no time zone %q", zone)
	}
	parsed, err := parser.Parse(line)
	if err != nil {
		return Schedule{}, fmt.Errorf("%q: %w", line, err)
	}
	c, ok := parsed.(*cron.SpecSchedule)
	if !ok {
		return Schedule{}, fmt.Errorf("%q has no fixed times", line)
	}
	c.Location = where
	if c.Next(beginning).IsZero() {
		return Schedule{}, fmt.Errorf("%q never comes: there is no such day", line)
	}
	return Schedule{c, line, zone}, nil
}

// String writes it with its time zone in front.
func (s Schedule) String() string { return prefix + s.zone + " " + s.line }

// Look is what a schedule says at a moment.
type Look struct {
	// Due is the latest due time for which something is to be done; zero when there is none.
	Due time.Time
	// Missed is the first due time that is passed over, because it was too long ago or a later one
	// has come since; zero when there is none.
	Missed time.Time
	// Next is the first due time after the moment.
	Next time.Time
}

// Look looks at what came due after settled, until now. What is as old as window, or older, is
// passed over. It takes one step per due time within the window, however long ago settled is.
func (s Schedule) Look(settled, now time.Time, window time.Duration) Look {
	if s.cron == nil {
		return Look{}
	}
	l := Look{Next: s.cron.Next(now)}
	from := settled
	if old := now.Add(-window); from.Before(old) {
		if t := s.cron.Next(from); !t.IsZero() && !t.After(old) {
			l.Missed = t
		}
		from = old
	}
	for t := s.cron.Next(from); !t.IsZero() && !t.After(now); t = s.cron.Next(t) {
		if !l.Due.IsZero() && l.Missed.IsZero() {
			l.Missed = l.Due
		}
		l.Due = t
	}
	return l
}
