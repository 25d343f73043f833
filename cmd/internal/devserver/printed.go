package devserver

import (
	"bytes"
	"encoding/json"
	"io"
)

// maxLine bounds what is kept of a line that does not end, in bytes; the worker's are shorter.
const maxLine = 64 << 10

// printed shows people what the function prints. The worker writes it as records of JSON with the
// request's id, for a cluster's log; here the text alone is wanted, of an exception the traceback
// too. Other lines stay as they are.
type printed struct {
	w    io.Writer
	rest []byte // of a line that has not ended
}

// Printed is a writer for the output of the function's processes that writes it to w for people. It
// is for one goroutine at a time.
func Printed(w io.Writer) io.Writer { return &printed{w: w} }

// Write takes any piece of the output.
func (p *printed) Write(b []byte) (int, error) {
	p.rest = append(p.rest, b...)
	var out []byte
	for {
		i := bytes.IndexByte(p.rest, '\n')
		if i < 0 && len(p.rest) < maxLine {
			break
		}
		if i < 0 {
			i = len(p.rest) - 1
		}
		out = append(out, message(p.rest[:i+1])...)
		p.rest = p.rest[i+1:]
	}
	_, err := p.w.Write(out)
	return len(b), err
}

// message is a line of the worker's log for people.
func message(line []byte) []byte {
	var r struct {
		Time, Level    string
		Msg, Traceback string
	}
	if line[0] != '{' || json.Unmarshal(line, &r) != nil || r.Time == "" || r.Level == "" {
		return line
	}
	text := []byte(r.Msg + "\n")
	if r.Traceback != "" {
		text = append(bytes.TrimRight([]byte(r.Traceback), "\n"), '\n')
	}
	return text
}
