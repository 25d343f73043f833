package schedule

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	x, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestLook(t *testing.T) {
	t.Parallel()
	const never = ""
	for name, c := range map[string]struct{ schedule, settled, now, due, missed, next string }{
		"just due": {"*/30 * * * *", "2026-05-01T09:31:00Z", "2026-05-01T10:00:00Z",
			"2026-05-01T10:00:00Z", never, "2026-05-01T10:30:00Z"},
		"not yet": {"*/30 * * * *", "2026-05-01T09:31:00Z", "2026-05-01T09:59:59Z", never, never,
			"2026-05-01T10:00:00Z"},
		"first seen in that second": {"*/30 * * * *", "2026-05-01T10:00:00Z", "2026-05-01T10:00:00Z", never, never,
			"2026-05-01T10:30:00Z"},
		"done already": {"*/30 * * * *", "2026-05-01T10:00:00Z", "2026-05-01T10:01:00Z", never, never,
			"2026-05-01T10:30:00Z"},
		"late within the hour": {"0 3 * * *", "2026-04-30T03:00:00Z", "2026-05-01T03:59:59Z",
			"2026-05-01T03:00:00Z", never, "2026-05-02T03:00:00Z"},
		"an hour late": {"0 3 * * *", "2026-04-30T03:00:00Z", "2026-05-01T04:00:00Z", never,
			"2026-05-01T03:00:00Z", "2026-05-02T03:00:00Z"},
		"days late": {"0 3 * * *", "2026-04-01T03:00:00Z", "2026-05-01T03:10:00Z",
			"2026-05-01T03:00:00Z", "2026-04-02T03:00:00Z", "2026-05-02T03:00:00Z"},
		"several within the hour": {"*/10 * * * *", "2026-05-01T10:00:00Z", "2026-05-01T10:35:00Z",
			"2026-05-01T10:30:00Z", "2026-05-01T10:10:00Z", "2026-05-01T10:40:00Z"},
		"settled later than now": {"* * * * *", "2026-05-01T10:05:00Z", "2026-05-01T10:00:00Z", never, never,
			"2026-05-01T10:01:00Z"},
		"a month without the day": {"0 0 31 * *", "2026-05-31T00:00:00Z", "2026-06-30T12:00:00Z", never, never,
			"2026-07-31T00:00:00Z"},
		"leap day": {"0 0 29 2 *", "2026-05-31T00:00:00Z", "2026-06-30T12:00:00Z", never, never,
			"2028-02-29T00:00:00Z"},
		"descriptor": {"@daily", "2026-05-01T00:00:00Z", "2026-05-02T00:00:01Z",
			"2026-05-02T00:00:00Z", never, "2026-05-03T00:00:00Z"},
		"in a zone": {"CRON_TZ=Europe/Moscow 0 3 * * *", "2026-04-30T12:00:00Z",
			"2026-05-01T00:00:00Z", "2026-05-01T00:00:00Z", never, "2026-05-02T00:00:00Z"},
		"summer time begins": {"CRON_TZ=Europe/Berlin 30 3 * * *", "2026-03-28T02:30:00Z",
			"2026-03-29T01:30:00Z", "2026-03-29T01:30:00Z", never, "2026-03-30T01:30:00Z"},
		"in an hour that is left out": {"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-03-28T01:30:00Z",
			"2026-03-29T01:30:00Z", never, never, "2026-03-30T00:30:00Z"},
		"in an hour that comes twice": {"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-24T00:30:00Z",
			"2026-10-25T00:30:00Z", "2026-10-25T00:30:00Z", never, "2026-10-25T01:30:00Z"},
		"in its second coming": {"CRON_TZ=Europe/Berlin 30 2 * * *", "2026-10-25T00:30:00Z",
			"2026-10-25T01:30:30Z", "2026-10-25T01:30:00Z", never, "2026-10-26T01:30:00Z"},
		"hourly through a clock change": {"CRON_TZ=Europe/Berlin 0 * * * *", "2026-10-25T00:00:00Z",
			"2026-10-25T01:00:00Z", "2026-10-25T01:00:00Z", never, "2026-10-25T02:00:00Z"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			line, zone := Split(c.schedule)
			s, err := Parse(line, zone)
			if err != nil {
				t.Fatal(err)
			}
			got := s.Look(at(t, c.settled), at(t, c.now), time.Hour)
			for what, pair := range map[string]struct {
				got  time.Time
				want string
			}{"due": {got.Due, c.due}, "missed": {got.Missed, c.missed}, "next": {got.Next, c.next}} {
				shown := ""
				if !pair.got.IsZero() {
					shown = pair.got.UTC().Format(time.RFC3339)
				}
				if shown != pair.want {
					t.Errorf("%s is %q, want %q", what, shown, pair.want)
				}
			}
		})
	}
}

