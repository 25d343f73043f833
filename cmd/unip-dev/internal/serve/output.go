package serve

import (
	"bytes"
	"io"
	"sync"

	"github.com/unip-knative/unip/cmd/internal/devserver"
)

// lines tells each line that is written.
type lines struct {
	tell func(line string)

	mu   sync.Mutex
	rest []byte
}

// maxLine bounds what is kept of a line that does not end, in bytes.
const maxLine = 64 << 10

// Write takes any piece of a text.
func (l *lines) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.rest = append(l.rest, b...)
	for {
		i := bytes.IndexByte(l.rest, '\n')
		if i < 0 && len(l.rest) < maxLine {
			return len(b), nil
		}
		if i < 0 {
			i = len(l.rest) - 1
		}
		l.tell(string(bytes.TrimRight(l.rest[:i+1], "\r\n")))
		l.rest = l.rest[i+1:]
	}
}

// output tells what a component's function prints, a line each.
func (c *component) output() io.Writer {
	return devserver.Printed(&lines{tell: func(line string) {
		c.mu.Lock()
		c.said = line
		c.mu.Unlock()
		c.served.out.tell(Happening{Kind: "output", Names: map[string]string{"component": c.Name},
			Text: c.Name + ": " + line})
	}})
}

// warnings tells lines of what is not as in a cluster.
func (s *served) warnings() io.Writer {
	return &lines{tell: func(line string) { s.out.tell(Happening{Kind: kindLog, Text: line, Failed: true}) }}
}
