// Package accesslog writes a line of JSON for each request, in the form of log/slog's JSONHandler,
// of which it takes a sixth of the time (BenchmarkLog): a call of a fast function would spend a
// tenth of its CPU time on its line.
package accesslog

import (
	"encoding/json"
	"strconv"
	"time"
)

// Call is a request that has been answered.
type Call struct {
	RequestID, Method, Path string
	Status                  int
	User                    string        // "": anonymous
	Worker                  int           // number of the process that ran it in the user's container; 0: none did
	Bytes                   int64         // of the answer's body
	Took, Waited, Function  time.Duration // in all, waiting for a worker, in the worker
	TraceID                 string        // of W3C Trace Context, "" for none
}

// Log writes the line.
func (w *Writer) Log(c Call) {
	var line [512]byte // most lines fit, and then nothing is allocated
	w.add(c.appendLine(line[:0], time.Now()))
}

func (c Call) appendLine(b []byte, at time.Time) []byte {
	b = append(b, `{"time":"`...)
	b = at.AppendFormat(b, time.RFC3339Nano)
	b = append(b, `","level":"INFO","msg":"call","request_id":`...)
	b = appendString(b, c.RequestID)
	b = append(b, `,"method":`...)
	b = appendString(b, c.Method)
	b = append(b, `,"path":`...)
	b = appendString(b, c.Path)
	b = append(b, `,"status":`...)
	b = strconv.AppendInt(b, int64(c.Status), 10)
	b = append(b, `,"user":`...)
	b = appendString(b, c.User)
	b = append(b, `,"worker":`...)
	b = strconv.AppendInt(b, int64(c.Worker), 10)
	b = append(b, `,"bytes":`...)
	b = strconv.AppendInt(b, c.Bytes, 10)
	b = append(b, `,"seconds":`...)
	b = appendSeconds(b, c.Took)
	b = append(b, `,"wait_seconds":`...)
	b = appendSeconds(b, c.Waited)
	b = append(b, `,"function_seconds":`...)
	b = appendSeconds(b, c.Function)
	b = append(b, `,"trace_id":`...)
	b = appendString(b, c.TraceID)
	return append(b, "}\n"...)
}

// appendString appends a string of JSON. Most have nothing that must be escaped.
func appendString(b []byte, s string) []byte {
	for i := range len(s) {
		if c := s[i]; c < ' ' || c > '~' || c == '"' || c == '\\' {
			escaped, _ := json.Marshal(s) // a string always encodes
			return append(b, escaped...)
		}
	}
	b = append(b, '"')
	b = append(b, s...)
	return append(b, '"')
}

func appendSeconds(b []byte, d time.Duration) []byte {
	return strconv.AppendFloat(b, d.Seconds(), 'f', -1, 64)
}
