package accesslog

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// The line says what log/slog's would.
func TestLinesAreThoseOfSlog(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]Call{
		"nothing": {},
		"usual": {
			RequestID: "r-1", Method: "POST", Path: "/predict", Status: 200, User: "ann", Worker: 7, Bytes: 79,
			TraceID: "0af7651916cd43dd8448eb211c80319c",
			Took:    1234567 * time.Nanosecond, Waited: 20 * time.Microsecond, Function: time.Second,
		},
		"to be escaped": {Method: `A"B\C`, Path: "/а\n\x00\x7f\xff<>&\u2028", User: "Анна"},
		"long":          {Path: "/" + strings.Repeat("x", 5000), Took: 600 * time.Second, Bytes: 1 << 40, Status: 499},
	} {
		t.Run(name, func(t *testing.T) {
			var want bytes.Buffer
			logged(slog.New(slog.NewJSONHandler(&want, nil)), c)
			var w, g map[string]any
			if err := json.Unmarshal(want.Bytes(), &w); err != nil {
				t.Fatal(err)
			}
			at, err := time.Parse(time.RFC3339Nano, w["time"].(string))
			if err != nil {
				t.Fatal(err)
			}
			got := c.appendLine(nil, at)
			if err := json.Unmarshal(got, &g); err != nil {
				t.Fatalf("%v: %s", err, got)
			}
			if !reflect.DeepEqual(g, w) {
				t.Errorf("%s\nwant\n%s", got, want.Bytes())
			}
			if bytes.Count(got, []byte("\n")) != 1 || got[len(got)-1] != '\n' {
				t.Errorf("%q is not one line", got)
			}
		})
	}
}

// sink counts what is written to it.
type sink struct {
	mu     sync.Mutex
	writes int
	lines  int
}

func (s *sink) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.writes++
	s.lines += bytes.Count(b, []byte("\n"))
	return len(b), nil
}

func (s *sink) is(t *testing.T, writes, lines int) {
	t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.writes != writes || s.lines != lines {
		t.Errorf("%d lines in %d writes, want %d in %d", s.lines, s.writes, lines, writes)
	}
}

func TestLinesGoOutTogether(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var s sink
		w := NewWriter(&s)
		for range 2 {
			w.Log(Call{})
			time.Sleep(delay / 2) // of the bubble's clock
		}
		time.Sleep(delay / 4)
		s.is(t, 1, 2) // the delay counts from the first
		w.Log(Call{})
		w.Flush()
		s.is(t, 2, 3)
		time.Sleep(time.Hour)
		s.is(t, 2, 3)
		w.Log(Call{Path: strings.Repeat("x", full)})
		s.is(t, 3, 4)
		time.Sleep(time.Hour)
		s.is(t, 3, 4)
	})
}

// BenchmarkLog is a line beside the same one of log/slog. Nothing is written anywhere: system calls
// are not counted.
func BenchmarkLog(b *testing.B) {
	c := Call{
		RequestID: "LEKTWPWG7GVOP5LTNYHZ5XYPVF", Method: "POST", Path: "/predict", Status: 200, Worker: 7, Bytes: 79,
		Took: 193 * time.Microsecond, Waited: 20 * time.Microsecond, Function: 151234 * time.Nanosecond,
	}
	b.Run("accesslog", func(b *testing.B) {
		w := NewWriter(io.Discard)
		b.ReportAllocs()
		for b.Loop() {
			w.Log(c)
		}
	})
	b.Run("slog", func(b *testing.B) {
		log := slog.New(slog.NewJSONHandler(io.Discard, nil))
		b.ReportAllocs()
		for b.Loop() {
			logged(log, c)
		}
	})
}

func logged(log *slog.Logger, c Call) {
	log.LogAttrs(context.Background(), slog.LevelInfo, "call", slog.String("request_id", c.RequestID),
		slog.String("method", c.Method), slog.String("path", c.Path),
		slog.Int("status", c.Status), slog.String("user", c.User), slog.Int("worker", c.Worker),
		slog.Int64("bytes", c.Bytes), slog.Float64("seconds", c.Took.Seconds()),
		slog.Float64("wait_seconds", c.Waited.Seconds()), slog.Float64("function_seconds", c.Function.Seconds()),
		slog.String("trace_id", c.TraceID))
}