// Whenever and however often somebody looks, as long as it is at least hourly: what was settled
// never comes again, and what came due within the window does.
func TestEachDueTimeComesOnce(t *testing.T) {
	t.Parallel()
	s, err := Parse("*/20 * * * *", "Asia/Kathmandu")
	if err != nil {
		t.Fatal(err)
	}
	now, settled := at(t, "2026-05-01T00:00:01Z"), at(t, "2026-05-01T00:00:00Z")
	end := now.Add(48 * time.Hour)
	var done []string
	for step := 1; now.Before(end); step = step*7%19 + 1 { // 2 to 19 minutes
		if l := s.Look(settled, now, time.Hour); !l.Due.IsZero() {
			if !l.Due.After(settled) || l.Due.After(now) || !l.Next.After(now) {
				t.Fatalf("%+v at %s after %s", l, now, settled)
			}
			settled = l.Due
			done = append(done, l.Due.UTC().Format(time.RFC3339))
		}
		now = now.Add(time.Duration(step) * time.Minute)
	}
	if len(done) < 48*3-1 {
		t.Errorf("%d due times in two days of three an hour: %v", len(done), done)
	}
}

func TestParseRefuses(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ schedule, want string }{
		{"", "empty"},
		{"0 3 * *", "5 fields"},
		{"0 0 3 * * *", "5 fields"},
		{"60 3 * * *", "above maximum"},
		{"0 3 * * 7", "above maximum"},
		{"every night", "5 fields"},
		{"@every 5m", "no fixed times"},
		{"@nightly", "unrecognized descriptor"},
		{"0 0 30 2 *", "never comes"},
		{"TZ=UTC 0 3 * * *", "CRON_TZ=Area/City"},
		{"CRON_TZ=UTC CRON_TZ=UTC 0 3 * * *", "CRON_TZ=Area/City"},
		{"CRON_TZ=Europe/Moskau 0 3 * * *", `no time zone "Europe/Moskau"`},
		{"CRON_TZ=../../etc/passwd 0 3 * * *", "no time zone"},
		{"CRON_TZ=Local 0 3 * * *", "no time zone"},
		{"CRON_TZ=UTC", "empty"},
		{strings.Repeat("1,", 200) + "1 * * * *", "longer than"},
	} {
		line, zone := Split(c.schedule)
		if _, err := Parse(line, zone); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: %v, want %s", c.schedule, err, c.want)
		}
	}
	if l := (Schedule{}).Look(time.Time{}, beginning, time.Hour); l != (Look{}) {
		t.Errorf("the zero Schedule: %+v", l)
	}
}

// Whatever is written in an annotation or a Pipeline: an error or a schedule that has a next time,
// never a panic.
func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 3 * * *", "CRON_TZ=Europe/Moscow */5 1-3 1,2 jan mon-fri", "TZ=x", "CRON_TZ=",
		"@daily", "? * * * *", "*/0 * * * *", "@"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		line, zone := Split(text)
		s, err := Parse(line, zone)
		if err != nil {
			return
		}
		l := s.Look(beginning, beginning.Add(time.Hour), time.Hour)
		if !l.Next.After(beginning) {
			t.Errorf("%q: %+v", text, l)
		}
		if again, err := Parse(Split(s.String())); err != nil || again.String() != s.String() {
			t.Errorf("%q does not come back: %v", s, err)
		}
	})
}

func ExampleSchedule_Look() {
	s, err := Parse(Split("CRON_TZ=Europe/Moscow 0 3 * * *"))
	if err != nil {
		panic(err)
	}
	l := s.Look(time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC), time.Date(2026, 5, 2, 0, 10, 0, 0, time.UTC), time.Hour)
	fmt.Println(l.Due, l.Next)
	// Output: 2026-05-02 00:00:00 +0000 UTC 2026-05-03 00:00:00 +0000 UTC
}
